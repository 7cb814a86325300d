//! Settings as flags: every key of `config.toml` has one.

mod list;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches, Id};
use toml::{Table, Value};

use self::list::{OFF, SETTINGS, SHORTHANDS};
use crate::credit::CreditConfig;
use crate::error::{Error, Result};
use crate::train::{Config, Preset};

pub(super) use self::list::Setting;

/// The section that `proxmo credit` has the flags of.
const CREDIT: &str = "credit";

/// The flags of all settings, `--config` and `--preset`.
#[derive(Debug, Clone, Default)]
pub struct SettingFlags {
    file: Option<PathBuf>,
    preset: Option<Preset>,
    given: Vec<(Setting, String)>,
}

impl SettingFlags {
    /// Reads the flags of settings off words, as a command line has them, but for `--config`.
    ///
    /// # Errors
    /// Says in a line which word is not understood.
    pub(super) fn of_words(words: &[&str]) -> Result<Self, String> {
        let command = augment(clap::Command::new("settings"), all_settings())
            .no_binary_name(true)
            .disable_help_flag(true);
        let matches = command.try_get_matches_from(words).map_err(|error| {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            line.trim_start_matches("error: ").to_string()
        })?;
        let flags = gather(&matches, all_settings());
        match flags.file {
            Some(_) => Err("--config holds for all variants and stands by itself".into()),
            None => Ok(flags),
        }
    }

    /// The configuration: defaults (or `base`, or `--preset`'s, or `--config`'s file), then flags.
    pub fn resolve(&self, base: Option<Config>) -> Result<Config> {
        let mut config = self.merge(base)?;
        if config.eval.split.is_empty() {
            config.eval.split = config.env.held_out_split().into();
        }
        config.validate()?;
        Ok(config)
    }

    /// The same without a check of what comes out.
    pub(super) fn merge(&self, base: Option<Config>) -> Result<Config> {
        let config = match (&self.file, self.preset, base) {
            (Some(path), ..) => read_config(path)?,
            (None, Some(preset), _) => preset.config(),
            (None, None, base) => base.unwrap_or_default(),
        };
        self.given.iter().try_fold(config, |config, (setting, raw)| with(&config, setting, raw))
    }
}

/// The flags of the settings of credit assignment, and `--config`.
#[derive(Debug, Clone, Default)]
pub struct CreditFlags(SettingFlags);

impl CreditFlags {
    /// The settings: defaults, then the `[credit]` table of `--config`'s file, then flags.
    pub fn resolve(&self) -> Result<CreditConfig> {
        let config = self.0.merge(None)?.credit;
        config.validate()?;
        Ok(config)
    }
}

/// The most bytes of a `config.toml`. One with every setting has some 3,000.
const MAX_BYTES: u64 = 1 << 20;

/// Reads a `config.toml`.
pub fn read_config(path: &Path) -> Result<Config> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let mut text = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut text).map_err(Error::io("read", path))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(Error::file(path, format!("expected at most {MAX_BYTES} bytes of settings")));
    }
    let text = String::from_utf8(text)
        .map_err(|_| Error::file(path, "expected UTF-8 text, found other bytes"))?;
    Config::from_toml(&text, &path.display().to_string())
}

/// A run's own `config.toml` is to find everything from wherever it is read.
pub(super) fn make_paths_absolute(config: &mut Config) -> Result<()> {
    for path in config.env.paths_mut().into_iter().chain([&mut config.run.init]) {
        if !path.as_os_str().is_empty() {
            *path = std::path::absolute(&*path).map_err(Error::io("find", path))?;
        }
    }
    let from = Path::new(&config.clone.from);
    if from.is_file() {
        let from = std::path::absolute(from).map_err(Error::io("find", from))?;
        config.clone.from = from.to_string_lossy().into_owned();
    }
    Ok(())
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
    if *key == "env.name" && raw != config.env.name() {
        // Another kind of environment begins with its own defaults.
        table.insert("env".into(), Table::new().into());
    }
    insert(&mut table, key, raw);
    table.try_into().map_err(|error| refuse(&error))
}

