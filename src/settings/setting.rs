//! The list of settings that a schema describes.

use serde_json::Value;

use super::literal;
use super::schema::{
    alternatives, description, expected, has_type, is_any_text, is_null, is_only_words, properties,
    show, variants, words,
};
use super::tree::find_problem;

/// A setting: a field of a configuration, as its declaration describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Its key in `config.toml`, with dots between tables: `credit.gamma`.
    pub key: String,
    /// The first part of the key.
    pub section: String,
    /// Its flag, without hyphens in front.
    pub flag: String,
    /// Its JSON Schema.
    pub schema: Value,
    /// The paragraphs of its doc comment.
    pub description: Vec<String>,
    /// Its default. None if it is unset by default.
    pub default: Option<Value>,
    /// The placeholder of the flag's value in `--help`.
    pub value_name: String,
    /// Flags without a value, each with the value that it stands for.
    pub switches: Vec<(String, String)>,
    /// Former flags that still work.
    pub aliases: Vec<String>,
    /// Former flags that are refused, naming the new one.
    pub former_flags: Vec<String>,
    /// The key of the tag if its section is an internally tagged enum.
    pub tag: Option<String>,
    /// Whether it is that tag.
    pub is_tag: bool,
    /// The variants of its section that have it. Empty if its section has no variants.
    pub kinds: Vec<String>,
    /// Where `--help` lists it: its section, and its variants unless all have it.
    pub heading: String,
}

impl Setting {
    /// The value that a word of the command line gives the setting.
    ///
    /// # Errors
    /// Says what was found and what is expected.
    pub fn parse(&self, raw: &str) -> Result<Value, String> {
        let mut value = match is_any_text(&self.schema) {
            true => Value::String(raw.to_string()),
            false => literal::read(raw),
        };
        if let Some(word) = value.as_str().map(|word| word.replace('_', "-"))
            && words(&self.schema).iter().any(|(known, _)| *known == word)
        {
            value = Value::String(word);
        }
        match find_problem(&self.schema, &value, &self.key) {
            None => Ok(value),
            Some((key, problem)) if key == self.key => Err(problem),
            Some((key, problem)) => Err(format!("`{key}` {problem}")),
        }
    }

    /// The first sentence of the doc comment.
    pub fn summary(&self) -> String {
        let first = self.description.first().map(String::as_str).unwrap_or_default();
        let end = first.find(". ").unwrap_or(first.len());
        first[..end].trim_end_matches('.').to_string()
    }

    /// The default as `--help` shows it. None if the setting is unset or empty by default.
    pub fn shown_default(&self) -> Option<String> {
        let default = self.default.as_ref()?;
        let is_empty = default.as_str().is_some_and(str::is_empty) || default.is_object();
        (!is_empty).then(|| show(default))
    }

    /// What the setting accepts, in words.
    pub fn expected(&self) -> String {
        expected(&self.schema)
    }

    /// The words that the setting accepts, with their descriptions, if it accepts nothing else.
    pub fn words(&self) -> Option<Vec<(&str, &str)>> {
        is_only_words(&self.schema).then(|| words(&self.schema))
    }

    /// Whether it is true or false.
    pub fn is_switch(&self) -> bool {
        has_type(&self.schema, "boolean")
    }
}

/// All settings that the schema of a configuration describes, in its order.
pub fn settings_of(schema: &Value) -> Vec<Setting> {
    let sections = properties(schema).into_iter().flatten();
    let mut all: Vec<Setting> = Vec::new();
    for (section, schema) in sections {
        let start = all.len();
        match variants(schema) {
            Some((tag, variants)) => tagged(section, schema, tag, &variants, &mut all),
            None => table(section, schema, &mut all),
        }
        let about = description(schema).into_iter().next().unwrap_or_default();
        let about = about.trim_end_matches('.');
        for setting in all[start..].iter_mut().filter(|setting| setting.heading.ends_with(']')) {
            setting.heading = format!("{} {about}", setting.heading).trim_end().to_string();
        }
    }
    all
}

