//! The names that most programs need.
//!
//! ```
//! use proxmo::prelude::*;
//! ```

pub use crate::credit::{Credit, CreditConfig, Estimator, ProxMo};
pub use crate::env::{Environment, Session, Texts, Transition};
pub use crate::episodes::{Batch, BatchBuilder, Episode, Step};
#[cfg(feature = "burn")]
pub use crate::policy::{
    Answer, Encoder, Inputs, Policy, PolicyConfig, PolicyKind, PolicySpec, Responses, Sampling,
    TokenScores,
};
#[cfg(all(feature = "burn", feature = "fs"))]
pub use crate::runs::{Recorder, Run, TrainedPolicy};
#[cfg(feature = "burn")]
pub use crate::train::{
    Config, Evaluation, EvaluationPlan, IterationMetrics, LossConfig, Trainer, clipped_surrogate,
    evaluate,
};
