//! Discounted returns.

use super::parts::narrowed;
use crate::episodes::Batch;

/// The discounted return of every row, `G_t = r_t + γ · G_{t+1}`, computed from each episode's end:
/// `[rows]`.
///
/// The sums run in f64 and are rounded to f32. Later stages use the rounded returns, so equal returns
/// stay equal and their mean over a cluster is exact in f64.
pub fn discounted(batch: &Batch, gamma: f64) -> Vec<f32> {
    let mut returns = vec![0.0; batch.rows()];
    for episode in 0..batch.episodes() {
        let mut following = 0.0;
        for row in batch.rows_of_episode(episode).rev() {
            following = f64::from(batch.rewards()[row]) + gamma * following;
            returns[row] = narrowed(following);
        }
    }
    returns
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
