//! The flags of a command's settings, `--config` and `--preset`.

use std::marker::PhantomData;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, Id};
use serde_json::Value;

use super::known::settings_in;
use super::parser::{FormerFlag, SettingParser};
use super::scope::Scope;
use crate::settings::Setting;
use crate::train::Preset;

/// The flags of the settings in a scope, as they were given.
#[derive(Debug, Clone, Default)]
pub struct Flags<S: Scope> {
    /// The file of `--config`.
    pub(super) file: Option<PathBuf>,
    /// The name of `--preset`.
    pub(super) preset: Option<Preset>,
    /// The settings that flags give, and their values.
    pub(super) given: Vec<(&'static Setting, Value)>,
    scope: PhantomData<S>,
}

const CONFIG: &str = "config";
const PRESET: &str = "preset";

impl<S: Scope> Args for Flags<S> {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new(CONFIG)
            .long(CONFIG)
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("Read settings from a TOML file. Flags override it");
        let preset = Arg::new(PRESET)
            .long(PRESET)
            .value_name("NAME")
            .value_parser(Preset::ALL.iter().map(|preset| preset.name()).collect::<Vec<_>>())
            .conflicts_with(CONFIG)
            .help("Start from settings that work well together. Flags override them");
        let command = command.args(S::HAS_CONFIG.then_some(file));
        let command = command.args(S::HAS_PRESETS.then_some(preset));
        let command = command.args(settings_in::<S>().map(argument));
        command.args(settings_in::<S>().flat_map(switches::<S>)).args(former_flags::<S>())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }

    fn group_id() -> Option<Id> {
        None
    }
}

/// The argument of a setting.
fn argument(setting: &'static Setting) -> Arg {
    let argument = Arg::new(setting.flag.as_str())
        .long(setting.flag.as_str())
        .aliases(setting.aliases.iter().map(String::as_str))
        .help_heading(setting.heading.as_str())
        .value_name(setting.value_name.as_str())
        .value_parser(SettingParser(setting))
        .help(short_help(setting))
        .long_help(long_help(setting));
    match setting.is_switch() {
        // The value is optional: a word that begins with a hyphen is the next flag.
        true => argument.num_args(0..=1).default_missing_value("true"),
        false => argument.allow_hyphen_values(true),
    }
}

fn short_help(setting: &Setting) -> String {
    match setting.shown_default() {
        Some(default) => format!("{} [default: {default}]", setting.summary()),
        None => setting.summary(),
    }
}

fn long_help(setting: &Setting) -> String {
    let mut paragraphs = setting.description.clone();
    let mut facts = format!("Key: {}.", setting.key);
    // Words are listed by clap.
    if setting.words().is_none() && setting.expected() != "text" {
        facts += &format!(" Accepts {}.", setting.expected());
    }
    if let Some(default) = setting.shown_default() {
        facts += &format!(" [default: {default}]");
    }
    paragraphs.push(facts);
    paragraphs.join("\n\n")
}

/// Flags without a value that stand for a value of a setting.
fn switches<S: Scope>(setting: &'static Setting) -> impl Iterator<Item = Arg> {
    let within = format!("{}.", setting.key);
    let is_part =
        move |other: &&Setting| other.key == setting.key || other.key.starts_with(&within);
    setting.switches.iter().map(move |(flag, value)| {
        let others = S::all().iter().filter(&is_part);
        Arg::new(flag.as_str())
            .long(flag.as_str())
            .help_heading(setting.heading.as_str())
            .action(ArgAction::SetTrue)
            .conflicts_with_all(others.map(|other| other.flag.as_str()))
            .help(format!("The same as --{} {value}", setting.flag))
    })
}

/// Flags that are refused because they have another name now.
fn former_flags<S: Scope>() -> impl Iterator<Item = Arg> {
    let own = S::FORMER_FLAGS.iter().copied();
    let is_own = |former: &str| S::FORMER_FLAGS.iter().any(|(own, _)| *own == former);
    let of_settings = settings_in::<S>().flat_map(move |setting| {
        let all = setting.former_flags.iter().map(String::as_str);
        let others = all.filter(move |former| !is_own(former));
        others.map(|former| (former, setting.flag.as_str()))
    });
    own.chain(of_settings).map(|(former, flag)| {
        Arg::new(former)
            .long(former)
            .hide(true)
            .num_args(0..=1)
            .default_missing_value("")
            .value_parser(FormerFlag { former, flag })
    })
}

impl<S: Scope> FromArgMatches for Flags<S> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let named = if S::HAS_PRESETS { matches.get_one::<String>(PRESET) } else { None };
        let is_named = |preset: &Preset| named.is_some_and(|name| name == preset.name());
        let values = settings_in::<S>().flat_map(|setting| {
            let value = matches.get_one::<Value>(&setting.flag).cloned();
            let switches = setting.switches.iter().filter(|(flag, _)| matches.get_flag(flag));
            let switched = switches
                .map(|(_, value)| setting.parse(value).unwrap_or_else(|_| value.clone().into()));
            value.into_iter().chain(switched).map(move |value| (setting, value))
        });
        Ok(Self {
            file: if S::HAS_CONFIG { matches.get_one::<PathBuf>(CONFIG).cloned() } else { None },
            preset: Preset::ALL.iter().copied().find(is_named),
            given: values.collect(),
            scope: PhantomData,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
