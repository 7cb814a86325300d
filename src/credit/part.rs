//! What an estimator's step part hands back.

/// The step part of the advantages, with what is worth knowing about how it came about.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepPart {
    /// The advantage of each row within its surroundings: `[rows]`.
    pub advantages: Vec<f64>,
    /// What each row's return was compared with: `[rows]`, or empty where nothing was.
    pub baselines: Vec<f64>,
    /// How many rows each baseline effectively averages: `[rows]`, or empty.
    pub neighbours: Vec<f64>,
    /// The squared errors of predicting a row's return from the others, for the rows that have any.
    pub held_out: Vec<f64>,
    /// The temperature used, where there is one.
    pub temperature: Option<f64>,
}

impl StepPart {
    /// No step part: estimators that credit whole episodes.
    pub fn none(rows: usize) -> Self {
        Self { advantages: vec![0.0; rows], ..Self::default() }
    }
}

/// A number in 32 bits; the largest one that there is where it would be infinite.
pub fn narrowed(value: f64) -> f32 {
    value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}
