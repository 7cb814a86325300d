//! The episode part: an episode's total reward against its group's.
//!
//! ```text
//! A_i = w_i · (R_i − mean(R)) / (std(R) + ε)      (the division with `normalize = "mean-std"`)
//! ```
//!
//! with the mean and the unbiased deviation over the group's episodes, or over its steps with
//! `statistics = "step"` (an episode of `T` steps then counts `T` times, as in the published
//! codes), and `w_i` the modulation. An episode alone in its group gets 0, as do all where the
//! rewards are equal; only the published codes' special case is kept, that a group of a single
//! *step* keeps its raw reward under `statistics = "step"`.

use super::batch::CreditBatch;
use super::clusters::EPSILON;
use super::config::{CreditConfig, Normalize, Statistics};
use super::modulation::Curve;
use super::prior;
use super::settings::Modulation;

/// How a group's episodes were weighed.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct GroupModulation {
    /// The group's success rate, after the prior.
    pub success_rate: f64,
    /// The weight of an episode that succeeded.
    pub on_success: f64,
    /// The weight of an episode that failed.
    pub on_failure: f64,
}

/// The group-relative advantage of each episode: `[episodes]`, before modulation.
pub fn group_relative(batch: &CreditBatch, config: &CreditConfig) -> Vec<f64> {
    let mut advantages = Vec::with_capacity(batch.episodes());
    for group in 0..batch.groups() {
        let episodes = batch.group_episodes(group);
        let rewards: Vec<f64> =
            episodes.clone().map(|episode| batch.total_reward(episode)).collect();
        let weights: Vec<f64> =
            episodes.map(|episode| weight(batch, config.statistics, episode)).collect();
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

/// How often an episode counts.
pub fn weight(batch: &CreditBatch, statistics: Statistics, episode: usize) -> f64 {
    match statistics {
        Statistics::Episode => 1.0,
        Statistics::Step => batch.episode_rows(episode).len() as f64,
    }
}

/// Mean and unbiased deviation of values that count several times.
pub struct Weighted {
    /// The sum of the weights.
    pub total: f64,
    /// The mean, 0 without any weight.
    pub mean: f64,
    /// The unbiased standard deviation, 0 for a total of up to 1.
    pub deviation: f64,
}

impl Weighted {
    /// Of `values`, each counted as often as its weight says.
    pub fn of(values: &[f64], weights: &[f64]) -> Self {
        let total: f64 = weights.iter().sum();
        let sum: f64 = values.iter().zip(weights).map(|(value, weight)| value * weight).sum();
        let mean = if total > 0.0 { sum / total } else { 0.0 };
        let spread: f64 = values
            .iter()
            .zip(weights)
            .map(|(value, weight)| weight * (value - mean) * (value - mean))
            .sum();
        let deviation = if total > 1.0 { (spread / (total - 1.0)).sqrt() } else { 0.0 };
        Self { total, mean, deviation }
    }
}

/// Multiplies the advantages of each episode with its modulation weight, where modulation is on.
pub fn modulate(
    batch: &CreditBatch,
    config: &CreditConfig,
    advantages: &mut [f64],
) -> Vec<GroupModulation> {
    let Modulation::On(curve) = config.modulation else { return Vec::new() };
    let rates = prior::success_rates(batch, config.statistics, config.success_prior);
    let groups: Vec<GroupModulation> =
        rates.iter().map(|&rate| group_weights(&curve, rate)).collect();
    for (group, weights) in groups.iter().enumerate() {
        for episode in batch.group_episodes(group) {
            advantages[episode] *=
                if batch.success[episode] { weights.on_success } else { weights.on_failure };
        }
    }
    groups
}

fn group_weights(curve: &Curve, success_rate: f64) -> GroupModulation {
    GroupModulation {
        success_rate,
        on_success: curve.weight(success_rate, true),
        on_failure: curve.weight(success_rate, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: CreditBatch = CreditBatch {
        group_offsets: &[0, 2, 3],
        episode_offsets: &[0, 1, 4, 5],
        rewards: &[4.0, 0.0, 0.0, 0.0, 3.0],
        success: &[true, false, true],
        valid: &[true; 5],
        observations: &[0; 5],
        texts: &[""],
        final_observations: None,
        embeddings: None,
    };

    fn config(statistics: Statistics, normalize: Normalize) -> CreditConfig {
        CreditConfig { statistics, normalize, ..CreditConfig::default() }
    }

    #[test]
    fn episodes_or_steps_count_once() {
        let by_episode = group_relative(&BATCH, &config(Statistics::Episode, Normalize::Mean));
        assert_eq!(by_episode, [2.0, -2.0, 0.0]);
        let by_step = group_relative(&BATCH, &config(Statistics::Step, Normalize::Mean));
        assert_eq!(by_step, [3.0, -1.0, 3.0]);
    }

    #[test]
    fn the_deviation_is_unbiased() {
        let by_episode = group_relative(&BATCH, &config(Statistics::Episode, Normalize::MeanStd));
        assert!((by_episode[0] - 2.0 / (8f64.sqrt() + EPSILON)).abs() < 1e-12);
        let by_step = group_relative(&BATCH, &config(Statistics::Step, Normalize::MeanStd));
        assert!((by_step[1] + 1.0 / (2.0 + EPSILON)).abs() < 1e-12);
    }

    #[test]
    fn modulation_weighs_each_episode_by_its_outcome() {
        let curve = Curve::default();
        let config = CreditConfig { modulation: Modulation::On(curve), ..Default::default() };
        let mut advantages = [1.0, 1.0, 1.0];
        let groups = modulate(&BATCH, &config, &mut advantages);
        assert_eq!(groups.iter().map(|group| group.success_rate).collect::<Vec<_>>(), [0.5, 1.0]);
        assert_eq!(advantages, [curve.weight(0.5, true), curve.weight(0.5, false), 1.0]);
    }
}
