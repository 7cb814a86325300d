//! TOML values as JSON values.

use serde_json::{Map, Number, Value};
use toml::de::{DeTable, DeValue};

/// A TOML value as a JSON value. NaN and infinity, which JSON lacks, become their names, so that a
/// check of types refuses them.
pub fn to_json(value: &DeValue) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(integer) => {
            let (digits, radix) = (integer.as_str(), integer.radix());
            let signed = i64::from_str_radix(digits, radix).ok().map(Number::from);
            let number = signed.or_else(|| u64::from_str_radix(digits, radix).ok().map(Into::into));
            number.map_or_else(|| Value::String(digits.to_string()), Value::Number)
        }
        DeValue::Float(float) => {
            let number = float.as_str().parse().ok().and_then(Number::from_f64);
            number.map_or_else(|| Value::String(float.as_str().to_string()), Value::Number)
        }
        DeValue::Boolean(boolean) => Value::Bool(*boolean),
        DeValue::Datetime(datetime) => Value::String(datetime.to_string()),
        DeValue::Array(array) => array.iter().map(|one| to_json(one.get_ref())).collect(),
        DeValue::Table(table) => Value::Object(table_to_json(table)),
    }
}

fn table_to_json(table: &DeTable) -> Map<String, Value> {
    let pairs = table.iter();
    pairs.map(|(key, value)| (key.get_ref().to_string(), to_json(value.get_ref()))).collect()
}

/// The same for an owned value.
pub fn toml_to_json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => Number::from_f64(number)
            .map_or_else(|| Value::String(number.to_string()), Value::Number),
        toml::Value::Boolean(boolean) => Value::Bool(boolean),
        toml::Value::Datetime(datetime) => Value::String(datetime.to_string()),
        toml::Value::Array(all) => all.into_iter().map(toml_to_json).collect(),
        toml::Value::Table(all) => {
            Value::Object(all.into_iter().map(|(key, value)| (key, toml_to_json(value))).collect())
        }
    }
}

/// The value that a word of the command line stands for: a TOML value, or else the word itself.
pub fn read(raw: &str) -> Value {
    match DeValue::parse(raw) {
        Ok(value) => to_json(value.get_ref()),
        Err(_) => Value::String(raw.to_string()),
    }
}
