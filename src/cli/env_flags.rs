//! Flags of the environment's settings, for commands that do not train.

use clap::{ArgMatches, Args, FromArgMatches, Id};

use super::settings::{Setting, SettingFlags, all_settings, augment, gather};
use crate::error::Result;
use crate::train::Config;

/// The flags of the environment's settings, and `--config`.
#[derive(Debug, Clone, Default)]
pub struct EnvFlags(SettingFlags);

impl EnvFlags {
    /// The configuration: defaults (or `base`), then `--config`'s file, then flags.
    pub fn resolve(&self, base: Option<Config>) -> Result<Config> {
        let mut config = self.0.merge(base)?;
        config.env.validate()?;
        if config.eval.split.is_empty() {
            config.eval.split = config.env.held_out_split().into();
        }
        Ok(config)
    }
}

/// The settings of the environment, without the split: each command has its own flag for that. Here
/// `--tasks` may be a number of tasks to play, so `env.tasks` has another flag.
pub fn env_settings() -> impl Iterator<Item = Setting> {
    let of_env = |(key, ..): &Setting| key.starts_with("env.") && *key != "env.split";
    all_settings().filter(of_env).map(|(key, flag, value, help)| {
        (key, if key == "env.tasks" { "train-tasks" } else { flag }, value, help)
    })
}

impl Args for EnvFlags {
    fn augment_args(command: clap::Command) -> clap::Command {
        augment(command, env_settings())
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }

    fn group_id() -> Option<Id> {
        None
    }
}

impl FromArgMatches for EnvFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(gather(matches, env_settings())))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
