//! The registry of environments: the `[env]` table of `config.toml`.

use std::path::PathBuf;

use garde::{Path, Report, Validate};
use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use toml::{Table, Value};

use super::alfworld::BenchmarkConfig;
use super::environment::Environment;
use super::household::HouseholdConfig;
use super::kind::EnvKind;
#[cfg(feature = "openenv")]
use super::openenv::OpenEnvConfig;
#[cfg(feature = "process")]
use super::process::ProcessConfig;
use super::webshop::ShopConfig;
use crate::error::{Error, Result};
use crate::settings::check;

/// The environment to play: its kind is selected by `name`, and every kind has its own settings.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum EnvConfig {
    /// Household tasks that this crate generates, similar to ALFWorld's, with texts of their own.
    Household(HouseholdConfig),
    /// The games of the ALFWorld benchmark.
    Alfworld(BenchmarkConfig),
    /// The WebShop benchmark.
    Webshop(ShopConfig),
    /// A program that speaks the environment protocol.
    #[cfg(feature = "process")]
    Process(ProcessConfig),
    /// An OpenEnv server.
    #[cfg(feature = "openenv")]
    OpenEnv(OpenEnvConfig),
}

/// The key that selects the kind.
const NAME: &str = "name";

/// Keys that were renamed: the old name and the new one.
const RENAMED: [(&str, &str); 1] = [("household", "generator")];

impl EnvConfig {
    /// Every kind with its default settings.
    pub fn all() -> Vec<Self> {
        vec![
            Self::Household(HouseholdConfig::default()),
            Self::Alfworld(BenchmarkConfig::default()),
            Self::Webshop(ShopConfig::default()),
            #[cfg(feature = "process")]
            Self::Process(ProcessConfig::default()),
            #[cfg(feature = "openenv")]
            Self::OpenEnv(OpenEnvConfig::default()),
        ]
    }

    /// The kind of a name, with its default settings.
    ///
    /// # Errors
    /// Returns an error that lists the known names.
    pub fn named(name: &str) -> Result<Self> {
        let mut known = Self::all();
        if let Some(position) = known.iter().position(|config| config.name() == name) {
            return Ok(known.swap_remove(position));
        }
        let names: Vec<&str> = known.iter().map(Self::name).collect();
        let message = format!("'{name}' is unknown, expected '{}'", names.join("' or '"));
        Err(Error::setting("env.name", message))
    }

    /// The settings of the selected kind.
    pub fn kind(&self) -> &dyn EnvKind {
        match self {
            Self::Household(config) => config,
            Self::Alfworld(config) => config,
            Self::Webshop(config) => config,
            #[cfg(feature = "process")]
            Self::Process(config) => config,
            #[cfg(feature = "openenv")]
            Self::OpenEnv(config) => config,
        }
    }

    fn kind_mut(&mut self) -> &mut dyn EnvKind {
        match self {
            Self::Household(config) => config,
            Self::Alfworld(config) => config,
            Self::Webshop(config) => config,
            #[cfg(feature = "process")]
            Self::Process(config) => config,
            #[cfg(feature = "openenv")]
            Self::OpenEnv(config) => config,
        }
    }

    /// Reads the settings of this kind. Keys that are absent keep their defaults.
    fn read(&self, table: Table) -> Result<Self, toml::de::Error> {
        fn into<T: DeserializeOwned>(table: Table) -> Result<T, toml::de::Error> {
            table.try_into()
        }
        Ok(match self {
            Self::Household(_) => Self::Household(into(table)?),
            Self::Alfworld(_) => Self::Alfworld(into(table)?),
            Self::Webshop(_) => Self::Webshop(into(table)?),
            #[cfg(feature = "process")]
            Self::Process(_) => Self::Process(into(table)?),
            #[cfg(feature = "openenv")]
            Self::OpenEnv(_) => Self::OpenEnv(into(table)?),
        })
    }

    /// Name of the selected kind.
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// The split to train on.
    pub fn split(&self) -> &str {
        self.kind().split()
    }

