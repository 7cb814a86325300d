//! Discounted returns.

use crate::episodes::{Batch, Bounded, merge_equal};

/// The discounted return of every row, `G_t = r_t + γ · G_{t+1}`, computed from each episode's end:
/// `[rows]`.
///
/// Returns of a group that differ by no more than rounding are the same number, as
/// [`Batch::total_reward`] describes; a step of the recursion counts as two roundings.
pub fn discounted(batch: &Batch, gamma: f64) -> Vec<f64> {
    let mut returns = Vec::with_capacity(batch.rows());
    for episodes in batch.layout().group_episodes() {
        let start = batch.layout().rows_of(episodes.clone()).start;
        let mut group =
            vec![Bounded::rounded(0.0, 0, 0.0); batch.layout().rows_of(episodes.clone()).len()];
        for episode in episodes {
            let (mut following, mut magnitude, mut roundings) = (0.0, 0.0, 1);
            for row in batch.rows_of_episode(episode).rev() {
                let reward = batch.rewards()[row];
                following = reward + gamma * following;
                magnitude = reward.abs() + gamma * magnitude;
                roundings += 2;
                group[row - start] = Bounded::rounded(following, roundings, magnitude);
            }
        }
        merge_equal(&mut group);
        returns.extend(group.iter().map(|value| value.value));
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
