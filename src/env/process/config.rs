//! Programs as a kind of environment.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::command::split_command;
use super::environment::Process;
use crate::env::check::number;
use crate::env::environment::Environment;
use crate::env::kind::EnvKind;
use crate::error::{Error, Result};

/// A program that speaks the environment protocol. It decides the step limit and the rewards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessConfig {
    /// The split to train on.
    #[garde(skip)]
    pub split: String,
    /// Command line of the program, split into words as a shell does; no shell is run. Relative paths
    /// start at the current folder.
    #[garde(custom(is_command))]
    pub command: String,
    /// Seconds until a program that owes an answer counts as hanging, counted from its last answer;
    /// 0 for no limit.
    #[garde(range(min = 0.0, max = 86_400.0), custom(number))]
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
        Self { split: "train".into(), command: String::new(), answer_timeout: 30.0, processes: 1 }
    }
}

impl EnvKind for ProcessConfig {
    fn name(&self) -> &'static str {
        "process"
    }

    fn about(&self) -> &'static str {
        "the tasks of a program of your own, which speaks the protocol of `proxmo env serve`"
    }

    fn splits(&self) -> &'static str {
        "the program's own, or train, valid"
    }

    fn split(&self) -> &str {
        &self.split
    }

    fn held_out_split(&self) -> &'static str {
        "valid"
    }

    fn open(&self, split: Option<&str>) -> Result<Box<dyn Environment>> {
        Ok(Box::new(Process::open(self, split)?))
    }

    fn workload(&self) -> String {
        format!("{}: {}", self.name(), self.command)
    }
}
