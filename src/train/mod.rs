//! Training: from a configuration to a policy that plays.
//!
//! [`Trainer`] is the algorithm and touches no file.

mod assign;
mod blame;
mod config;
mod evaluate;
mod gradient;
mod loss;
mod metrics;
pub(crate) mod optimizer;
mod preset;
mod tally;
mod trainer;
mod update;

pub use config::{
    Aggregation, Config, EvalConfig, ImitationConfig, PolicyConfig, RolloutConfig, RunConfig,
    Schedule, UpdateConfig,
};
pub use evaluate::{
    Evaluation, Exam, FixedPolicy, KindResult, Outcome, Watch, evaluate, evaluate_fixed,
    evaluate_with, random_policy, spread,
};
pub use loss::{Loss, LossInputs, loss};
pub use metrics::{EvaluationMetrics, IterationMetrics, Seconds, read_metrics};
pub use preset::Preset;
pub use trainer::Trainer;
pub use update::{Learner, Lesson, UpdateStats};
