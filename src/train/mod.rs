//! Training: from a configuration to a policy that plays.
//!
//! [`Trainer`] is the algorithm and touches no file. [`Run`] gives it a folder: metrics, checkpoints,
//! evaluation, resuming. [`auto`] chooses a device by measuring.

pub mod auto;
mod blame;
pub mod checkpoint;
mod config;
mod demonstrations;
mod evaluate;
mod gradient;
mod loss;
mod metrics;
mod metrics_file;
mod optimizer;
mod preset;
mod run;
mod tally;
mod trainer;
mod update;

pub use config::{
    Aggregation, CloneConfig, Config, EvalConfig, PolicyConfig, RolloutConfig, RunConfig, Schedule,
    UpdateConfig,
};
pub use demonstrations::{demonstrations, demonstrations_of};
pub use evaluate::{
    Evaluation, Exam, FixedPolicy, KindResult, Outcome, Watch, evaluate, evaluate_fixed,
    evaluate_with, random_policy, spread,
};
pub use loss::{Loss, LossInputs, loss};
pub use metrics::{EvaluationMetrics, IterationMetrics, Seconds, read_metrics};
pub use preset::Preset;
pub use run::{Event, Run, Summary};
pub use trainer::Trainer;
pub use update::{Learner, Lesson, UpdateStats};
