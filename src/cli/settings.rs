//! Settings as flags: every key of `config.toml` has one.
//!
//! The list below is the only place where flags and keys meet; a test holds it against the
//! configuration, so that a new setting cannot be forgotten here.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Args, FromArgMatches, Id};
use toml::{Table, Value};

use crate::error::{Error, Result};
use crate::train::Config;

/// A setting: its key in `config.toml`, its flag, the name of its value, what it is.
type Setting = (&'static str, &'static str, &'static str, &'static str);

/// All settings, by section.
const SETTINGS: &[Setting] = &[
    ("run.seed", "seed", "N", "Seed that every random draw derives from"),
    ("run.backend", "backend", "NAME", "auto, vulkan, metal, dx12, gl, flex or ndarray"),
    ("run.device", "device", "N", "Which of the backend's devices"),
    ("run.iterations", "iterations", "N", "Iterations to train for"),
    ("run.minutes", "minutes", "N", "Stop after this many minutes if that is sooner; 0: no limit"),
    ("run.checkpoint_every", "checkpoint-every", "N", "Iterations from one checkpoint to the next"),
    ("run.keep", "keep", "N", "How many checkpoints are kept"),
    ("run.save_episodes", "save-episodes", "BOOL", "Write every iteration's episodes as JSONL"),
    ("env.name", "env", "NAME", "household (generated tasks) or alfworld (the benchmark's games)"),
    ("env.games", "games", "PATH", "ALFWorld: the folder json_2.1.1, or the archive that holds it"),
    ("env.split", "split", "NAME", "The split to train on"),
    ("env.max_steps", "max-steps", "N", "Steps after which an episode is cut off"),
    ("env.success_reward", "success-reward", "X", "Reward of the step that reaches the goal"),
    ("env.step_reward", "step-reward", "X", "Reward of every other step"),
    ("env.tasks", "tasks", "N", "Household: tasks to train on"),
    ("env.held_out", "held-out", "N", "Household: tasks held out"),
    ("env.task_seed", "task-seed", "N", "Household: seed that tasks are generated from"),
    (
        "env.household",
        "household",
        "TABLE",
        "Household: what tasks are like, as a TOML inline table",
    ),
    ("rollout.groups", "groups", "N", "Groups an iteration, each of one task"),
    ("rollout.episodes", "episodes", "N", "Episodes a group"),
    ("rollout.temperature", "rollout-temperature", "X", "Temperature that actions are sampled at"),
    ("policy.embedding", "policy-embedding", "N", "Length of a text's encoding"),
    ("policy.hidden", "hidden", "N", "Width of the hidden layers"),
    ("policy.max_words", "max-words", "N", "The most words that the vocabulary keeps"),
    ("credit.estimator", "estimator", "NAME", "Who says what a step was worth: proxmo, grpo, …"),
    ("credit.gamma", "gamma", "X", "Discount of a step"),
    ("credit.step_weight", "step-weight", "X", "Weight of the step part"),
    ("credit.episode_weight", "episode-weight", "X", "Weight of the episode part"),
    ("credit.normalize", "normalize", "NAME", "auto, mean or mean-std"),
    ("credit.statistics", "statistics", "NAME", "episode, or step as in the published codes"),
    ("credit.modulation", "modulation", "VALUE", "auto, off or { steepness = X, range = X }"),
    (
        "credit.success_prior",
        "success-prior",
        "VALUE",
        "none, fitted or { successes = X, failures = X }",
    ),
    ("credit.embedding", "embedding", "NAME", "How observations become vectors"),
    ("credit.max_features", "max-features", "N", "Terms that tf-idf keeps"),
    ("credit.temperature", "temperature", "X", "Temperature of the proximity kernel, or auto"),
    ("credit.self_weight", "self-weight", "NAME", "include or exclude a row's own return"),
    ("credit.same_episode", "same-episode", "NAME", "include or exclude a row's own episode"),
    ("update.epochs", "epochs", "N", "Passes over an iteration's rows"),
    ("update.minibatch", "minibatch", "N", "Rows a minibatch"),
    ("update.learning_rate", "learning-rate", "X", "AdamW's learning rate at the start"),
    ("update.schedule", "schedule", "NAME", "constant, linear or cosine"),
    ("update.warmup", "warmup", "N", "Iterations over which the learning rate first rises"),
    ("update.weight_decay", "weight-decay", "X", "AdamW's decoupled weight decay"),
    ("update.clip_low", "clip-low", "X", "Probability ratios are clipped from below at 1 - X"),
    ("update.clip_high", "clip-high", "X", "Probability ratios are clipped from above at 1 + X"),
    ("update.kl_weight", "kl-weight", "X", "Weight of the divergence from the reference policy"),
    ("update.entropy_weight", "entropy-weight", "X", "Weight of the entropy bonus"),
    (
        "update.invalid_action_penalty",
        "invalid-action-penalty",
        "X",
        "Taken off the reward of a step that was not admissible",
    ),
    ("update.max_gradient_norm", "max-gradient-norm", "X", "Largest norm of the gradient"),
    (
        "update.max_bad_updates",
        "max-bad-updates",
        "N",
        "Updates in a row that may be not finite before the run ends",
    ),
    (
        "eval.split",
        "eval-split",
        "NAME",
        "Held-out split; empty: valid (household), valid_seen (alfworld)",
    ),
    ("eval.tasks", "eval-tasks", "N", "How many held-out tasks; 0: all"),
    (
        "eval.every",
        "eval-every",
        "N",
        "Iterations from one evaluation to the next; 0: start and end alone",
    ),
    ("eval.temperature", "eval-temperature", "X", "0 plays greedily, more samples"),
];

