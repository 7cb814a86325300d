//! Choosing the temperature by prediction error.
//!
//! For every temperature of a grid, each row's return is predicted from the other rows
//! (leave-one-out). The mean squared error, relative to the variance of the returns, is averaged over
//! iterations (an exponential moving average), and the temperature with the smallest average is used.
//! The caller keeps the state; it belongs into a checkpoint.

use serde::{Deserialize, Serialize};

use crate::error::Result;

/// The weight of earlier iterations in the moving average.
const MEMORY: f32 = 0.8;

/// The size of the grid: half-octaves from 0.01 to 1.8. A kernel on cosines matches exactly below
/// that range and is flat above it.
const STEPS: i32 = 16;

/// The temperature of the paper, used before any batch could be learned from.
const FALLBACK: f64 = 0.1;

/// State of credit assignment that carries over from one iteration to the next.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CreditState {
    /// The averaged relative prediction error of each temperature of the grid; empty at first. In
    /// f32, which a decimal representation in a checkpoint preserves exactly.
    pub prediction_errors: Vec<f32>,
}

/// The temperatures that `temperature = "auto"` chooses among.
pub(crate) fn grid() -> Vec<f64> {
    (0..STEPS).map(|step| 0.01 * 2f64.powf(f64::from(step) / 2.0)).collect()
}

/// Adds a batch's errors to the state and returns the temperature to use.
///
/// `errors` computes the mean squared leave-one-out error at each of some temperatures, or nothing if
/// no row has another to be predicted from. Such a batch, and one whose returns are all equal, leaves
/// the state unchanged.
///
/// # Errors
/// Fails if `errors` fails.
pub(crate) fn choose(
    returns: &[f64],
    state: &mut CreditState,
    errors: impl FnOnce(&[f64]) -> Result<Option<Vec<f64>>>,
) -> Result<f64> {
    let grid = grid();
    let variance = variance(returns);
    if variance > 0.0
        && let Some(errors) = errors(&grid)?
    {
        let relative: Vec<f32> = errors.iter().map(|error| (error / variance) as f32).collect();
        state.learn(&relative);
    }
    Ok(state.best(&grid).unwrap_or(FALLBACK))
}

impl CreditState {
    fn learn(&mut self, errors: &[f32]) {
        if self.prediction_errors.len() != errors.len() {
            self.prediction_errors = errors.to_vec();
            return;
        }
        for (kept, error) in self.prediction_errors.iter_mut().zip(errors) {
            *kept = MEMORY * *kept + (1.0 - MEMORY) * error;
        }
    }

    fn best(&self, grid: &[f64]) -> Option<f64> {
        if self.prediction_errors.len() != grid.len() {
            return None;
        }
        let least = self.prediction_errors.iter().zip(grid).min_by(|a, b| a.0.total_cmp(b.0));
        least.map(|(_, &temperature)| temperature)
    }
}

/// The variance of returns, 0 without any.
pub(crate) fn variance(returns: &[f64]) -> f64 {
    let count = returns.len().max(1) as f64;
    // Measured from the first, equal returns have a variance of exactly 0.
    let first = returns.first().copied().unwrap_or(0.0);
    let mean = returns.iter().map(|value| value - first).sum::<f64>() / count;
    returns.iter().map(|value| (value - first - mean).powi(2)).sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_averages_errors_and_selects_the_smallest() {
        let mut state = CreditState::default();
        let grid = [0.1, 0.2, 0.4];
        assert_eq!(state.best(&grid), None);
        state.learn(&[0.9, 0.5, 0.8]);
        assert_eq!(state.best(&grid), Some(0.2));
        state.learn(&[0.4, 0.6, 0.8]);
        assert!((state.prediction_errors[0] - 0.8).abs() < 1e-6);
        assert_eq!(state.best(&grid), Some(0.2), "one batch does not change the choice");
        for _ in 0..20 {
            state.learn(&[0.4, 0.6, 0.8]);
        }
        assert_eq!(state.best(&grid), Some(0.1));
    }

    #[test]
    fn a_state_of_another_grid_is_replaced() {
        let mut state = CreditState { prediction_errors: vec![1.0; 3] };
        assert_eq!(state.best(&[0.1, 0.2]), None);
        state.learn(&[0.5, 0.4]);
        assert_eq!(state.prediction_errors, [0.5, 0.4]);
    }

    #[test]
    fn batches_without_information_leave_the_state_unchanged() {
        let mut state = CreditState::default();
        let unused = |_: &[f64]| unreachable!("equal returns have no errors");
        assert_eq!(choose(&[1.0, 1.0], &mut state, unused).unwrap(), FALLBACK);
        assert_eq!(choose(&[1.0, 2.0], &mut state, |_| Ok(None)).unwrap(), FALLBACK);
        assert_eq!(state, CreditState::default());
    }
}
