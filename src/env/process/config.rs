//! Programs as a kind of environment.

use std::path::PathBuf;

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::command::split_command;
use crate::error::Error;

/// A program that speaks the environment protocol. It decides the step limit and the rewards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessConfig {
    /// Split to train on.
    #[garde(skip)]
    #[schemars(extend(
        "x-flag" = "train-split", "x-value" = "NAME", "x-former-flags" = ["split"]
    ))]
    pub split: String,
    /// Command line of the program, split into words as a shell does (on Windows only "…" quotes, and
    /// backslashes stay); no shell is run. Relative paths start at the working folder.
    #[garde(custom(is_command))]
    #[schemars(extend("x-value" = "LINE"))]
    pub command: String,
    /// Folder in which the program runs. Empty takes the current one, which a run records.
    #[garde(skip)]
    #[schemars(extend("format" = "path", "x-value" = "DIR"))]
    pub working_folder: PathBuf,
    /// Seconds until a program that owes an answer counts as hanging, counted from its last answer;
    /// 0 for no limit.
    #[garde(range(min = 0.0, max = 86_400.0))]
    pub answer_timeout: f64,
    /// Number of copies of the program that run in parallel.
    #[garde(range(min = 1, max = 256))]
    pub processes: usize,
}

fn is_command(command: &str, _: &()) -> garde::Result {
    match split_command(command) {
        Err(Error::Setting { message, .. }) => Err(garde::Error::new(message)),
        _ => Ok(()),
    }
}

impl Default for ProcessConfig {
    fn default() -> Self {
        Self {
            split: "train".into(),
            command: String::new(),
            working_folder: PathBuf::new(),
            answer_timeout: 30.0,
            processes: 1,
        }
    }
}
