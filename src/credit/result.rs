//! The result of credit assignment.

use super::diagnostics::CreditDiagnostics;

/// The advantage of each step, and the quantities that it was computed from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Credit {
    /// The return of each row, as the estimator defines it: `[rows]`.
    pub returns: Vec<f64>,
    /// The episode part of each row's advantage: `[rows]`.
    pub episode_advantages: Vec<f64>,
    /// The step part of each row's advantage: `[rows]`.
    pub step_advantages: Vec<f64>,
    /// `episode_weight · episode part + step_weight · step part`: `[rows]`.
    pub advantages: Vec<f64>,
    /// The baseline of each row's return: `[rows]`, or empty for an estimator that credits whole
    /// episodes.
    pub baselines: Vec<f64>,
    /// Statistics for monitoring.
    pub diagnostics: CreditDiagnostics,
}

impl Credit {
    /// The advantages rounded to 32 bits, as tensors hold them: `[rows]`. A number beyond their range
    /// becomes the largest finite one.
    pub fn advantages_f32(&self) -> Vec<f32> {
        self.advantages.iter().map(|&advantage| narrowed(advantage)).collect()
    }

    /// The returns rounded to 32 bits, as [`Credit::advantages_f32`]: `[rows]`.
    pub fn returns_f32(&self) -> Vec<f32> {
        self.returns.iter().map(|&one| narrowed(one)).collect()
    }
}

fn narrowed(value: f64) -> f32 {
    value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}
