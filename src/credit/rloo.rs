//! RLOO (arXiv 2402.14740): an episode relative to the mean of the *other* episodes of its group.
//!
//! ```text
//! A_{i,t} = R_i − mean_{j ≠ i}(R_j)
//! ```
//!
//! With `statistics = "step"` another episode is weighted by its number of steps. The only episode of
//! a group gets 0.

use super::config::CreditConfig;
use super::parts::{Parts, StepPart, Task};
use super::weighted::episode_weight;
use super::{episode, returns};
use crate::episodes::Batch;
use crate::error::Result;

pub(super) fn assign(task: &mut Task) -> Result<Parts> {
    let Task { batch, config, .. } = *task;
    let returns = returns::discounted(batch, config.gamma);

    let mut episode = leave_one_out(batch, config);
    let modulation = episode::modulate(batch, config, &mut episode);

    Ok(Parts { returns, episode, step: StepPart::none(batch.rows()), modulation })
}

/// Each episode's total reward minus the weighted mean of the others: `[episodes]`.
pub(crate) fn leave_one_out(batch: &Batch, config: &CreditConfig) -> Vec<f64> {
    let mut advantages = Vec::with_capacity(batch.episodes());
    for group in 0..batch.groups() {
        let of_episode = |episode| {
            let weight = episode_weight(batch, config.statistics, episode);
            (batch.total_reward(episode), weight)
        };
        let episodes: Vec<(f64, f64)> = batch.episodes_of_group(group).map(of_episode).collect();
        for (own, &(reward, _)) in episodes.iter().enumerate() {
            let others = || episodes.iter().enumerate().filter(|&(other, _)| other != own);
            let weight: f64 = others().map(|(_, (_, weight))| weight).sum();
            // Measured from the episode itself, equal rewards have a distance of exactly 0.
            let sum: f64 = others().map(|(_, (other, weight))| (reward - other) * weight).sum();
            advantages.push(if weight > 0.0 { sum / weight } else { 0.0 });
        }
    }
    advantages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credit::config::Statistics;
    use crate::episodes::Episode;

    #[test]
    fn an_episode_is_compared_with_the_others() {
        let batch = Batch::builder()
            .group([
                Episode::new().step("", 6.0),
                Episode::new().step("", 0.0).step("", 3.0),
                Episode::new().step("", 0.0),
            ])
            .group([Episode::new().step("", 5.0)])
            .build()
            .unwrap();
        let mut config = CreditConfig::default();
        assert_eq!(leave_one_out(&batch, &config), [4.5, 0.0, -4.5, 0.0]);
        config.statistics = Statistics::Step;
        assert_eq!(leave_one_out(&batch, &config), [4.0, 0.0, -4.0, 0.0]);
    }
}