/// The settings of an internally tagged enum: its tag, then those of its variants. One that several
/// variants have stands where the first has it.
fn tagged(
    section: &str,
    schema: &Value,
    tag: &str,
    variants: &[(&str, &Value)],
    all: &mut Vec<Setting>,
) {
    let start = all.len();
    all.push(tag_setting(section, schema, tag, variants));
    for (kind, variant) in variants {
        let mut own = Vec::new();
        table(section, variant, &mut own);
        for mut setting in own {
            if setting.key == all[start].key {
                continue;
            }
            match all[start..].iter_mut().find(|known| known.key == setting.key) {
                Some(known) => known.kinds.push(kind.to_string()),
                None => {
                    (setting.tag, setting.kinds) = (Some(tag.into()), vec![kind.to_string()]);
                    all.push(setting);
                }
            }
        }
    }
    for setting in &mut all[start..] {
        if setting.kinds.len() < variants.len() {
            setting.heading = format!("[{section}] of {}", setting.kinds.join(", "));
        }
    }
    // Those of the same heading stand together.
    let mut headings: Vec<String> = Vec::new();
    for setting in &all[start..] {
        if !headings.contains(&setting.heading) {
            headings.push(setting.heading.clone());
        }
    }
    let place = |setting: &Setting| headings.iter().position(|one| *one == setting.heading);
    all[start..].sort_by_key(place);
}

fn tag_setting(section: &str, schema: &Value, tag: &str, variants: &[(&str, &Value)]) -> Setting {
    let word = |(word, variant): &(&str, &Value)| {
        let about = variant.get("description").cloned().unwrap_or_default();
        serde_json::json!({"type": "string", "const": word, "description": about})
    };
    let words: Vec<Value> = variants.iter().map(word).collect();
    let mut own = serde_json::json!({"oneOf": words});
    for name in ["description", "x-flag", "x-aliases", "x-former-flags"] {
        if let Some(value) = schema.get(name) {
            own[name] = value.clone();
        }
    }
    if own.get("x-flag").is_none() {
        own["x-flag"] = section.into();
    }
    if let Some(default) = schema.get("default").and_then(|default| default.get(tag)) {
        own["default"] = default.clone();
    }
    let mut setting = setting(section, tag, &format!("{section}.{tag}"), &own);
    setting.kinds = variants.iter().map(|(word, _)| word.to_string()).collect();
    (setting.tag, setting.is_tag) = (Some(tag.into()), true);
    setting
}

/// The settings of a table, those of tables within it after it.
fn table(prefix: &str, schema: &Value, all: &mut Vec<Setting>) {
    for (name, property) in properties(schema).into_iter().flatten() {
        let key = format!("{prefix}.{name}");
        // In a table within a section, a flag's name begins with the table's.
        let outer = prefix.split_once('.').map(|(_, tables)| tables.rsplit('.').next());
        let long = match outer.flatten() {
            Some(outer) => format!("{outer}-{name}"),
            None => name.clone(),
        };
        all.push(setting(prefix.split('.').next().unwrap_or_default(), &long, &key, property));
        let inner = alternatives(property).into_iter().find(|one| properties(one).is_some());
        // A table that needs several values at once is given as a whole.
        if let Some(inner) = inner.filter(|inner| inner.get("required").is_none()) {
            table(&key, inner, all);
        }
    }
}

fn setting(section: &str, name: &str, key: &str, schema: &Value) -> Setting {
    let texts = |key: &str| -> Vec<String> {
        let all = schema.get(key).and_then(Value::as_array).into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_string).collect()
    };
    let text = |key: &str| schema.get(key).and_then(Value::as_str).map(str::to_string);
    let switches = schema.get("x-switches").and_then(Value::as_object).into_iter().flatten();
    Setting {
        key: key.to_string(),
        section: section.to_string(),
        flag: text("x-flag").unwrap_or_else(|| name.replace('_', "-")),
        description: description(schema),
        default: schema.get("default").filter(|default| !default.is_null()).cloned(),
        value_name: text("x-value").unwrap_or_else(|| value_name(schema).to_string()),
        switches: switches.map(|(flag, value)| (flag.clone(), show(value))).collect(),
        aliases: texts("x-aliases"),
        former_flags: texts("x-former-flags"),
        tag: None,
        is_tag: false,
        kinds: Vec::new(),
        heading: format!("[{section}]"),
        schema: schema.clone(),
    }
}

fn value_name(schema: &Value) -> &'static str {
    let all = alternatives(schema);
    let is = |name: &str| all.iter().all(|one| has_type(one, name) || is_null(one));
    match schema.get("format").and_then(Value::as_str) {
        Some("path") => "PATH",
        _ if is_only_words(schema) => "NAME",
        _ if is("integer") => "N",
        _ if is("number") => "X",
        _ if is("boolean") => "BOOL",
        _ if is("object") => "TABLE",
        _ if is("string") => "TEXT",
        _ => "VALUE",
    }
}
