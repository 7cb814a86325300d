//! Which settings a command takes as flags.

use std::fmt::Debug;

use super::known::{all_settings, fit_settings};
use crate::settings::Setting;

/// A choice of settings.
pub trait Scope: Debug + Clone + Default + Send + Sync + 'static {
    /// Whether the command offers `--config`.
    const HAS_CONFIG: bool = true;
    /// Whether the command offers `--preset`.
    const HAS_PRESETS: bool = false;
    /// Former flags of the command that no setting states, each with the flag that replaces it.
    const FORMER_FLAGS: &'static [(&'static str, &'static str)] = &[];

    /// The settings that there are.
    fn all() -> &'static [Setting] {
        all_settings()
    }

    /// Whether the command takes a setting.
    fn includes(setting: &Setting) -> bool;
}

/// All settings.
#[derive(Debug, Clone, Default)]
pub struct Whole;

impl Scope for Whole {
    const HAS_PRESETS: bool = true;

    fn includes(_: &Setting) -> bool {
        true
    }
}

/// The settings of credit assignment.
#[derive(Debug, Clone, Default)]
pub struct CreditOnly;

impl Scope for CreditOnly {
    const FORMER_FLAGS: &'static [(&'static str, &'static str)] =
        &[("invalid-action-penalty", "credit-invalid-action-penalty")];

    fn includes(setting: &Setting) -> bool {
        setting.section == "credit"
    }
}

/// The settings of the environment, for commands that choose the split themselves.
#[derive(Debug, Clone, Default)]
pub struct EnvOnly;

impl Scope for EnvOnly {
    fn includes(setting: &Setting) -> bool {
        setting.section == "env" && setting.key != "env.split"
    }
}

/// The settings of an evaluation.
#[derive(Debug, Clone, Default)]
pub struct Evaluation;

impl Scope for Evaluation {
    const FORMER_FLAGS: &'static [(&'static str, &'static str)] = &[
        ("temperature", "eval-temperature"),
        ("tasks", "eval-tasks"),
        ("episodes", "episode-file"),
    ];

    fn includes(setting: &Setting) -> bool {
        let own = [
            "run.backend",
            "run.device",
            "eval.tasks",
            "eval.temperature",
            "policy.response",
            "distributed.parts",
            "distributed.timeout",
        ];
        EnvOnly::includes(setting) || own.contains(&setting.key.as_str())
    }
}

/// The settings of fitting a language model.
#[derive(Debug, Clone, Default)]
pub struct Fitting;

impl Scope for Fitting {
    const HAS_CONFIG: bool = false;

    fn all() -> &'static [Setting] {
        fit_settings()
    }

    fn includes(_: &Setting) -> bool {
        true
    }
}
