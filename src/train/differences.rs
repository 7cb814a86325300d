//! Settings as keys and values, for display and comparison.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::config::Config;

/// Settings by key, such as `credit.gamma`, with their values as TOML.
pub type SettingsByKey = BTreeMap<String, String>;

/// All settings of a run. Nested tables give keys with several dots.
pub fn settings_by_key(config: &Config) -> SettingsByKey {
    let mut all = SettingsByKey::new();
    // Numbers keep the digits that `config.toml` has when they pass through its text.
    let text = config.to_toml().unwrap_or_default();
    flatten("", &text.parse::<Table>().unwrap_or_default(), &mut all);
    all
}

fn flatten(prefix: &str, table: &Table, all: &mut SettingsByKey) {
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        match value {
            Value::Table(inner) => flatten(&format!("{key}."), inner, all),
            value => drop(all.insert(key, value.to_string())),
        }
    }
}

/// Settings that a resume changed, by key: the value before and the value after, as TOML.
pub type SettingChanges = BTreeMap<String, (String, String)>;

/// The value of a setting that is absent.
pub const NOT_SET: &str = "not set";

/// A setting in which two configurations differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingDifference {
    /// The setting's key.
    pub key: String,
    /// Its value in the first configuration.
    pub first: String,
    /// Its value in the second.
    pub second: String,
}

/// The settings in which two configurations differ, by key.
pub fn differences(first: &Config, second: &Config) -> Vec<SettingDifference> {
    let (first, second) = (settings_by_key(first), settings_by_key(second));
    let mut keys: Vec<&String> = first.keys().chain(second.keys()).collect();
    keys.sort();
    keys.dedup();
    let value = |all: &SettingsByKey, key: &str| {
        all.get(key).cloned().unwrap_or_else(|| NOT_SET.to_string())
    };
    keys.into_iter()
        .map(|key| SettingDifference {
            key: key.clone(),
            first: value(&first, key),
            second: value(&second, key),
        })
        .filter(|difference| difference.first != difference.second)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credit::{Curve, Modulation};

    #[test]
    fn only_settings_that_differ_are_listed() {
        let (mut first, mut second) = (Config::default(), Config::default());
        assert_eq!(differences(&first, &second), []);
        first.update.epochs = 3;
        second.credit.similarity = Some(0.9);
        second.credit.modulation = Modulation::On(Curve { steepness: 2.0, range: 0.1 });
        let found = differences(&first, &second);
        let keys: Vec<_> = found.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "credit.modulation",
                "credit.modulation.range",
                "credit.modulation.steepness",
                "credit.similarity",
                "update.epochs"
            ]
        );
        let values = |at: usize| (found[at].first.as_str(), found[at].second.as_str());
        assert_eq!(values(3), (NOT_SET, "0.9"));
        assert_eq!(values(4), ("3", "2"));
    }
}