    /// The held-out split, if `eval.split` names none.
    pub fn held_out_split(&self) -> &'static str {
        self.kind().held_out_split()
    }

    /// The settings that decide how long an update takes.
    pub fn workload(&self) -> String {
        self.kind().workload()
    }

    /// The settings that are paths.
    pub fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        self.kind_mut().paths_mut()
    }

    /// Fills in settings that are not set and that this machine decides, such as a folder of data.
    /// Returns a line that says so.
    pub fn fill_in(&mut self) -> Option<String> {
        self.kind_mut().fill_in()
    }

    /// The seed that tasks are made from, if the kind has one.
    pub fn task_seed_mut(&mut self) -> Option<&mut u64> {
        self.kind_mut().task_seed_mut()
    }

    /// Opens a split.
    ///
    /// # Errors
    /// Returns an error if files are absent or malformed, if a program cannot be run, or if there is
    /// no such split.
    pub fn open(&self, split: &str) -> Result<Box<dyn Environment>> {
        self.kind().open(Some(split))
    }

    /// Opens all splits as one environment.
    ///
    /// # Errors
    /// As [`EnvConfig::open`].
    pub fn open_all(&self) -> Result<Box<dyn Environment>> {
        self.kind().open(None)
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// Names the first setting that is out of range and the values that are allowed.
    pub fn validate(&self) -> Result<()> {
        check(self, "env")
    }

    /// The keys of this kind.
    fn keys(&self) -> Vec<String> {
        let table = Table::try_from(self).unwrap_or_default();
        table.into_iter().map(|(key, _)| key).filter(|key| key != NAME).collect()
    }

    /// Refuses a key that this kind does not have, and says which kind has it.
    fn check_keys(&self, table: &Table) -> Result<(), String> {
        let keys = self.keys();
        let Some(key) = table.keys().find(|key| !keys.contains(key)) else { return Ok(()) };
        if let Some((_, new)) = RENAMED.iter().find(|(old, _)| old == key) {
            return Err(format!("env.{key} is now env.{new}"));
        }
        let other = Self::all().into_iter().find(|other| other.keys().contains(key));
        Err(match other {
            Some(other) => {
                let (other, name) = (other.name(), self.name());
                format!("env.{key} is a setting of '{other}', but env.name is '{name}'")
            }
            None => format!("unknown field `{key}`, expected one of env.{}", keys.join(", env.")),
        })
    }
}

impl Default for EnvConfig {
    fn default() -> Self {
        Self::Household(HouseholdConfig::default())
    }
}

impl From<HouseholdConfig> for EnvConfig {
    fn from(config: HouseholdConfig) -> Self {
        Self::Household(config)
    }
}

impl From<BenchmarkConfig> for EnvConfig {
    fn from(config: BenchmarkConfig) -> Self {
        Self::Alfworld(config)
    }
}

impl From<ShopConfig> for EnvConfig {
    fn from(config: ShopConfig) -> Self {
        Self::Webshop(config)
    }
}

#[cfg(feature = "process")]
impl From<ProcessConfig> for EnvConfig {
    fn from(config: ProcessConfig) -> Self {
        Self::Process(config)
    }
}

#[cfg(feature = "openenv")]
impl From<OpenEnvConfig> for EnvConfig {
    fn from(config: OpenEnvConfig) -> Self {
        Self::OpenEnv(config)
    }
}

// Written by hand: serde's tagged enums do not say which kind an unknown key belongs to.
impl<'de> Deserialize<'de> for EnvConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = Table::deserialize(deserializer)?;
        let kind = match table.remove(NAME) {
            None => Self::default(),
            Some(Value::String(name)) => Self::named(&name).map_err(D::Error::custom)?,
            Some(other) => {
                let message = format!("env.name is {other}, expected a text");
                return Err(D::Error::custom(message));
            }
        };
        kind.check_keys(&table).map_err(D::Error::custom)?;
        kind.read(table).map_err(|error| {
            let message = error.to_string();
            let lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
            D::Error::custom(format!("env: {}", lines.collect::<Vec<_>>().join(" ")))
        })
    }
}

