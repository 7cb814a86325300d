//! Step limit and rewards.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::settings::check;

/// Step limit and rewards of household tasks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default)]
pub struct AlfWorldConfig {
    /// Maximum number of steps per episode.
    #[garde(range(min = 1, max = 100_000))]
    pub max_steps: usize,
    /// Added to the reward of the step that reaches the goal.
    #[garde(range(min = -1e6, max = 1e6))]
    pub success_reward: f64,
    /// Reward of every step.
    #[garde(range(min = -1e6, max = 1e6))]
    pub step_reward: f64,
}

impl Default for AlfWorldConfig {
    fn default() -> Self {
        Self { max_steps: 50, success_reward: 1.0, step_reward: 0.0 }
    }
}

impl AlfWorldConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// Returns [`Error::Setting`](crate::error::Error::Setting) if a setting is out of range.
    pub fn validate(&self) -> Result<()> {
        check(self, "env")
    }
}
