//! The settings of imitation.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Imitation of demonstrations.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, Validate)]
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
}
