//! Settings as keys and values, to be shown and compared.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::train::Config;

/// A setting's key, such as `credit.gamma`, and its value as TOML writes it.
pub type Settings = BTreeMap<String, String>;

/// All settings of a run, tables within tables told by keys with more dots.
pub fn settings(config: &Config) -> Settings {
    let mut all = Settings::new();
    // By way of the text, in which numbers have the digits that `config.toml` has.
    let text = config.to_toml().unwrap_or_default();
    flatten("", &text.parse::<Table>().unwrap_or_default(), &mut all);
    all
}

fn flatten(prefix: &str, table: &Table, all: &mut Settings) {
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        match value {
            Value::Table(inner) => flatten(&format!("{key}."), inner, all),
            value => drop(all.insert(key, value.to_string())),
        }
    }
}

/// A setting that one side lacks.
pub const ABSENT: &str = "not set";

/// The settings in which two runs differ: key, value here, value there.
pub fn differences(here: &Config, there: &Config) -> Vec<(String, String, String)> {
    let (here, there) = (settings(here), settings(there));
    let mut keys: Vec<&String> = here.keys().chain(there.keys()).collect();
    keys.sort();
    keys.dedup();
    let value =
        |all: &Settings, key: &str| all.get(key).cloned().unwrap_or_else(|| ABSENT.to_string());
    keys.into_iter()
        .map(|key| (key.clone(), value(&here, key), value(&there, key)))
        .filter(|(_, here, there)| here != there)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credit::{Curve, Modulation};

    #[test]
    fn what_differs_is_named_and_nothing_else() {
        let (mut here, mut there) = (Config::default(), Config::default());
        assert_eq!(differences(&here, &there), []);
        here.update.epochs = 3;
        there.credit.similarity = Some(0.9);
        there.credit.modulation = Modulation::On(Curve { steepness: 2.0, range: 0.1 });
        let found = differences(&here, &there);
        let keys: Vec<_> = found.iter().map(|one| one.0.as_str()).collect();
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
        assert_eq!(found[3], ("credit.similarity".into(), ABSENT.into(), "0.9".into()));
        assert_eq!(found[4], ("update.epochs".into(), "3".into(), "2".into()));
    }
}
