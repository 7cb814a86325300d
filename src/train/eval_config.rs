//! The settings of evaluations.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kind_result::KindResult;

/// The number that evaluations are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EvalMetric {
    /// Success, or score, or return: the first that the environment reports.
    #[default]
    Auto,
    /// The fraction of tasks that succeeded.
    Success,
    /// The mean score.
    Score,
    /// The mean return.
    Return,
}

impl EvalMetric {
    /// The number of a result; absent if the environment does not report it.
    pub fn of(self, result: &KindResult) -> Option<f64> {
        match self {
            Self::Auto => result.success.or(result.score).or(result.mean_return),
            Self::Success => result.success,
            Self::Score => result.score,
            Self::Return => result.mean_return,
        }
    }
}

/// Evaluation on held-out tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct EvalConfig {
    /// Held-out split. Empty takes the environment's: valid, or valid_seen on ALFWorld.
    #[garde(skip)]
    #[schemars(extend("x-flag" = "eval-split", "x-value" = "NAME"))]
    pub split: String,
    /// Number of tasks to evaluate, spread over the split. 0 takes all.
    #[garde(range(max = 1_000_000_000))]
    #[schemars(extend("x-flag" = "eval-tasks"))]
    pub tasks: usize,
    /// Iterations between evaluations. 0 evaluates only at the start and the end.
    #[garde(range(max = 10_000_000))]
    #[schemars(extend("x-flag" = "eval-every"))]
    pub every: u64,
    /// Number that decides which evaluation is the best: success, score, return, or auto for the first
    /// of these that the environment reports.
    #[garde(skip)]
    #[schemars(extend("x-flag" = "eval-metric"))]
    pub metric: EvalMetric,
    /// Sampling temperature of evaluations. 0 takes the most probable action.
    #[garde(range(min = 0.0, max = 100.0))]
    #[schemars(extend("x-flag" = "eval-temperature"))]
    pub temperature: f32,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self {
            split: String::new(),
            tasks: 0,
            every: 25,
            metric: EvalMetric::Auto,
            temperature: 0.0,
        }
    }
}
