//! Input and output of an estimator.

use super::config::CreditConfig;
use super::modulation::GroupModulation;
use super::temperature::CreditState;
use crate::episodes::Batch;

/// The input of an estimator: a batch and settings that have been checked.
pub(crate) struct Task<'a> {
    pub batch: &'a Batch,
    /// Without any `auto` that depends on the estimator.
    pub config: &'a CreditConfig,
    pub state: &'a mut CreditState,
}

/// The output of an estimator.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Parts {
    /// The return of each row: `[rows]`.
    pub returns: Vec<f64>,
    /// The episode part of each episode's advantage: `[episodes]`.
    pub episode: Vec<f64>,
    /// The step part of each row's advantage.
    pub step: StepPart,
    /// Each group's modulation weights, empty without modulation: `[groups]`.
    pub modulation: Vec<GroupModulation>,
}

/// The step part of the advantages.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct StepPart {
    /// The step part of each row's advantage: `[rows]`.
    pub advantages: Vec<f64>,
    /// The baseline of each row's return: `[rows]`, or empty for estimators without baselines.
    pub baselines: Vec<f64>,
    /// The effective number of rows behind each baseline: `[rows]`, or empty.
    pub neighbours: Vec<f64>,
    /// The squared leave-one-out errors of the rows that have other rows to be predicted from.
    pub held_out: Vec<f64>,
    /// The temperature used, for estimators that have one.
    pub temperature: Option<f64>,
}

impl StepPart {
    /// No step part, for estimators that credit whole episodes.
    pub fn none(rows: usize) -> Self {
        Self { advantages: vec![0.0; rows], ..Self::default() }
    }
}

/// Rounds to 32 bits; a number beyond the range becomes the largest finite one.
pub(crate) fn narrowed(value: f64) -> f32 {
    value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}
