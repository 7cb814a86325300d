//! Discounted returns.

use crate::episodes::{Batch, equal_within_rounding};

/// The discounted return of every row, `G_t = r_t + γ · G_{t+1}`, computed from each episode's end:
/// `[rows]`.
pub fn discounted(batch: &Batch, gamma: f64) -> Vec<f64> {
    let mut returns = vec![0.0; batch.rows()];
    for episode in 0..batch.episodes() {
        let mut following = 0.0;
        for row in batch.rows_of_episode(episode).rev() {
            following = batch.rewards()[row] + gamma * following;
            returns[row] = following;
        }
    }
    returns
}

/// Returns relative to their group.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Centred {
    /// Each return less the base of its group: `[rows]`. Exactly 0 in a group whose returns are equal
    /// but for rounding.
    pub values: Vec<f64>,
    /// The mean return of each row's group: `[rows]`.
    pub bases: Vec<f64>,
}

/// Subtracts the mean of each group, so that what is left can be rounded, or averaged with weights,
/// without losing small differences of large returns.
pub(crate) fn centred(batch: &Batch, returns: &[f64]) -> Centred {
    let mut centred = Centred::default();
    for group in 0..batch.groups() {
        let values = &returns[batch.rows_of_group(group)];
        let Some(&first) = values.first() else { continue };
        let largest = values.iter().fold(0f64, |most, value| most.max(value.abs()));
        let equal = equal_within_rounding(values, largest);
        let shifted = values.iter().map(|value| value - first).sum::<f64>();
        let base = if equal { first } else { first + shifted / values.len() as f64 };
        centred.values.extend(values.iter().map(|value| if equal { 0.0 } else { value - base }));
        centred.bases.extend(values.iter().map(|_| base));
    }
    centred
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::episodes::Episode;

    #[test]
    fn returns_are_discounted_within_an_episode() {
        let batch = Batch::builder()
            .group([
                Episode::new().step("", 1.0).step("", 0.0).step("", 4.0),
                Episode::new(),
                Episode::new().step("", 8.0),
            ])
            .build()
            .unwrap();
        assert_eq!(discounted(&batch, 0.5), [2.0, 2.0, 4.0, 8.0]);
        assert_eq!(discounted(&batch, 0.0), batch.rewards());
    }
}
