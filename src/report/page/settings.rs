//! Settings: those that differ between variants, and those in common.

use maud::{Markup, html};

use super::elements::{Row, Table, name, text};
use crate::report::variant_runs::VariantRuns;
use crate::train::{NOT_SET, SettingsByKey, settings_by_key};

/// Two tables: the settings that differ between variants, and the others. The seed is not a setting of
/// a variant.
pub fn settings_section(variants: &[VariantRuns]) -> Markup {
    let all: Vec<SettingsByKey> = variants
        .iter()
        .filter_map(VariantRuns::config)
        .map(|config| {
            let mut settings = settings_by_key(config);
            settings.remove("run.seed");
            settings
        })
        .collect();
    let (common, differing) = split(&all);
    html! {
        h2 { "Settings" }
        @if !differing.is_empty() {
            h3 { "Settings that differ" }
            (differing_table(variants, &all, &differing))
        }
        @let changes = changes_table(variants);
        @if !changes.rows.is_empty() {
            h3 { "Settings that a resume changed" }
            (changes)
        }
        details {
            summary { "Settings in common" }
            (common_table(&common))
        }
    }
}

/// The settings that changed within runs. The other tables have the values after the last change.
fn changes_table(variants: &[VariantRuns]) -> Table {
    let mut rows = Vec::new();
    for (number, variant) in variants.iter().enumerate() {
        for run in &variant.runs {
            for line in &run.metrics {
                rows.extend(line.changes.iter().map(|(key, (before, after))| Row {
                    variant: Some(number),
                    cells: vec![
                        name(&run.name),
                        text(line.iteration.to_string()),
                        code(Some(key)),
                        code(Some(before)),
                        code(Some(after)),
                    ],
                }));
            }
        }
    }
    let heads = ["run", "from iteration", "setting", "before", "after"].map(text).to_vec();
    Table { heads, rows, numeric: false }
}

fn differing_table(variants: &[VariantRuns], all: &[SettingsByKey], keys: &[&String]) -> Table {
    let mut heads = vec![text("variant")];
    heads.extend(keys.iter().map(|key| code(Some(key))));
    let row = |(number, (variant, settings)): (usize, (&VariantRuns, &SettingsByKey))| {
        let mut cells = vec![name(&variant.name)];
        cells.extend(keys.iter().map(|key| code(settings.get(*key))));
        Row { variant: Some(number), cells }
    };
    let rows = variants.iter().zip(all).enumerate().map(row).collect();
    Table { heads, rows, numeric: false }
}

fn common_table(settings: &[(&String, &String)]) -> Table {
    let row = |(key, value): &(&String, &String)| Row {
        variant: None,
        cells: vec![code(Some(key)), code(Some(value))],
    };
    let rows = settings.iter().map(row).collect();
    Table { heads: ["setting", "value"].map(text).to_vec(), rows, numeric: false }
}

fn code(value: Option<&String>) -> Markup {
    html! {
        @match value {
            Some(value) => code { (value) },
            None => (NOT_SET),
        }
    }
}

/// The settings with one value for all, and the keys of the others.
fn split(all: &[SettingsByKey]) -> (Vec<(&String, &String)>, Vec<&String>) {
    let mut keys: Vec<&String> = all.iter().flat_map(SettingsByKey::keys).collect();
    keys.sort();
    keys.dedup();
    let (mut common, mut differing) = (Vec::new(), Vec::new());
    for key in keys {
        match all.first().and_then(|first| first.get(key)) {
            Some(value) if all.iter().all(|one| one.get(key) == Some(value)) => {
                common.push((key, value));
            }
            _ => differing.push(key),
        }
    }
    (common, differing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::recorded_run::RecordedRun;
    use crate::train::{Config, IterationMetrics};

    #[test]
    fn a_change_at_a_resume_is_shown_with_its_iteration() {
        let mut line = IterationMetrics { iteration: 7, ..IterationMetrics::default() };
        let values = ("0.001".to_string(), "0.01".to_string());
        line.changes.insert("update.learning_rate".into(), values);
        let run =
            RecordedRun { name: "first".into(), config: Config::default(), metrics: vec![line] };
        let variants = [VariantRuns { name: "first".into(), runs: vec![run] }];
        let page = settings_section(&variants).into_string();
        let (_, section) = page.split_once("Settings that a resume changed").unwrap();
        for part in ["first", "<td>7</td>", "update.learning_rate", "0.001", "0.01"] {
            assert!(section.contains(part), "{part} in {section}");
        }
    }

    #[test]
    fn a_setting_that_one_variant_lacks_is_not_in_common() {
        let one = |pairs: &[(&str, &str)]| -> SettingsByKey {
            pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
        };
        let all = [one(&[("a", "1"), ("b", "2")]), one(&[("a", "1"), ("b", "3"), ("c", "4")])];
        let (common, differing) = split(&all);
        assert_eq!(common, [(&"a".to_string(), &"1".to_string())]);
        assert_eq!(differing, ["b", "c"]);
        assert_eq!(split(&[]), (vec![], vec![]));
    }
}