// Written by hand: garde would put the variant's index into the path.
impl Validate for EnvConfig {
    type Context = ();

    fn validate_into(&self, context: &(), parent: &mut dyn FnMut() -> Path, report: &mut Report) {
        match self {
            Self::Household(config) => config.validate_into(context, parent, report),
            Self::Alfworld(config) => config.validate_into(context, parent, report),
            Self::Webshop(config) => config.validate_into(context, parent, report),
            #[cfg(feature = "process")]
            Self::Process(config) => config.validate_into(context, parent, report),
            #[cfg(feature = "openenv")]
            Self::OpenEnv(config) => config.validate_into(context, parent, report),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<EnvConfig, String> {
        toml::from_str(text).map_err(|error| error.message().to_string())
    }

    #[test]
    fn every_kind_is_read_back_from_its_own_text() {
        for config in EnvConfig::all() {
            let text = toml::to_string_pretty(&config).unwrap();
            assert_eq!(read(&text).unwrap(), config, "{text}");
            assert_eq!(EnvConfig::named(config.name()).unwrap(), config);
            let json = serde_json::to_value(&config).unwrap();
            assert_eq!(json["name"], config.name());
            assert_eq!(serde_json::from_value::<EnvConfig>(json).unwrap(), config);
        }
        assert_eq!(read("").unwrap(), EnvConfig::default());
    }

    #[test]
    fn keys_that_do_not_fit_are_refused_with_a_reason() {
        for (text, says) in [
            ("name = \"mars\"", "'mars' is unknown, expected 'household' or 'alfworld'"),
            ("name = 3", "env.name is 3"),
            ("games = \"x\"", "env.games is a setting of 'alfworld', but env.name is 'household'"),
            ("name = \"alfworld\"\ntasks = 3", "env.tasks is a setting of 'household'"),
            ("taks = 3", "unknown field `taks`, expected one of env.generator, env.held_out"),
            ("[household]\ndifficulty = \"hard\"", "env.household is now env.generator"),
            ("tasks = \"many\"", "expected usize"),
            ("[generator]\nobject = 3", "unknown field `object`"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(says) && !error.contains('\n'), "{text}: {error}");
        }
    }

    #[test]
    fn values_out_of_range_are_refused_by_their_key() {
        let message = |text: &str| read(text).unwrap().validate().unwrap_err().to_string();
        for (text, says) in [
            (
                "max_steps = 0",
                "setting 'env.max_steps': is 0, expected a whole number from 1 to 100000",
            ),
            ("success_reward = 1e7", "'env.success_reward'"),
            (
                "step_reward = nan",
                "'env.step_reward': is NaN, expected a number from -1000000 to 1000000",
            ),
            ("paraphrase = 1.5", "'env.paraphrase': is 1.5, expected a number from 0 to 1"),
            ("paraphrase = nan", "'env.paraphrase'"),
            ("held_out = 0", "'env.held_out'"),
            ("[generator]\nreceptacles = 3", "'env.generator.receptacles': is 3"),
            ("[generator.mix]\npick = -1", "'env.generator.mix.pick'"),
            ("name = \"alfworld\"", "'env.games': is not set"),
        ] {
            let message = message(text);
            assert!(message.contains(says), "{text}: {message}");
        }
        EnvConfig::default().validate().unwrap();
    }

    #[test]
    fn the_schema_lists_every_key_of_every_kind() {
        let schema = serde_json::to_value(schemars::schema_for!(EnvConfig)).unwrap();
        let kinds = schema["oneOf"].as_array().unwrap();
        assert_eq!(kinds.len(), EnvConfig::all().len());
        let text = schema.to_string();
        for key in EnvConfig::all().iter().flat_map(EnvConfig::keys) {
            assert!(text.contains(&format!("\"{key}\"")), "{key}");
        }
    }
}
