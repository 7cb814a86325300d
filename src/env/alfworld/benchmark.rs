//! The ALFWorld benchmark as a kind of environment.

use std::path::{Path, PathBuf};

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::annotations::Annotations;
use super::config::AlfWorldConfig;
use super::environment::AlfWorld;
#[cfg(feature = "fs")]
use super::load::LoadOptions;
use crate::env::environment::Environment;
use crate::env::kind::EnvKind;
#[cfg(not(feature = "fs"))]
use crate::error::Error;
use crate::error::Result;

/// The games of the ALFWorld benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default)]
pub struct BenchmarkConfig {
    /// Split to train on.
    #[garde(skip)]
    #[schemars(extend(
        "x-flag" = "train-split", "x-value" = "NAME", "x-former-flags" = ["split"]
    ))]
    pub split: String,
    /// Games: the folder json_2.1.1, an archive of it (zip, tar, tar.gz, tar.xz, tar.zst) or one
    /// game.tw-pddl. The default is $ALFWORLD_DATA, or ~/.cache/alfworld, which alfworld-download fills.
    #[garde(custom(is_set))]
    #[schemars(extend("format" = "path"))]
    pub games: PathBuf,
    /// File that lists the games to play: one name or path of a game or a task a line. Empty takes all.
    #[garde(skip)]
    #[schemars(extend("format" = "path", "x-value" = "FILE"))]
    pub list: PathBuf,
    /// Pass over games that cannot be read, and count them.
    #[garde(skip)]
    pub skip_broken: bool,
    /// Wording of goals: the game's own, one annotator's sentence per game, or a task for each sentence.
    #[garde(skip)]
    pub annotations: Annotations,
    /// Step limit and rewards.
    #[serde(flatten)]
    #[garde(dive)]
    pub rules: AlfWorldConfig,
    /// Share of observations that are paraphrased.
    #[garde(range(min = 0.0, max = 1.0))]
    pub paraphrase: f64,
}

/// A garde rule: the path must be set.
fn is_set(games: &Path, _: &()) -> garde::Result {
    match games.as_os_str().is_empty() {
        true => {
            let message = "is not set; expected the folder json_2.1.1 or its archive. Neither \
                           $ALFWORLD_DATA nor ~/.cache/alfworld, which alfworld-download fills, exists";
            Err(garde::Error::new(message))
        }
        false => Ok(()),
    }
}

/// The folder of the games if none is named: `$ALFWORLD_DATA`, or the folder that `alfworld-download`
/// fills. Returns its name in words too.
fn default_games() -> Option<(PathBuf, &'static str)> {
    if let Some(named) = std::env::var_os("ALFWORLD_DATA").filter(|value| !value.is_empty()) {
        return Some((named.into(), "$ALFWORLD_DATA"));
    }
    let cache = std::env::home_dir()?.join(".cache").join("alfworld");
    cache.is_dir().then_some((cache, "the folder of alfworld-download"))
}

impl Default for BenchmarkConfig {
    fn default() -> Self {
        Self {
            split: "train".into(),
            games: PathBuf::new(),
            list: PathBuf::new(),
            skip_broken: false,
            annotations: Annotations::Templated,
            rules: AlfWorldConfig::default(),
            paraphrase: 0.0,
        }
    }
}

impl BenchmarkConfig {
    /// Loads the games of a split, or of all splits.
    ///
    /// # Errors
    /// Returns an error if there are no such games, if a file is not a game of the known domain, or if
    /// the build has no file access.
    pub fn load(&self, split: Option<&str>) -> Result<AlfWorld> {
        self.read(split)?.with_paraphrase(self.paraphrase)
    }

    #[cfg(feature = "fs")]
    fn read(&self, split: Option<&str>) -> Result<AlfWorld> {
        let list = self.list.as_path();
        let options = LoadOptions {
            split: split.map(str::to_string),
            list: (!list.as_os_str().is_empty()).then(|| list.to_path_buf()),
            skip_broken: self.skip_broken,
            annotations: self.annotations,
            rules: self.rules,
        };
        AlfWorld::load_options(&self.games, &options, &mut |_, _| {})
    }

    #[cfg(not(feature = "fs"))]
    fn read(&self, _: Option<&str>) -> Result<AlfWorld> {
        Err(no_file_access(&self.games))
    }
}

/// Loads games whose wording is taken.
#[cfg(feature = "fs")]
pub(in crate::env) fn load_models(path: &Path, rules: AlfWorldConfig) -> Result<AlfWorld> {
    AlfWorld::load(path, None, rules)
}

/// Returns an error, because this build has no file access.
#[cfg(not(feature = "fs"))]
pub(in crate::env) fn load_models(path: &Path, _: AlfWorldConfig) -> Result<AlfWorld> {
    Err(no_file_access(path))
}

#[cfg(not(feature = "fs"))]
fn no_file_access(path: &Path) -> Error {
    let message = "cannot be read: this build has no file access (feature `fs`)";
    Error::file(path, message)
}

impl EnvKind for BenchmarkConfig {
    fn name(&self) -> &'static str {
        "alfworld"
    }

    fn about(&self) -> &'static str {
        "the games of the ALFWorld benchmark, from alfworld-download"
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
        let list = Some(&mut self.list).filter(|list| !list.as_os_str().is_empty());
        [&mut self.games].into_iter().chain(list).collect()
    }

    fn fill_in(&mut self) -> Option<String> {
        if !self.games.as_os_str().is_empty() {
            return None;
        }
        let (games, words) = default_games()?;
        let note = format!("the games are taken from {words}: {}", games.display());
        self.games = games;
        Some(note)
    }

    fn workload(&self) -> String {
        format!("{}, {} steps", self.name(), self.rules.max_steps)
    }
}
