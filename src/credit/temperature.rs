//! Choosing the temperature by how well it predicts.
//!
//! A baseline is good where it foretells the return. For every temperature of a grid each row's
//! return is predicted from the rows around it with the row itself left out; the mean squared
//! error, relative to the variance of the returns, is averaged over iterations (an exponential
//! mean), and the temperature with the least of it is used. The state is the caller's to keep: it
//! belongs into a checkpoint.

use serde::{Deserialize, Serialize};

use super::proximity::Proximity;

/// How much of the past an iteration keeps.
const MEMORY: f32 = 0.8;

/// The grid: half-octaves from 0.01 to 2, beyond which a kernel on cosines is a point or flat.
const STEPS: i32 = 16;

/// What credit assignment remembers from one iteration to the next.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CreditState {
    /// The averaged relative prediction error of each temperature of the grid; empty at first. In
    /// f32, which survives being written in decimals by whatever writes a checkpoint.
    pub prediction_errors: Vec<f32>,
}

/// The temperatures that `temperature = "auto"` chooses among.
pub fn grid() -> Vec<f64> {
    (0..STEPS).map(|step| 0.01 * 2f64.powf(f64::from(step) / 2.0)).collect()
}

/// Takes a batch's errors into the state and hands back the temperature to use.
///
/// A batch whose returns are all equal, or that has no two rows to compare, teaches nothing and
/// leaves the state as it is. `fallback` is used while nothing has been learnt.
pub fn choose(proximity: &Proximity, state: &mut CreditState, fallback: f64) -> f64 {
    let grid = grid();
    let variance = variance(proximity.returns);
    if variance > 0.0
        && let Some(errors) = proximity.prediction_errors(&grid)
    {
        let relative: Vec<f32> = errors.iter().map(|error| (error / variance) as f32).collect();
        state.learn(&relative);
    }
    state.best(&grid).unwrap_or(fallback)
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

/// The variance of some returns, 0 for none.
pub fn variance(returns: &[f32]) -> f64 {
    let count = returns.len().max(1) as f64;
    let mean = returns.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    returns.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_averages_and_points_at_the_least_error() {
        let mut state = CreditState::default();
        let grid = [0.1, 0.2, 0.4];
        assert_eq!(state.best(&grid), None);
        state.learn(&[0.9, 0.5, 0.8]);
        assert_eq!(state.best(&grid), Some(0.2));
        state.learn(&[0.4, 0.6, 0.8]);
        assert!((state.prediction_errors[0] - 0.8).abs() < 1e-6, "one batch does not turn it");
        assert_eq!(state.best(&grid), Some(0.2));
        for _ in 0..20 {
            state.learn(&[0.4, 0.6, 0.8]);
        }
        assert_eq!(state.best(&grid), Some(0.1));
    }

    #[test]
    fn a_state_from_another_grid_is_begun_anew() {
        let mut state = CreditState { prediction_errors: vec![1.0; 3] };
        assert_eq!(state.best(&[0.1, 0.2]), None);
        state.learn(&[0.5, 0.4]);
        assert_eq!(state.prediction_errors, [0.5, 0.4]);
    }
}
