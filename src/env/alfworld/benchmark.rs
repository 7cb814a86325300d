//! The ALFWorld benchmark as a kind of environment.

use std::path::{Path, PathBuf};

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::config::AlfWorldConfig;
use super::environment::AlfWorld;
use crate::env::check::number;
use crate::env::environment::Environment;
use crate::env::kind::EnvKind;
#[cfg(not(feature = "fs"))]
use crate::error::Error;
use crate::error::Result;

/// The games of the ALFWorld benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default)]
pub struct BenchmarkConfig {
    /// The split to train on.
    #[garde(skip)]
    pub split: String,
    /// Folder `json_2.1.1` of the games, or the archive that holds it.
    #[garde(custom(is_set))]
    pub games: PathBuf,
    /// Step limit and rewards.
    #[serde(flatten)]
    #[garde(dive)]
    pub rules: AlfWorldConfig,
    /// Share of observations that are paraphrased.
    #[garde(range(min = 0.0, max = 1.0), custom(number))]
    pub paraphrase: f64,
}

fn is_set(games: &Path, _: &()) -> garde::Result {
    match games.as_os_str().is_empty() {
        true => {
            let message = "is not set; name the folder json_2.1.1 that alfworld-download makes";
            Err(garde::Error::new(message))
        }
        false => Ok(()),
    }
}

impl Default for BenchmarkConfig {
    fn default() -> Self {
        Self {
            split: "train".into(),
            games: PathBuf::new(),
            rules: AlfWorldConfig::default(),
            paraphrase: 0.0,
        }
    }
}

impl BenchmarkConfig {
    /// Reads the games of a split, or of all splits.
    ///
    /// # Errors
    /// Returns an error if there are no such games, if a file is not a game of the known domain, or if
    /// the build has no file access.
    pub fn load(&self, split: Option<&str>) -> Result<AlfWorld> {
        load_games(&self.games, split, self.rules)?.with_paraphrase(self.paraphrase)
    }
}

/// Reads games.
#[cfg(feature = "fs")]
pub(in crate::env) fn load_games(
    path: &Path,
    split: Option<&str>,
    rules: AlfWorldConfig,
) -> Result<AlfWorld> {
    AlfWorld::load(path, split, rules)
}

/// Refuses to read games.
#[cfg(not(feature = "fs"))]
pub(in crate::env) fn load_games(
    path: &Path,
    _: Option<&str>,
    _: AlfWorldConfig,
) -> Result<AlfWorld> {
    let message = "cannot be read: this build has no file access (feature `fs`)";
    Err(Error::file(path, message))
}

impl EnvKind for BenchmarkConfig {
    fn name(&self) -> &'static str {
        "alfworld"
    }

    fn about(&self) -> &'static str {
        "the games of the ALFWorld benchmark; alfworld-download gets them"
    }

    fn splits(&self) -> &'static str {
        "the folders of the games: train, valid_seen, valid_unseen"
    }

    fn split(&self) -> &str {
        &self.split
    }

    fn held_out_split(&self) -> &'static str {
        "valid_seen"
    }

    fn open(&self, split: Option<&str>) -> Result<Box<dyn Environment>> {
        Ok(Box::new(self.load(split)?))
    }

    fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        vec![&mut self.games]
    }

    fn workload(&self) -> String {
        format!("{}, {} steps", self.name(), self.rules.max_steps)
    }
}
