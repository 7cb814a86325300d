//! Whether a configuration, as a tree of JSON values, fits a schema.

use serde_json::{Map, Value};

use super::schema::{
    alternatives, expected, has_type, is_in_range, properties, show, variants, words,
};

/// The key of a table's entry.
pub fn join(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_string() } else { format!("{table}.{key}") }
}

/// The first place of a tree that does not fit a schema: its key, and what is wrong.
///
/// Values are checked for their type, their range, or being one of the words allowed; keys for being
/// known, and known to the selected variant.
pub fn find_problem(schema: &Value, value: &Value, key: &str) -> Option<(String, String)> {
    if let (Some((tag, variants)), Some(table)) = (variants(schema), value.as_object()) {
        return match table.get(tag).or_else(|| default_tag(schema, tag)) {
            Some(word) => match variants.iter().find(|(name, _)| word == name) {
                Some((_, variant)) => find_in_table(variant, table, key, Some((tag, &variants))),
                None => {
                    let names: Vec<&str> = variants.iter().map(|(name, _)| *name).collect();
                    let message =
                        format!("is '{}', expected one of {}", show(word), names.join(", "));
                    Some((join(key, tag), message))
                }
            },
            None => Some((join(key, tag), "is missing".to_string())),
        };
    }
    if let (Some(_), Some(table)) = (properties(schema), value.as_object()) {
        return find_in_table(schema, table, key, None);
    }
    let tables = || alternatives(schema).into_iter().filter(|one| properties(one).is_some());
    if let (Some(table), Some(inner)) = (value.as_object(), tables().next()) {
        return find_in_table(inner, table, key, None);
    }
    let fits = alternatives(schema).into_iter().any(|one| accepts(one, value));
    (!fits).then(|| {
        (key.to_string(), format!("is {}, expected {}", found(schema, value), expected(schema)))
    })
}

/// A value as an error shows it.
fn found(schema: &Value, value: &Value) -> String {
    let is_number = |text: &str| text.parse::<f64>().is_ok_and(|number| !number.is_finite());
    match value {
        Value::Object(_) => "a table".to_string(),
        Value::Array(_) => "an array".to_string(),
        // JSON has no NaN and no infinity: they come as texts.
        Value::String(text) if !is_number(text) => format!("'{text}'"),
        value => show(&as_declared(schema, value)),
    }
}

/// A number with the digits of the type that it is declared with.
pub fn as_declared(schema: &Value, value: &Value) -> Value {
    let is_f32 = schema.get("format").is_some_and(|format| format == "float");
    if is_f32 { super::schema::shortest_f32(value) } else { value.clone() }
}

/// The tag that a tagged enum has where none is given.
pub fn default_tag<'a>(schema: &'a Value, tag: &str) -> Option<&'a Value> {
    schema.get("default").and_then(|default| default.get(tag))
}

type Variants<'a> = Option<(&'a str, &'a [(&'a str, &'a Value)])>;

fn find_in_table(
    schema: &Value,
    table: &Map<String, Value>,
    key: &str,
    variants: Option<(&str, &Vec<(&str, &Value)>)>,
) -> Option<(String, String)> {
    let variants: Variants = variants.map(|(tag, all)| (tag, all.as_slice()));
    let known = properties(schema)?;
    let missing = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    let missing = missing
        .filter_map(Value::as_str)
        .find(|name| !table.contains_key(*name) && variants.is_none_or(|(tag, _)| tag != *name));
    if let Some(name) = missing {
        return Some((join(key, name), "is missing".to_string()));
    }
    table.iter().find_map(|(name, value)| match known.get(name) {
        Some(inner) => find_problem(inner, value, &join(key, name)),
        None => Some((join(key, name), explain_unknown(known, key, name, variants))),
    })
}

/// Says of an unknown key what it is called now, which variant has it, or which keys there are.
fn explain_unknown(
    known: &Map<String, Value>,
    table: &str,
    name: &str,
    variants: Variants,
) -> String {
    let is_former = |property: &Value| {
        let former = property.get("x-former-keys").and_then(Value::as_array);
        former.is_some_and(|all| all.iter().any(|one| one == name))
    };
    if let Some((new, _)) = known.iter().find(|(_, property)| is_former(property)) {
        return format!("is an unknown key; it is now `{}`", join(table, new));
    }
    if let Some((tag, all)) = variants {
        let has_it = |variant: &Value| {
            let own = properties(variant);
            own.is_some_and(|own| own.contains_key(name) || own.values().any(is_former))
        };
        let owners: Vec<String> = all
            .iter()
            .filter(|(_, variant)| has_it(variant))
            .map(|(word, _)| format!("\"{word}\""))
            .collect();
        if !owners.is_empty() {
            let tag = join(table, tag);
            return format!("is a setting of {tag} = {} only", owners.join(" and "));
        }
    }
    let names: Vec<String> = known.keys().map(|key| format!("`{key}`")).collect();
    format!("is an unknown key, expected one of {}", names.join(", "))
}

/// Whether a schema without alternatives accepts a value.
fn accepts(schema: &Value, value: &Value) -> bool {
    if schema.get("const").is_some() || schema.get("enum").is_some() {
        return words(schema).iter().any(|(word, _)| value == word);
    }
    match value {
        Value::Null => has_type(schema, "null"),
        Value::Bool(_) => has_type(schema, "boolean"),
        Value::Number(number) => {
            let is_integer = number.is_i64() || number.is_u64();
            let fits = has_type(schema, "number") || is_integer && has_type(schema, "integer");
            fits && is_in_range(schema, &as_declared(schema, value))
        }
        Value::String(_) => has_type(schema, "string"),
        Value::Array(_) => has_type(schema, "array"),
        Value::Object(_) => has_type(schema, "object"),
    }
}
