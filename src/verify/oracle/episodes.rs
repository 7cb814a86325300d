//! Returns and the episode part of advantages.

use crate::credit::{CreditConfig, Curve, Modulation, Normalize, Statistics, SuccessPrior};
use crate::episodes::Layout;

/// Added to a standard deviation before it divides.
const EPSILON: f64 = 1e-6;

/// The discounted return of every row: `[rows]`. From a non-finite reward back to the beginning of its
/// episode, returns are NaN.
pub fn returns(layout: &Layout, rewards: &[f32], gamma: f64) -> Vec<f64> {
    let mut returns = vec![0.0; rewards.len()];
    for rows in layout.episode_rows() {
        let mut following = 0.0;
        for row in rows.rev() {
            let reward = f64::from(rewards[row]);
            following = if reward.is_finite() { reward } else { f64::NAN } + gamma * following;
            returns[row] = following;
        }
    }
    returns
}

/// The episode part of advantages, and each group's statistics.
#[derive(Debug, Clone, PartialEq)]
pub struct EpisodeParts {
    /// The advantage of each row's episode: `[rows]`.
    pub advantages: Vec<f64>,
    /// Success rate (after the prior), mean and unbiased deviation of total rewards: `[groups, 3]`.
    pub statistics: Vec<f64>,
}

/// One episode: how often it counts, its total reward and whether it succeeded.
struct Outcome {
    count: f64,
    total: f64,
    success: bool,
}

/// Each episode's total reward against its group's, as [`crate::kernels::episode_advantages`] defines
/// it. A group with a non-finite reward or success is NaN. `success` is a success above ½: `[episodes]`.
pub fn episode_advantages(
    layout: &Layout,
    rewards: &[impl Copy + Into<f64>],
    success: &[f32],
    config: &CreditConfig,
) -> EpisodeParts {
    let config = config.resolved();
    let by_step = config.statistics == Statistics::Step;
    let mut parts = EpisodeParts { advantages: vec![0.0; rewards.len()], statistics: Vec::new() };
    let rows: Vec<_> = layout.episode_rows().collect();
    for episodes in layout.group_episodes() {
        let outcome = |episode: usize| Outcome {
            count: if by_step { rows[episode].len() as f64 } else { 1.0 },
            total: rewards[rows[episode].clone()].iter().map(|&reward| reward.into()).sum(),
            success: success[episode] > 0.5,
        };
        let outcomes: Vec<Outcome> = episodes.clone().map(outcome).collect();
        let finite = outcomes.iter().all(|one| one.total.is_finite())
            && success[episodes.clone()].iter().all(|flag| flag.is_finite());
        let statistics =
            if finite { statistics(&outcomes, config.success_prior) } else { [f64::NAN; 3] };
        parts.statistics.extend(statistics);
        let [rate, mean, deviation] = statistics;
        let count: f64 = outcomes.iter().map(|one| one.count).sum();
        for (episode, one) in episodes.zip(&outcomes) {
            let scale =
                if config.normalize == Normalize::MeanStd { deviation + EPSILON } else { 1.0 };
            let single = by_step && count == 1.0 && finite;
            let centred = if single { one.total } else { (one.total - mean) / scale };
            let weight = match config.modulation {
                Modulation::On(curve) => weight(curve, rate, one.success),
                Modulation::Off | Modulation::Auto => 1.0,
            };
            parts.advantages[rows[episode].clone()].fill(centred * weight);
        }
    }
    parts
}

/// Success rate, mean and deviation of a group's episodes.
fn statistics(outcomes: &[Outcome], prior: SuccessPrior) -> [f64; 3] {
    let count: f64 = outcomes.iter().map(|one| one.count).sum();
    let mean_of = |of: &dyn Fn(&Outcome) -> f64| -> f64 {
        let sum: f64 = outcomes.iter().map(|one| one.count * of(one)).sum();
        if count > 0.0 { sum / count } else { 0.0 }
    };
    // Measured from the first, equal rewards are exactly equal to their mean.
    let first = outcomes.first().map_or(0.0, |one| one.total);
    let mean = first + mean_of(&|one| one.total - first);
    let variance = mean_of(&|one| (one.total - mean).powi(2));
    let deviation = if count > 1.0 { (variance * count / (count - 1.0)).sqrt() } else { 0.0 };
    let rate = mean_of(&|one| f64::from(u8::from(one.success)));
    let SuccessPrior::Beta(beta) = prior else { return [rate, mean, deviation] };
    let (episodes, strength) = (outcomes.len() as f64, beta.successes + beta.failures);
    let shrunk = (rate * episodes + beta.successes) / (episodes + strength);
    [if strength > 0.0 { shrunk } else { rate }, mean, deviation]
}

/// The modulation weight of an episode.
pub(super) fn weight(curve: Curve, rate: f64, success: bool) -> f64 {
    let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
    let signal =
        if success { (1.0 - rate).powf(curve.steepness) } else { -rate.powf(curve.steepness) };
    1.0 + curve.range * (logistic(signal) - 0.5) / (logistic(1.0) - 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_give_hand_computed_numbers() {
        let layout = Layout::new(&[0, 2, 3], &[0, 2, 3, 4]).unwrap();
        let (rewards, success) = ([1.0, 2.0, 5.0, 7.0], [1.0, 0.0, 1.0]);
        assert_eq!(returns(&layout, &rewards, 0.5), [2.0, 2.0, 5.0, 7.0]);
        let plain = CreditConfig { modulation: Modulation::Off, ..CreditConfig::default() };
        let parts = episode_advantages(&layout, &rewards, &success, &plain);
        assert_eq!(parts.advantages, [-1.0, -1.0, 1.0, 0.0]);
        assert_eq!(parts.statistics, [0.5, 4.0, 2f64.sqrt(), 1.0, 7.0, 0.0]);
        let by_step = CreditConfig { statistics: Statistics::Step, ..plain };
        let EpisodeParts { advantages, statistics } =
            episode_advantages(&layout, &rewards, &success, &by_step);
        assert_eq!((advantages[3], statistics[3]), (7.0, 1.0));
        assert!((statistics[0] - 2.0 / 3.0).abs() < 1e-15 && (statistics[1] - 11.0 / 3.0) < 1e-15);
    }
}
