//! Training: from a configuration to a policy that plays.
//!
//! [`Trainer`] is the algorithm and touches no file. [`Run`] gives it a folder: metrics, checkpoints,
//! evaluation, resuming. [`auto`] chooses a device by measuring.

pub mod auto;
pub mod checkpoint;
mod config;
mod evaluate;
mod loss;
mod metrics;
mod run;
mod trainer;
mod update;

pub use config::{
    Config, EvalConfig, PolicyConfig, RolloutConfig, RunConfig, Schedule, UpdateConfig,
};
pub use evaluate::{
    Evaluation, FixedPolicy, KindResult, Outcome, Watch, evaluate, evaluate_fixed, random_policy,
    spread,
};
pub use loss::{Loss, LossInputs, loss};
pub use metrics::{IterationMetrics, Seconds, read_metrics};
pub use run::{Event, Run, Summary};
pub use trainer::Trainer;
pub use update::{Learner, Lesson, UpdateStats};
