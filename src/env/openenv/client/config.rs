//! The settings of an OpenEnv server.

use std::path::PathBuf;

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::Address;
use crate::error::Error;

/// An OpenEnv server. Its observations and actions are texts, or fields of its schema that are given as
/// texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct OpenEnvConfig {
    /// Split to train on.
    #[garde(skip)]
    #[schemars(extend(
        "x-flag" = "train-split", "x-value" = "NAME", "x-former-flags" = ["split"]
    ))]
    pub split: String,
    /// Address of the server, such as ws://127.0.0.1:8000, or wss://HOST for an encrypted one.
    #[garde(custom(is_address))]
    #[schemars(extend("x-value" = "URL"))]
    pub url: String,
    /// File with the certificates (PEM) of the authorities to trust, for an encrypted server. Empty takes
    /// those of Mozilla's list.
    #[garde(skip)]
    #[schemars(extend("format" = "path", "x-value" = "FILE"))]
    pub ca_file: PathBuf,
    /// Field of an action that takes the text. Empty takes the only field that is required.
    #[garde(skip)]
    #[schemars(extend("x-value" = "NAME"))]
    pub action_field: String,
    /// Fields of an observation that make the text, with commas between them; `a.b` is the field b of a.
    /// Empty takes the only text that is required, or one with a common name.
    #[garde(skip)]
    #[schemars(extend("x-value" = "NAMES"))]
    pub observation_field: String,
    /// Field of an observation that lists the admissible actions. Empty takes one with a common name.
    #[garde(skip)]
    #[schemars(extend("x-value" = "NAME"))]
    pub actions_field: String,
    /// The admissible actions, with | between them, for a server that lists none.
    #[garde(skip)]
    #[schemars(extend("x-value" = "LIST"))]
    pub actions: String,
    /// Field of an observation that tells whether the goal is reached. Empty takes `success`, if there
    /// is one.
    #[garde(skip)]
    #[schemars(extend("x-value" = "NAME"))]
    pub success_field: String,
    /// An episode is a success if its rewards add up to more than this, or, with a success field, if
    /// the number there is larger.
    #[garde(dive)]
    pub success_above: Threshold,
    /// Maximum number of steps of an episode.
    #[garde(range(min = 1, max = 100_000))]
    pub max_steps: usize,
    /// Number of seeds that stand for tasks, for a server that lists no tasks.
    #[garde(range(min = 1, max = 1_000_000))]
    #[schemars(extend("x-flag" = "env-seeds"))]
    pub seeds: usize,
    /// Number of sessions at a time, if the server allows as many.
    #[garde(range(min = 1, max = 4096))]
    pub sessions: usize,
    /// Refuse a server whose episodes of one task and seed begin differently.
    #[garde(skip)]
    #[schemars(extend("x-switches" = {"no-check-seeds": "false"}))]
    pub check_seeds: bool,
    /// Seconds until a server that owes an answer counts as hanging; 0 for no limit.
    #[garde(range(min = 0.0, max = 86_400.0))]
    pub answer_timeout: f64,
}

/// A bound, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(rename_all = "lowercase", expecting = "expected off or a number")]
pub enum Threshold {
    /// There is none.
    #[default]
    Off,
    /// This one.
    #[serde(untagged)]
    At(#[garde(range(min = -1e9, max = 1e9))] f64),
}

fn is_address(url: &str, _: &()) -> garde::Result {
    match Address::parse(url) {
        Err(Error::Setting { message, .. }) => Err(garde::Error::new(message)),
        _ => Ok(()),
    }
}

impl Default for OpenEnvConfig {
    fn default() -> Self {
        Self {
            split: "train".into(),
            url: String::new(),
            ca_file: PathBuf::new(),
            action_field: String::new(),
            observation_field: String::new(),
            actions_field: String::new(),
            actions: String::new(),
            success_field: String::new(),
            success_above: Threshold::Off,
            max_steps: 50,
            seeds: 100,
            sessions: 16,
            check_seeds: true,
            answer_timeout: 30.0,
        }
    }
}
