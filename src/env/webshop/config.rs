//! The rules of a shop: whose WebShop it is, where goals come from, the step limit.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::settings::check;

/// Whose WebShop is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// The original: goals shuffled by a fixed seed; the reward of a purchase is its score.
    WebShop,
    /// verl-agent's copy: goals shuffled by the environment's seed; a full score is rewarded by 10,
    /// anything less by 0.
    #[default]
    Verl,
}

/// Where goals come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GoalKind {
    /// Instructions that people wrote.
    #[default]
    Human,
    /// An instruction for every combination of a product's options.
    Synthetic,
}

/// Rules of the shop.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default)]
pub struct WebShopConfig {
    /// Whose WebShop is played: verl (verl-agent's copy) or webshop (the original).
    #[garde(skip)]
    pub flavour: Flavour,
    /// Origin of the goals: human (instructions that people wrote) or synthetic.
    #[garde(skip)]
    pub goals: GoalKind,
    /// Seed of prices and, with verl, of the order of goals.
    #[garde(range(min = 0, max = MAX_SEED))]
    pub task_seed: u64,
    /// Maximum number of steps per episode.
    #[garde(range(min = 1, max = 100_000))]
    pub max_steps: usize,
    /// Number of products that are sold, the first ones of the catalogue; 0 for all.
    #[garde(range(min = 0, max = 100_000_000))]
    pub products: usize,
    /// Whether an item's page links to its attributes.
    #[garde(skip)]
    pub show_attributes: bool,
}

/// TOML's largest integer.
const MAX_SEED: u64 = i64::MAX as u64;

impl Default for WebShopConfig {
    fn default() -> Self {
        Self {
            flavour: Flavour::Verl,
            goals: GoalKind::Human,
            task_seed: 0,
            max_steps: 15,
            products: 0,
            show_attributes: false,
        }
    }
}

impl WebShopConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// Returns [`Error::Setting`](crate::error::Error::Setting) if a setting is out of range.
    pub fn validate(&self) -> Result<()> {
        check(self, "env")
    }
}
