//! The settings in a report: those in common once, those that differ by variant.

use super::html::{Row, escape, named, table};
use super::settings::{ABSENT, Settings, settings};
use super::variants::Variant;

/// The section of settings. The seed is no setting of a variant.
pub fn settings_section(page: &mut String, variants: &[Variant]) {
    let all: Vec<Settings> = variants
        .iter()
        .filter_map(Variant::config)
        .map(|config| {
            let mut all = settings(config);
            all.remove("run.seed");
            all
        })
        .collect();
    let (common, differing) = split(&all);
    page.push_str("<h2>Settings</h2>\n");
    if !differing.is_empty() {
        page.push_str("<h3>In which variants differ</h3>\n");
        let mut heads = vec!["variant".to_string()];
        heads.extend(differing.iter().map(|key| format!("<code>{}</code>", escape(key))));
        let row = |(number, (variant, all)): (usize, (&Variant, &Settings))| {
            let mut cells = vec![named(&variant.name)];
            cells.extend(differing.iter().map(|key| code(all.get(*key))));
            Row { variant: Some(number), cells }
        };
        let rows: Vec<Row> = variants.iter().zip(&all).enumerate().map(row).collect();
        table(page, &heads, &rows, false);
    }
    page.push_str("<details><summary>In common</summary>\n");
    let row = |(key, value): &(&String, &String)| Row {
        variant: None,
        cells: vec![format!("<code>{}</code>", escape(key)), code(Some(value))],
    };
    let rows: Vec<Row> = common.iter().map(row).collect();
    table(page, &["setting", "value"].map(String::from), &rows, false);
    page.push_str("</details>\n");
}

fn code(value: Option<&String>) -> String {
    value.map_or(ABSENT.into(), |value| format!("<code>{}</code>", escape(value)))
}

/// Settings that all have alike, and the keys of the others.
fn split(all: &[Settings]) -> (Vec<(&String, &String)>, Vec<&String>) {
    let mut keys: Vec<&String> = all.iter().flat_map(Settings::keys).collect();
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

    #[test]
    fn what_one_lacks_is_not_in_common() {
        let one = |pairs: &[(&str, &str)]| -> Settings {
            pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
        };
        let all = [one(&[("a", "1"), ("b", "2")]), one(&[("a", "1"), ("b", "3"), ("c", "4")])];
        let (common, differing) = split(&all);
        assert_eq!(common, [(&"a".to_string(), &"1".to_string())]);
        assert_eq!(differing, ["b", "c"]);
        assert_eq!(split(&[]), (vec![], vec![]));
    }
}
