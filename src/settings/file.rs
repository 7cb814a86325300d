//! Configurations as TOML files.

use std::collections::HashMap;

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::literal::to_json;
use super::schema::{description, expected, is_any_text, properties, variants};
use super::setting::{Setting, settings_of};
use super::tree::{as_declared, default_tag, find_problem, join};
use crate::error::{Error, Result};

/// Tables in the `config.toml` of a run that are no settings: how the run came about.
const PROVENANCE: &str = "provenance";

/// Reads the text of a configuration file and checks it against the configuration's schema. `name`
/// stands for the file in errors. The tag of a tagged enum that the file leaves out is the default's.
///
/// # Errors
/// Names the line and key of the first value that is not TOML, unknown, of the wrong type or out of
/// range.
pub fn read_toml(text: &str, name: &str, schema: &Value) -> Result<Value> {
    let line_of = |start: usize| text[..start.min(text.len())].matches('\n').count() + 1;
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map(|span| line_of(span.start));
        let place = line.map_or_else(|| name.to_string(), |line| format!("{name}:{line}"));
        Error::input(place, error.message().replace('\n', " "))
    })?;
    let value = DeValue::Table(table.into_inner());
    let mut tree = to_json(&value);
    if let Some(tables) = tree.as_object_mut() {
        tables.remove(PROVENANCE);
    }
    if let Some((key, problem)) = find_problem(schema, &tree, "") {
        let mut lines = HashMap::new();
        collect_starts(&value, "", &mut lines);
        let place = match lines.get(&key) {
            Some(&start) => format!("{name}:{}", line_of(start)),
            None => name.to_string(),
        };
        return Err(Error::input(place, format!("`{key}` {problem}")));
    }
    add_default_tags(schema, &mut tree);
    Ok(tree)
}

/// Where in the text each key stands.
fn collect_starts(value: &DeValue, prefix: &str, starts: &mut HashMap<String, usize>) {
    for (key, value) in value.as_table().into_iter().flatten() {
        let path = join(prefix, key.get_ref());
        collect_starts(value.get_ref(), &path, starts);
        starts.insert(path, key.span().start);
    }
}

fn add_default_tags(schema: &Value, tree: &mut Value) {
    let Some(sections) = tree.as_object_mut() else { return };
    for (section, table) in sections {
        let Some(schema) = properties(schema).and_then(|all| all.get(section)) else { continue };
        if let (Some((tag, _)), Some(table)) = (variants(schema), table.as_object_mut())
            && let (false, Some(word)) = (table.contains_key(tag), default_tag(schema, tag))
        {
            table.insert(tag.to_string(), word.clone());
        }
    }
}

/// How long a line of comment is at most.
const WIDTH: usize = 100;

/// The text of a configuration file: every setting of `tree`, with its description, what it accepts
/// and its default as comments.
pub fn to_commented_toml(tree: &Value, schema: &Value) -> String {
    let settings = settings_of(schema);
    let at = |key: &str| key.split('.').try_fold(tree, |place, key| place.get(key));
    // The values of a table come before the tables within it.
    let mut tables: Vec<(&str, String)> = Vec::new();
    for setting in &settings {
        let Some((table, name)) = setting.key.rsplit_once('.') else { continue };
        let selected = setting.tag.as_ref().and_then(|tag| at(&join(&setting.section, tag)));
        let is_other = |word: &Value| !setting.kinds.iter().any(|kind| word == kind.as_str());
        // A table that is one of several forms of a setting is written as the setting's value.
        let is_part = |other: &Setting| other.key == table && !is_plain_table(&other.schema);
        if selected.is_some_and(is_other)
            || settings.iter().any(is_part)
            || is_plain_table(&setting.schema)
        {
            continue;
        }
        let known = tables.iter().position(|(known, _)| *known == table);
        let place = known.unwrap_or_else(|| {
            tables.push((table, head(table, schema)));
            tables.len() - 1
        });
        write_setting(&mut tables[place].1, setting, name, at(&setting.key));
    }
    tables.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n")
}

/// The head of a table, with the description of its section.
fn head(table: &str, schema: &Value) -> String {
    let mut text = String::new();
    let about = properties(schema).and_then(|all| all.get(table)).map(description);
    about.into_iter().flatten().for_each(|paragraph| comment(&mut text, &paragraph));
    text + &format!("[{table}]\n")
}

fn write_setting(text: &mut String, setting: &Setting, name: &str, value: Option<&Value>) {
    text.push('\n');
    setting.description.iter().for_each(|paragraph| comment(text, paragraph));
    let default = setting.shown_default().map(|default| format!(" Default: {default}."));
    let default = default.unwrap_or_default();
    match is_any_text(&setting.schema) {
        true if default.is_empty() => {}
        true => comment(text, &default),
        false => comment(text, &format!("Accepts {}.{default}", expected(&setting.schema))),
    }
    let value = value.filter(|value| !value.is_null());
    let value = value.map(|value| toml::Value::try_from(as_declared(&setting.schema, value)));
    match value {
        Some(Ok(value)) => text.push_str(&format!("{name} = {value}\n")),
        _ => text.push_str(&format!("# {name} =\n")),
    }
}

/// Whether a setting is a table and nothing else, whose settings are written one by one.
fn is_plain_table(schema: &Value) -> bool {
    properties(schema).is_some()
}

/// Adds a paragraph as lines of comment.
fn comment(text: &mut String, paragraph: &str) {
    let mut line = String::from("#");
    for word in paragraph.split_whitespace() {
        if line.len() > 1 && line.chars().count() + 1 + word.chars().count() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}
