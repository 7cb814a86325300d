//! Weighted statistics of episodes.

use super::config::Statistics;
use crate::episodes::Batch;

/// The weight of an episode in its group's statistics.
pub(crate) fn episode_weight(batch: &Batch, statistics: Statistics, episode: usize) -> f64 {
    match statistics {
        Statistics::Episode => 1.0,
        Statistics::Step => batch.rows_of_episode(episode).len() as f64,
    }
}

/// Mean and unbiased standard deviation of weighted values.
pub(crate) struct Weighted {
    /// The sum of the weights.
    pub total: f64,
    /// The mean; 0 if the weights sum to 0.
    pub mean: f64,
    /// The unbiased standard deviation; 0 if the weights sum to at most 1.
    pub deviation: f64,
}

impl Weighted {
    /// The statistics of `values`, each counted as often as its weight says.
    pub fn of(values: &[f64], weights: &[f64]) -> Self {
        let total: f64 = weights.iter().sum();
        // Measured from the first, equal values are exactly equal to their mean.
        let first = values.first().copied().unwrap_or(0.0);
        let beyond = |(value, weight): (&f64, &f64)| (value - first) * weight;
        let sum: f64 = values.iter().zip(weights).map(beyond).sum();
        let mean = if total > 0.0 { first + sum / total } else { 0.0 };
        let spread: f64 = values
            .iter()
            .zip(weights)
            .map(|(value, weight)| weight * (value - mean) * (value - mean))
            .sum();
        let deviation = if total > 1.0 { (spread / (total - 1.0)).sqrt() } else { 0.0 };
        Self { total, mean, deviation }
    }
}
