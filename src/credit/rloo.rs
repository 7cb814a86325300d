//! RLOO (arXiv 2402.14740): an episode against the mean of the *other* episodes of its group.
//!
//! ```text
//! A_{i,t} = R_i − mean_{j ≠ i}(R_j)
//! ```
//!
//! With `statistics = "step"` the other episodes count once a step. An episode alone in its group
//! gets 0.

use super::assign::{Parts, Task};
use super::batch::CreditBatch;
use super::config::CreditConfig;
use super::part::StepPart;
use super::{episode, returns};
use crate::error::Result;

pub(super) fn assign(task: &mut Task) -> Result<Parts> {
    let Task { batch, config, .. } = *task;
    let returns = returns::discounted(batch, config.gamma);

    let mut episode = leave_one_out(batch, config);
    let modulation = episode::modulate(batch, config, &mut episode);

    Ok(Parts { returns, episode, step: StepPart::none(batch.rows()), modulation })
}

fn leave_one_out(batch: &CreditBatch, config: &CreditConfig) -> Vec<f64> {
    let mut advantages = Vec::with_capacity(batch.episodes());
    for group in 0..batch.groups() {
        let of_episode = |episode| {
            let weight = episode::weight(batch, config.statistics, episode);
            (batch.total_reward(episode), weight)
        };
        let episodes: Vec<(f64, f64)> = batch.group_episodes(group).map(of_episode).collect();
        for (own, &(reward, _)) in episodes.iter().enumerate() {
            let others = || episodes.iter().enumerate().filter(|&(other, _)| other != own);
            let weight: f64 = others().map(|(_, (_, weight))| weight).sum();
            let sum: f64 = others().map(|(_, (reward, weight))| reward * weight).sum();
            advantages.push(if weight > 0.0 { reward - sum / weight } else { 0.0 });
        }
    }
    advantages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credit::config::Statistics;

    #[test]
    fn an_episode_is_compared_with_the_others() {
        let batch = CreditBatch {
            group_offsets: &[0, 3, 4],
            episode_offsets: &[0, 1, 3, 4, 5],
            rewards: &[6.0, 0.0, 3.0, 0.0, 5.0],
            success: &[true; 4],
            valid: &[true; 5],
            observations: &[0; 5],
            texts: &[""],
            final_observations: None,
            embeddings: None,
        };
        let mut config = CreditConfig::default();
        assert_eq!(leave_one_out(&batch, &config), [4.5, 0.0, -4.5, 0.0]);
        config.statistics = Statistics::Step;
        assert_eq!(leave_one_out(&batch, &config), [4.0, 0.0, -4.0, 0.0]);
    }
}
