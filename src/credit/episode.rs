//! The episode part: an episode's total reward relative to its group's.
//!
//! ```text
//! A_i = w_i · (R_i − mean(R)) / (std(R) + ε)      (the division with `normalize = "mean-std"`)
//! ```
//!
//! with the mean and the unbiased deviation over the group's episodes, or over its steps with
//! `statistics = "step"` (an episode of `T` steps then counts `T` times, as in the published
//! codes), and `w_i` the modulation. The result is 0 for a single episode and in zero-variance groups.
//! One special case of the published codes is kept: a group of a single *step* keeps its raw reward
//! under `statistics = "step"`.

use super::clusters::EPSILON;
use super::config::{CreditConfig, Normalize, Statistics};
use super::modulation::GroupModulation;
use super::prior;
use super::settings::Modulation;
use super::weighted::{Weighted, episode_weight};
use crate::episodes::Batch;

/// The group-relative advantage of each episode, before modulation: `[episodes]`.
pub(crate) fn group_relative(batch: &Batch, config: &CreditConfig) -> Vec<f64> {
    let mut advantages = Vec::with_capacity(batch.episodes());
    for group in 0..batch.groups() {
        let episodes = batch.episodes_of_group(group);
        let rewards = batch.total_rewards(group);
        let weights: Vec<f64> =
            episodes.map(|episode| episode_weight(batch, config.statistics, episode)).collect();
        let Weighted { total, mean, deviation } = Weighted::of(&rewards, &weights);
        if config.statistics == Statistics::Step && total == 1.0 {
            advantages.extend(&rewards);
            continue;
        }
        let scale = match config.normalize {
            Normalize::MeanStd => deviation + EPSILON,
            Normalize::Mean | Normalize::Auto => 1.0,
        };
        advantages.extend(rewards.iter().map(|reward| (reward - mean) / scale));
    }
    advantages
}

/// Multiplies each episode's advantage by its modulation weight and returns each group's weights;
/// does nothing with modulation off.
pub(crate) fn modulate(
    batch: &Batch,
    config: &CreditConfig,
    advantages: &mut [f64],
) -> Vec<GroupModulation> {
    let Modulation::On(curve) = config.modulation else { return Vec::new() };
    let rates = prior::success_rates(batch, config.statistics, config.success_prior);
    let groups: Vec<GroupModulation> =
        rates.iter().map(|&rate| GroupModulation::of(&curve, rate)).collect();
    for (group, weights) in groups.iter().enumerate() {
        for episode in batch.episodes_of_group(group) {
            advantages[episode] *=
                if batch.success()[episode] { weights.on_success } else { weights.on_failure };
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credit::Curve;
    use crate::episodes::Episode;

    fn batch() -> Batch {
        let failure = Episode::new().step("", 0.0).step("", 0.0).step("", 0.0);
        Batch::builder()
            .group([Episode::new().step("", 4.0).success(true), failure])
            .group([Episode::new().step("", 3.0).success(true)])
            .build()
            .unwrap()
    }

    fn advantages(statistics: Statistics, normalize: Normalize) -> Vec<f64> {
        let config = CreditConfig { statistics, normalize, ..CreditConfig::default() };
        group_relative(&batch(), &config)
    }

    #[test]
    fn statistics_count_episodes_or_steps() {
        assert_eq!(advantages(Statistics::Episode, Normalize::Mean), [2.0, -2.0, 0.0]);
        assert_eq!(advantages(Statistics::Step, Normalize::Mean), [3.0, -1.0, 3.0]);
    }

    #[test]
    fn the_deviation_is_unbiased() {
        let by_episode = advantages(Statistics::Episode, Normalize::MeanStd);
        assert!((by_episode[0] - 2.0 / (8f64.sqrt() + EPSILON)).abs() < 1e-12);
        let by_step = advantages(Statistics::Step, Normalize::MeanStd);
        assert!((by_step[1] + 1.0 / (2.0 + EPSILON)).abs() < 1e-12);
    }

    #[test]
    fn modulation_weighs_each_episode_by_its_outcome() {
        let curve = Curve::default();
        let config = CreditConfig { modulation: Modulation::On(curve), ..Default::default() };
        let mut advantages = [1.0, 1.0, 1.0];
        let groups = modulate(&batch(), &config, &mut advantages);
        assert_eq!(groups.iter().map(|group| group.success_rate).collect::<Vec<_>>(), [0.5, 1.0]);
        assert_eq!(advantages, [curve.weight(0.5, true), curve.weight(0.5, false), 1.0]);
    }
}