/// The flags of all settings, and `--config`.
#[derive(Debug, Clone, Default)]
pub struct SettingFlags {
    file: Option<PathBuf>,
    given: Vec<(&'static Setting, String)>,
}

impl SettingFlags {
    /// The configuration: defaults (or `base`), then `--config`'s file, then flags.
    pub fn resolve(&self, base: Option<Config>) -> Result<Config> {
        let mut config = match (&self.file, base) {
            (Some(path), _) => read_config(path)?,
            (None, base) => base.unwrap_or_default(),
        };
        for (setting, raw) in &self.given {
            config = with(&config, setting, raw)?;
        }
        if config.eval.split.is_empty() {
            config.eval.split = config.env.held_out_split().into();
        }
        config.validate()?;
        Ok(config)
    }
}

/// Reads a `config.toml`.
pub fn read_config(path: &Path) -> Result<Config> {
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    Config::from_toml(&text, &path.display().to_string())
}

/// A configuration with one setting changed. A value that does not fit is told apart here, where the
/// flag is known.
fn with(config: &Config, (key, flag, ..): &Setting, raw: &str) -> Result<Config> {
    let refuse = |error: &dyn std::fmt::Display| {
        let message = error.to_string();
        let line = message.lines().map(str::trim).filter(|line| !line.is_empty());
        Error::setting(format!("--{flag}"), line.collect::<Vec<_>>().join("; "))
    };
    let mut table = Table::try_from(config).map_err(|error| refuse(&error))?;
    let (section, name) = key.split_once('.').unwrap_or((key, ""));
    let place = table.get_mut(section).and_then(Value::as_table_mut);
    if let Some(section) = place {
        let is_text = matches!(section.get(name), Some(Value::String(_)));
        section.insert(name.to_string(), parse(raw, is_text));
    }
    table.try_into().map_err(|error| refuse(&error))
}

/// A flag's value as TOML would read it; what is no TOML value is a string.
fn parse(raw: &str, is_text: bool) -> Value {
    if is_text && !raw.starts_with('{') {
        return Value::String(raw.to_string());
    }
    let line = format!("x = {raw}");
    let parsed = line.parse::<Table>().ok().and_then(|mut table| table.remove("x"));
    parsed.unwrap_or_else(|| Value::String(raw.to_string()))
}

/// A default as it is shown in `--help`.
fn show_default(defaults: &Table, key: &str) -> String {
    let (section, name) = key.split_once('.').unwrap_or((key, ""));
    match defaults.get(section).and_then(|section| section.get(name)) {
        Some(Value::String(text)) if text.is_empty() => String::new(),
        Some(Value::String(text)) => format!(" [default: {text}]"),
        Some(Value::Table(_)) | None => String::new(),
        Some(value) => format!(" [default: {value}]"),
    }
}

impl Args for SettingFlags {
    fn augment_args(command: clap::Command) -> clap::Command {
        let defaults = Table::try_from(Config::default()).unwrap_or_default();
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("Read settings from a TOML file; flags override it");
        SETTINGS.iter().fold(command.arg(file), |command, (key, flag, value, help)| {
            let section = key.split('.').next().unwrap_or_default();
            let arg = Arg::new(*key)
                .long(*flag)
                .value_name(*value)
                .help(format!("{help}{}", show_default(&defaults, key)))
                .help_heading(section)
                .allow_hyphen_values(true);
            let switch = *value == "BOOL";
            command.arg(if switch {
                arg.num_args(0..=1).default_missing_value("true")
            } else {
                arg
            })
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }

    fn group_id() -> Option<Id> {
        None
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let file = matches.get_one::<PathBuf>("config").cloned();
        let given = SETTINGS
            .iter()
            .filter_map(|setting| Some((setting, matches.get_one::<String>(setting.0)?.clone())))
            .collect();
        Ok(Self { file, given })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_setting_has_one_flag_and_every_flag_a_setting() {
        let table = Table::try_from(Config::default()).unwrap();
        let keys: BTreeSet<String> = table
            .iter()
            .flat_map(|(section, values)| {
                let values = values.as_table().unwrap();
                values.keys().map(move |name| format!("{section}.{name}"))
            })
            .collect();
        let listed: BTreeSet<String> = SETTINGS.iter().map(|one| one.0.to_string()).collect();
        assert_eq!(keys, listed);
        let flags: BTreeSet<&str> = SETTINGS.iter().map(|one| one.1).collect();
        assert_eq!(flags.len(), SETTINGS.len(), "two settings share a flag");
    }

    fn flags(given: &[(&str, &str)]) -> SettingFlags {
        let find = |flag: &str| SETTINGS.iter().find(|one| one.1 == flag).unwrap();
        let given = given.iter().map(|(flag, raw)| (find(flag), raw.to_string())).collect();
        SettingFlags { file: None, given }
    }

    #[test]
    fn flags_override_defaults_whatever_their_type() {
        let config = flags(&[
            ("seed", "7"),
            ("learning-rate", "1"),
            ("estimator", "grpo"),
            ("temperature", "auto"),
            ("modulation", "{ steepness = 2.0, range = 0.1 }"),
            ("eval-split", "7"),
        ])
        .resolve(None)
        .unwrap();
        assert_eq!((config.run.seed, config.update.learning_rate), (7, 1.0));
        assert_eq!(config.credit.temperature, crate::credit::Temperature::Auto);
        assert_eq!(config.eval.split, "7");
        assert_eq!(flags(&[]).resolve(None).unwrap().eval.split, "valid");
    }

    #[test]
    fn a_value_that_does_not_fit_names_its_flag() {
        let message = |flag, raw| flags(&[(flag, raw)]).resolve(None).unwrap_err().to_string();
        assert!(message("epochs", "many").contains("--epochs"));
        assert!(message("estimator", "magic").contains("--estimator"));
        assert!(message("groups", "0").contains("rollout.groups"));
        assert!(message("seed", "-1").contains("--seed"));
    }

    #[test]
    fn a_base_is_kept_where_no_flag_speaks() {
        let mut base = Config::default();
        base.run.iterations = 3;
        let config = flags(&[("seed", "5")]).resolve(Some(base)).unwrap();
        assert_eq!((config.run.iterations, config.run.seed), (3, 5));
    }
}
