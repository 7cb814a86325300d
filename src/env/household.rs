//! Household tasks that the crate generates: ALFWorld's rules and rooms, with texts of their own.

use std::path::PathBuf;

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alfworld::{AlfWorld, AlfWorldConfig, GeneratorConfig, generate, load_models};
use super::environment::Environment;
use super::kind::EnvKind;
use crate::error::{Error, Result};

/// The splits: tasks to train on, and held-out tasks.
const SPLITS: [&str; 2] = ["train", "valid"];

/// Generated household tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default)]
pub struct HouseholdConfig {
    /// Split to train on.
    #[garde(skip)]
    #[schemars(extend(
        "x-flag" = "train-split", "x-value" = "NAME", "x-former-flags" = ["split"]
    ))]
    pub split: String,
    /// Step limit and rewards.
    #[serde(flatten)]
    #[garde(dive)]
    pub rules: AlfWorldConfig,
    /// Share of observations that are paraphrased.
    #[garde(range(min = 0.0, max = 1.0))]
    pub paraphrase: f64,
    /// Folder or archive of ALFWorld games whose wording the tasks take; empty for the crate's own.
    #[garde(skip)]
    #[schemars(extend("format" = "path"))]
    pub like: PathBuf,
    /// Number of tasks to train on.
    #[garde(range(min = 1, max = 1_000_000))]
    #[schemars(extend("x-flag" = "train-tasks", "x-former-flags" = ["tasks"]))]
    pub tasks: usize,
    /// Number of held-out tasks.
    #[garde(range(min = 1, max = 1_000_000))]
    pub held_out: usize,
    /// Seed that tasks are generated from; held-out tasks take the next one.
    #[garde(range(min = 0, max = MAX_SEED))]
    pub task_seed: u64,
    /// How rooms and tasks are generated.
    #[garde(dive)]
    #[schemars(extend("x-former-keys" = ["household"]))]
    pub generator: GeneratorConfig,
}

/// TOML's largest integer, less one for the seed of the held-out tasks.
const MAX_SEED: u64 = i64::MAX as u64 - 1;

impl Default for HouseholdConfig {
    fn default() -> Self {
        Self {
            split: SPLITS[0].into(),
            rules: AlfWorldConfig::default(),
            paraphrase: 0.0,
            like: PathBuf::new(),
            tasks: 1000,
            held_out: 200,
            task_seed: 1,
            generator: GeneratorConfig::default(),
        }
    }
}

impl HouseholdConfig {
    /// Generates the tasks of a split, or of both splits in order.
    ///
    /// # Errors
    /// Returns an error if there is no such split, if a setting is out of range, or if the games of
    /// `like` cannot be read.
    pub fn generate(&self, split: Option<&str>) -> Result<AlfWorld> {
        let [train, held_out] = SPLITS;
        let of_split = |name: &str| {
            let (seed, tasks) = match name {
                _ if name == train => (self.task_seed, self.tasks),
                _ if name == held_out => (self.task_seed + 1, self.held_out),
                _ => {
                    let message =
                        format!("'{name}' is unknown, expected '{train}' or '{held_out}'");
                    return Err(Error::setting("split", message));
                }
            };
            Ok(generate(&self.generator, seed, tasks)?.into_split(name))
        };
        let tasks = match split {
            Some(split) => of_split(split)?,
            None => of_split(train)?.and(of_split(held_out)?),
        };
        let tasks = tasks.with_config(self.rules);
        let tasks = match self.like.as_os_str().is_empty() {
            true => tasks,
            false => tasks.worded_like(&load_models(&self.like, self.rules)?)?,
        };
        tasks.with_paraphrase(self.paraphrase)
    }
}

impl EnvKind for HouseholdConfig {
    fn name(&self) -> &'static str {
        "household"
    }

    fn about(&self) -> &'static str {
        "household tasks that proxmo generates, with texts of its own"
    }

    fn splits(&self) -> &'static str {
        "train, valid"
    }

    fn split(&self) -> &str {
        &self.split
    }

    fn held_out_split(&self) -> &'static str {
        SPLITS[1]
    }

    fn open(&self, split: Option<&str>) -> Result<Box<dyn Environment>> {
        Ok(Box::new(self.generate(split)?))
    }

    fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        vec![&mut self.like]
    }

    fn task_seed_mut(&mut self) -> Option<&mut u64> {
        Some(&mut self.task_seed)
    }

    fn workload(&self) -> String {
        format!("{}, {} steps", self.name(), self.rules.max_steps)
    }
}
