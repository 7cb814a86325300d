//! Returns: what followed each step.

use super::batch::CreditBatch;
use super::part::narrowed;

/// The discounted return of every row, `G_t = r_t + γ · G_{t+1}`, from each episode's end.
///
/// Rounded to f32 as they are handed out: so equal returns *are* equal, and their mean over a
/// cluster is exact in f64.
pub fn discounted(batch: &CreditBatch, gamma: f64) -> Vec<f32> {
    let mut returns = vec![0.0; batch.rows()];
    for episode in 0..batch.episodes() {
        let mut following = 0.0;
        for row in batch.episode_rows(episode).rev() {
            following = f64::from(batch.rewards[row]) + gamma * following;
            returns[row] = narrowed(following);
        }
    }
    returns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_are_discounted_within_an_episode_only() {
        let batch = CreditBatch {
            group_offsets: &[0, 3],
            episode_offsets: &[0, 3, 3, 4],
            rewards: &[1.0, 0.0, 4.0, 8.0],
            success: &[true; 3],
            valid: &[true; 4],
            observations: &[0; 4],
            texts: &[""],
            final_observations: None,
            embeddings: None,
        };
        assert_eq!(discounted(&batch, 0.5), [2.0, 2.0, 4.0, 8.0]);
        assert_eq!(discounted(&batch, 0.0), batch.rewards);
    }
}
