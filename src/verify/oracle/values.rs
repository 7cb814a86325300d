//! Credit from estimated values, by definition.

use super::play::{OracleEpisode, Row};
use super::statistics::{deviation, mean};
use crate::credit::{CreditConfig, Normalize};
use crate::episodes::Values;

/// The λ-return of a row (Sutton and Barto 2018, equation 12.3): the mean of its n-step returns, each of which
/// ends with the value of the state after n steps, with weights `(1 − λ) λ^(n−1)`; the one that reaches
/// the end has the rest. `at` is the row's place in the batch, `end` that of its episode.
pub(super) fn lambda_return(
    episode: &OracleEpisode,
    row: &Row,
    (at, end): (usize, usize),
    values: &Values,
    config: &CreditConfig,
) -> f64 {
    let (gamma, lambda) = (config.gamma, config.gae_lambda);
    let left = episode.rewards.len() - row.time;
    let n_step = |n: usize| {
        let rewards = &episode.rewards[row.time..row.time + n];
        let paid: f64 =
            rewards.iter().enumerate().map(|(k, reward)| gamma.powi(k as i32) * reward).sum();
        let value = if n < left { values.states[at + n] } else { values.ends[end] };
        paid + gamma.powi(n as i32) * value
    };
    let shorter: f64 = (1..left).map(|n| lambda.powi(n as i32 - 1) * n_step(n)).sum();
    (1.0 - lambda) * shorter + lambda.powi(left as i32 - 1) * n_step(left)
}

/// PPO's step part: what λ-returns exceed values by, normalized over the batch.
pub(super) fn above_values(rows: &[Row], values: &Values, config: &CreditConfig) -> Vec<f64> {
    let above: Vec<f64> =
        rows.iter().zip(&values.states).map(|(row, value)| row.value - value).collect();
    let scale = match config.normalize {
        Normalize::MeanStd => deviation(&above, 1) + super::credit::EPSILON,
        _ => 1.0,
    };
    let mean = mean(&above);
    above.iter().map(|one| (one - mean) / scale).collect()
}

/// A step part whose baselines are mixed with values.
pub(super) fn mixed(rows: &[Row], step: &[f64], values: &Values, weight: f64) -> Vec<f64> {
    let one = |((row, part), value): ((&Row, &f64), &f64)| {
        let baseline = row.value - part;
        row.value - ((1.0 - weight) * baseline + weight * value)
    };
    rows.iter().zip(step).zip(&values.states).map(one).collect()
}
