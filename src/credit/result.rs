//! The result of credit assignment.

use super::diagnostics::CreditDiagnostics;

/// The advantage of each step, and the quantities that it was computed from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Credit {
    /// The return of each row, as the estimator defines it: `[rows]`.
    pub returns: Vec<f32>,
    /// The episode part of each row's advantage: `[rows]`.
    pub episode_advantages: Vec<f32>,
    /// The step part of each row's advantage: `[rows]`.
    pub step_advantages: Vec<f32>,
    /// `episode_weight · episode part + step_weight · step part`: `[rows]`.
    pub advantages: Vec<f32>,
    /// The baseline of each row's return: `[rows]`, or empty for an estimator that credits whole
    /// episodes.
    pub baselines: Vec<f32>,
    /// Statistics for monitoring.
    pub diagnostics: CreditDiagnostics,
}
