//! The settings that there are, with their flags.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scope::{EnvOnly, Scope};
use crate::error::Error;
use crate::lm::{FitConfig, LoraConfig};
use crate::settings::{Setting, schema_of, settings_of};
use crate::train::Config;

/// All settings, in the order of the configuration.
pub fn all_settings() -> &'static [Setting] {
    static ALL: LazyLock<Vec<Setting>> = LazyLock::new(|| settings_of(Config::schema()));
    &ALL
}

/// The settings of fitting a language model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FitSettings {
    /// Steps and optimizer.
    pub fit: FitConfig,
    /// The adapter that is trained.
    pub lora: LoraConfig,
}

/// All settings of [`FitSettings`].
pub fn fit_settings() -> &'static [Setting] {
    static ALL: LazyLock<Vec<Setting>> = LazyLock::new(|| settings_of(&schema_of::<FitSettings>()));
    &ALL
}

/// The settings that a command takes.
pub fn settings_in<S: Scope>() -> impl Iterator<Item = &'static Setting> {
    S::all().iter().filter(|setting| S::includes(setting))
}

/// The settings of the environments, as [`EnvOnly`] takes them.
pub fn env_settings() -> impl Iterator<Item = &'static Setting> {
    settings_in::<EnvOnly>()
}

/// The summary of the setting with a key, for other flags that mean the same.
pub fn setting_summary(key: &str) -> String {
    let setting = all_settings().iter().find(|setting| setting.key == key);
    setting.map(Setting::summary).unwrap_or_default()
}

/// An error in one line. A setting's key is followed by its flag.
pub fn describe(error: &Error) -> String {
    let (key, message) = match error {
        Error::Setting { key, message } => (key, message),
        Error::WrongDevice(_) => return format!("{error} (--no-check uses it nevertheless)"),
        error => return with_flags(error.to_string()),
    };
    match all_settings().iter().chain(fit_settings()).find(|setting| setting.key == *key) {
        Some(setting) => describe_setting(setting, message),
        None => error.to_string(),
    }
}

/// A message in which "set <key>" names the flag of the setting too.
fn with_flags(message: String) -> String {
    let Some((before, after)) = message.split_once("; set ") else { return message };
    let key = after.split(' ').next().unwrap_or_default();
    match all_settings().iter().find(|setting| setting.key == key) {
        Some(setting) => {
            let rest = &after[key.len()..];
            format!("{before}; set {key} (--{}){rest}", setting.flag)
        }
        None => message,
    }
}

/// What is wrong with a setting, with its key and its flag.
pub fn describe_setting(setting: &Setting, message: &str) -> String {
    format!("setting '{}' (--{}): {message}", setting.key, setting.flag)
}
