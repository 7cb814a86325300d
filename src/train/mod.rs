//! Training: from a configuration to a trained policy.
//!
//! [`Trainer`] is the algorithm. It uses no files and no terminal; [`crate::runs`] adds both. Methods
//! that wait for a device have an asynchronous form, with the suffix `_async`, and a blocking form.

mod assign;
mod config;
mod differences;
mod distributed_config;
mod eval_config;
mod evaluate;
mod gradient;
mod imitation_config;
mod kind_result;
mod locate;
mod loss;
mod metrics;
mod preset;
mod progress;
mod rank_metrics;
mod scalars;
mod statistics;
mod surrogate;
mod trainer;
mod update;
mod update_batch;
mod update_config;
mod value_loss;
mod variation;

pub use crate::schedule::Schedule;
pub use config::{Config, RolloutConfig, RunConfig};
pub use differences::{
    NOT_SET, SettingChanges, SettingDifference, SettingsByKey, differences, settings_by_key,
};
pub use distributed_config::DistributedConfig;
pub use eval_config::{EvalConfig, EvalMetric};
pub use evaluate::{
    Evaluation, EvaluationPlan, FixedPolicy, Outcome, evaluate, evaluate_async, evaluate_fixed,
    evaluate_on_ranks_async, random_policy, spread,
};
pub use imitation_config::{EXPERT, ImitationConfig};
pub use kind_result::KindResult;
pub use loss::{Loss, LossInputs, loss};
pub use metrics::{
    EvaluationMetrics, IterationMetrics, Seconds, TokenMetrics, ValueMetrics, read_metrics,
};
pub use preset::Preset;
pub use progress::{EvaluationProgress, IterationProgress, UpdateProgress};
pub use rank_metrics::RankMetrics;
pub use surrogate::{LossConfig, Ratio, SurrogateLoss, TokenWeights, clipped_surrogate};
pub use trainer::Trainer;
pub use update::{Learner, UpdateStats};
pub use update_batch::UpdateBatch;
pub use update_config::{Aggregation, KlEstimator, UpdateConfig};
pub use value_loss::{ValueTargets, clipped_value_loss};

pub(crate) use assign::penalized;
