//! Reading the values of flags.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, Command};
use serde_json::Value;

use super::known::describe_setting;
use crate::settings::Setting;

/// Reads the value of a setting.
#[derive(Debug, Clone)]
pub struct SettingParser(pub &'static Setting);

impl TypedValueParser for SettingParser {
    type Value = Value;

    fn parse_ref(
        &self,
        command: &Command,
        _: Option<&Arg>,
        raw: &OsStr,
    ) -> Result<Value, clap::Error> {
        let value = raw.to_str().ok_or_else(|| "is not UTF-8".to_string());
        value
            .and_then(|raw| self.0.parse(raw))
            .map_err(|problem| refuse(command, &describe_setting(self.0, &problem)))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        // The words of a static setting are static, as clap wants them.
        let setting: &'static Setting = self.0;
        let possible = |(word, about): (&'static str, &str)| {
            PossibleValue::new(word).help(first_sentence(about))
        };
        Some(Box::new(setting.words()?.into_iter().map(possible)))
    }
}

/// The first sentence of a doc comment, without the marks of Markdown.
fn first_sentence(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace(['`', '[', ']'], "");
    let end = text.find(". ").unwrap_or(text.len());
    text[..end].trim_end_matches('.').to_string()
}

/// Refuses a former flag, whatever its value.
#[derive(Debug, Clone)]
pub struct FormerFlag {
    /// The former flag.
    pub former: &'static str,
    /// The flag that replaces it.
    pub flag: &'static str,
}

impl TypedValueParser for FormerFlag {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        _: Option<&Arg>,
        _: &OsStr,
    ) -> Result<String, clap::Error> {
        let Self { former, flag } = self;
        Err(refuse(command, &format!("setting '--{former}': is now --{flag}")))
    }
}

fn refuse(command: &Command, message: &str) -> clap::Error {
    // A value may hold anything; the message is one line.
    let line: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clap::Error::raw(ErrorKind::ValueValidation, line).with_cmd(command)
}