/// Sets a key, be it in a table within the table. A word where that should be gives way to it.
fn insert(table: &mut Table, key: &str, raw: &str) {
    let Some((outer, inner)) = key.split_once('.') else {
        let is_text = matches!(table.get(key), Some(Value::String(_)));
        table.insert(key.to_string(), parse(raw, is_text));
        return;
    };
    let place = table.entry(outer).or_insert_with(|| Table::new().into());
    if !place.is_table() {
        *place = Table::new().into();
    }
    if let Some(table) = place.as_table_mut() {
        insert(table, inner, raw);
    }
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
pub(super) fn show_default(defaults: &Table, key: &str) -> String {
    let (section, name) = key.split_once('.').unwrap_or((key, ""));
    match defaults.get(section).and_then(|section| section.get(name)) {
        Some(Value::String(text)) if text.is_empty() => String::new(),
        Some(Value::String(text)) => format!(" [default: {text}]"),
        Some(Value::Table(_)) | None => String::new(),
        Some(value) => format!(" [default: {value}]"),
    }
}

/// All settings with their flags.
pub(super) fn all_settings() -> impl Iterator<Item = Setting> {
    SETTINGS.iter().chain(SHORTHANDS).copied()
}

/// The settings of credit assignment. Where there are no others, flags need not say whose they are.
fn credit_settings() -> impl Iterator<Item = Setting> {
    let of_credit = |(key, ..): &Setting| key.split('.').next() == Some(CREDIT);
    all_settings().filter(of_credit).map(|(key, flag, value, help)| {
        (key, flag.strip_prefix("credit-").unwrap_or(flag), value, help)
    })
}

/// Adds the flags of `settings`, and `--config`.
pub(super) fn augment(
    command: clap::Command,
    settings: impl Iterator<Item = Setting>,
) -> clap::Command {
    let defaults = Table::try_from(Config::default()).unwrap_or_default();
    let file = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help("Read settings from a TOML file; flags override it");
    settings.fold(command.arg(file), |command, (key, flag, value, help)| {
        let arg = Arg::new(flag).long(flag).help_heading(key.split('.').next().unwrap_or_default());
        command.arg(match value {
            OFF => arg.help(help).action(ArgAction::SetTrue).conflicts_with_all([
                "modulation",
                "modulation-steepness",
                "modulation-range",
            ]),
            // The value is optional: what begins with a hyphen is the next flag.
            "BOOL" => arg
                .help(format!("{help}{}", show_default(&defaults, key)))
                .value_name(value)
                .num_args(0..=1)
                .default_missing_value("true"),
            _ => arg
                .help(format!("{help}{}", show_default(&defaults, key)))
                .value_name(value)
                .allow_hyphen_values(true),
        })
    })
}

/// The settings whose flags were given.
pub(super) fn gather(
    matches: &ArgMatches,
    settings: impl Iterator<Item = Setting>,
) -> SettingFlags {
    let value = |setting: Setting| match setting {
        (_, flag, OFF, _) => matches.get_flag(flag).then(|| (setting, OFF.to_string())),
        (_, flag, ..) => Some((setting, matches.get_one::<String>(flag)?.clone())),
    };
    SettingFlags {
        file: matches.get_one::<PathBuf>("config").cloned(),
        preset: None,
        given: settings.filter_map(value).collect(),
    }
}

/// The flag that names a preset.
const PRESET: &str = "preset";

impl Args for SettingFlags {
    fn augment_args(command: clap::Command) -> clap::Command {
        let preset = Arg::new(PRESET)
            .long(PRESET)
            .value_name("NAME")
            .value_parser(Preset::ALL.map(Preset::name))
            .conflicts_with("config")
            .help("Begin from settings that were found good together; flags override them");
        augment(command.arg(preset), all_settings())
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
        let named = matches.get_one::<String>(PRESET);
        let is_named = |preset: &Preset| named.is_some_and(|name| name == preset.name());
        let preset = Preset::ALL.into_iter().find(is_named);
        Ok(SettingFlags { preset, ..gather(matches, all_settings()) })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for CreditFlags {
    fn augment_args(command: clap::Command) -> clap::Command {
        augment(command, credit_settings())
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }

    fn group_id() -> Option<Id> {
        None
    }
}

impl FromArgMatches for CreditFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(gather(matches, credit_settings())))
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
        assert!(keys.is_subset(&listed), "no flag for {:?}", keys.difference(&listed));
        for key in listed.difference(&keys) {
            if !key.starts_with("env.") {
                let setting = SETTINGS.iter().find(|one| one.0 == key).unwrap();
                with(&Config::default(), setting, "0.5").unwrap();
                continue;
            }
            let kinds = crate::env::EnvConfig::all();
            let of_kind = |env: &crate::env::EnvConfig| {
                let name = key.trim_start_matches("env.");
                Table::try_from(env).unwrap().contains_key(name)
            };
            assert!(kinds.iter().any(of_kind), "{key} is no setting");
        }
        let flags: BTreeSet<&str> = all_settings().map(|one| one.1).collect();
        assert_eq!(flags.len(), all_settings().count(), "two settings share a flag");
        let flags: BTreeSet<&str> = credit_settings().map(|one| one.1).collect();
        assert_eq!(flags.len(), credit_settings().count(), "two settings of credit share a flag");
    }

    #[test]
    fn a_file_that_is_too_long_or_no_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        for (content, expected) in [
            (vec![b'#'; 1 << 21], "config.toml: expected at most 1048576 bytes"),
            (b"[run]\nseed = \"\xff\"".to_vec(), "config.toml: expected UTF-8"),
        ] {
            std::fs::write(&path, content).unwrap();
            let message = read_config(&path).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    fn flags(given: &[(&str, &str)]) -> SettingFlags {
        let find = |flag: &str| all_settings().find(|one| one.1 == flag).unwrap();
        let given = given.iter().map(|(flag, raw)| (find(flag), raw.to_string())).collect();
        SettingFlags { file: None, preset: None, given }
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
    fn a_preset_stands_in_for_defaults() {
        let mut flags = flags(&[("seed", "5"), ("games", "json_2.1.1")]);
        flags.preset = Some(Preset::Alfworld);
        let config = flags.resolve(None).unwrap();
        assert_eq!((config.run.seed, config.run.iterations), (5, 1500));
        assert_eq!(config.eval.split, "valid_seen");
    }

    #[test]
    fn a_base_is_kept_where_no_flag_speaks() {
        let mut base = Config::default();
        base.run.iterations = 3;
        let config = flags(&[("seed", "5")]).resolve(Some(base)).unwrap();
        assert_eq!((config.run.iterations, config.run.seed), (3, 5));
    }

    #[derive(Debug, clap::Parser)]
    struct Typed {
        #[command(flatten)]
        credit: CreditFlags,
    }

    fn typed(arguments: &str) -> CreditConfig {
        let words = std::iter::once("proxmo").chain(arguments.split_whitespace());
        <Typed as clap::Parser>::try_parse_from(words).unwrap().credit.resolve().unwrap()
    }

    #[test]
    fn shorthands_reach_into_the_modulation() {
        use crate::credit::{Curve, Modulation};
        let both = typed("--modulation-range 0.2 --modulation-steepness 2").modulation;
        assert_eq!(both, Modulation::On(Curve { steepness: 2.0, range: 0.2 }));
        let one = typed("--estimator gigpo --modulation-range 0.2").modulation;
        assert_eq!(one, Modulation::On(Curve { range: 0.2, ..Curve::default() }));
        assert_eq!(typed("--no-modulation").modulation, Modulation::Off);
        assert_eq!(typed("--modulation off").modulation, Modulation::Off);
        assert_eq!(typed("").modulation, Modulation::Auto);
        let both = ["proxmo", "--no-modulation", "--modulation-range", "0.2"];
        <Typed as clap::Parser>::try_parse_from(both).unwrap_err();
    }

    #[test]
    fn a_switch_leaves_the_next_flag_alone() {
        let config = typed("--base-group --history 3 --invalid-action-penalty 0.5");
        assert_eq!((config.base_group, config.history), (true, 3));
        assert_eq!(config.invalid_action_penalty, 0.5);
        assert!(!typed("--base-group false").base_group);
    }
}
