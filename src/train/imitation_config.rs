//! The settings of imitation.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The source of demonstrations that the environment's expert plays.
pub const EXPERT: &str = "expert";

/// Imitation of demonstrations.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ImitationConfig {
    /// Source of demonstrations: expert, walkthroughs or an episode file. Empty trains by
    /// reinforcement learning.
    #[garde(skip)]
    #[schemars(extend("x-flag" = "imitate", "x-value" = "SOURCE", "x-aliases" = ["from"]))]
    pub from: String,
    /// Number of tasks (for a file: episodes) to imitate. 0 takes all.
    #[garde(range(max = 1_000_000_000))]
    #[schemars(extend("x-flag" = "imitation-tasks", "x-aliases" = ["clone-tasks"]))]
    pub tasks: usize,
    /// Probability that a step of the expert's demonstrations takes a random admissible action, which is
    /// not imitated: so the policy learns to recover from mistakes (DART, arXiv 1703.09327). Above 0, the
    /// expert plays anew for each iteration.
    #[garde(range(min = 0.0, max = 0.9))]
    #[schemars(extend("x-flag" = "expert-noise"))]
    pub noise: f64,
    /// Weight of the loss of predicting the environment's tokens, for a policy that predicts them (a
    /// language model).
    #[garde(range(min = 0.0, max = 1e6))]
    #[schemars(extend("x-flag" = "observation-weight"))]
    pub observation_weight: f64,
}
