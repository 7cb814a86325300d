//! JSON Schemas of configurations, and the questions that are asked of them.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::{Map, Number, Value};

/// The JSON Schema of a configuration. It has no references: the schema of each field stands in its
/// place.
pub fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(RecursiveTransform(shorten_default));
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Writes the default of an f32 with the digits that it needs: 0.2, not 0.20000000298023224.
fn shorten_default(schema: &mut schemars::Schema) {
    if schema.get("format").and_then(Value::as_str) != Some("float") {
        return;
    }
    if let Some(default) = schema.get_mut("default") {
        *default = shortest_f32(default);
    }
}

/// A number that was an f32, as the f64 with the same shortest digits.
pub fn shortest_f32(value: &Value) -> Value {
    let short = value.as_f64().and_then(|number| (number as f32).to_string().parse().ok());
    short.and_then(Number::from_f64).map_or_else(|| value.clone(), Value::Number)
}

/// The alternatives of a schema: itself, unless it is an `anyOf` or `oneOf`.
pub fn alternatives(schema: &Value) -> Vec<&Value> {
    let choice = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array);
    choice.map_or_else(|| vec![schema], |all| all.iter().flat_map(alternatives).collect())
}

/// The properties of a table.
pub fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties").and_then(Value::as_object)
}

/// Whether the schema's `type` is, or includes, `name`.
pub fn has_type(schema: &Value, name: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == name,
        Some(Value::Array(several)) => several.iter().any(|one| one == name),
        _ => false,
    }
}

/// The words that a schema with neither `anyOf` nor `oneOf` allows, with their descriptions.
fn own_words(schema: &Value) -> Vec<(&str, &str)> {
    let description = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    match (schema.get("const"), schema.get("enum")) {
        (Some(Value::String(word)), _) => vec![(word, description)],
        (_, Some(Value::Array(all))) => {
            all.iter().filter_map(Value::as_str).map(|word| (word, "")).collect()
        }
        _ => Vec::new(),
    }
}

/// The words that a schema allows, with their descriptions.
pub fn words(schema: &Value) -> Vec<(&str, &str)> {
    alternatives(schema).into_iter().flat_map(own_words).collect()
}

/// Whether a schema allows null alone.
pub fn is_null(schema: &Value) -> bool {
    schema.get("type").is_some_and(|kind| kind == "null")
}

/// Whether words are all that a schema allows.
pub fn is_only_words(schema: &Value) -> bool {
    let all = alternatives(schema);
    !words(schema).is_empty() && all.iter().all(|one| !own_words(one).is_empty() || is_null(one))
}

/// Whether a schema allows any text.
pub fn is_any_text(schema: &Value) -> bool {
    alternatives(schema).into_iter().any(|one| has_type(one, "string") && own_words(one).is_empty())
}

/// The tag of an internally tagged enum, and its variants: the tag's word and the schema of each.
pub fn variants(schema: &Value) -> Option<(&str, Vec<(&str, &Value)>)> {
    let all = schema.get("oneOf").and_then(Value::as_array)?;
    let word = |variant: &'_ Value, tag: &str| -> Option<String> {
        Some(properties(variant)?.get(tag)?.get("const")?.as_str()?.to_string())
    };
    let tag = properties(all.first()?)?
        .iter()
        .find(|(_, property)| property.get("const").is_some())
        .map(|(tag, _)| tag.as_str())?;
    if !all.iter().all(|variant| word(variant, tag).is_some()) {
        return None;
    }
    let named = all.iter().filter_map(|variant| {
        let word = properties(variant)?.get(tag)?.get("const")?.as_str()?;
        Some((word, variant))
    });
    Some((tag, named.collect()))
}

/// What a schema allows, in words: "a number from 0 to 1".
pub fn expected(schema: &Value) -> String {
    let all = alternatives(schema);
    let words: Vec<&str> = words(schema).into_iter().map(|(word, _)| word).collect();
    let mut texts: Vec<String> = all.iter().filter_map(|one| kind_of_value(one)).collect();
    if texts.is_empty() && words.len() > 1 {
        return format!("one of {}", words.join(", "));
    }
    texts.splice(0..0, words.into_iter().map(str::to_string));
    match texts.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, first)) => format!("{} or {last}", first.join(", ")),
        None => "nothing".to_string(),
    }
}

/// What a schema other than one of words allows.
fn kind_of_value(schema: &Value) -> Option<String> {
    if !own_words(schema).is_empty() {
        return None;
    }
    if has_type(schema, "integer") {
        return Some(format!("a whole number{}", range(schema)));
    }
    if has_type(schema, "number") {
        return Some(format!("a number{}", range(schema)));
    }
    if has_type(schema, "boolean") {
        return Some("true or false".to_string());
    }
    if has_type(schema, "string") {
        let is_path = schema.get("format").is_some_and(|format| format == "path");
        return Some(if is_path { "a path" } else { "text" }.to_string());
    }
    let keys = properties(schema)?.keys().map(|key| format!("`{key}`")).collect::<Vec<_>>();
    Some(match keys.split_last() {
        Some((last, [])) => format!("a table of {last}"),
        Some((last, first)) => format!("a table of {} and {last}", first.join(", ")),
        None => "a table".to_string(),
    })
}

/// The range of a number: " from 0 to 1".
pub fn range(schema: &Value) -> String {
    let bound = |key: &str| schema.get(key).map(show);
    match (bound("minimum"), bound("exclusiveMinimum"), bound("maximum")) {
        (_, Some(low), Some(high)) => format!(" above {low} and at most {high}"),
        (_, Some(low), None) => format!(" above {low}"),
        (Some(low), None, Some(high)) => format!(" from {low} to {high}"),
        (Some(low), None, None) => format!(", at least {low}"),
        (None, None, Some(high)) => format!(", at most {high}"),
        (None, None, None) => String::new(),
    }
}

/// Whether a number lies in the schema's range.
pub fn is_in_range(schema: &Value, value: &Value) -> bool {
    // Integers are compared as integers: an f64 does not tell 2^63 from 2^63 - 1.
    let compare = |bound: &Value| match (value.as_i128(), bound.as_i128()) {
        (Some(value), Some(bound)) => Some(value.cmp(&bound)),
        _ => value.as_f64()?.partial_cmp(&bound.as_f64()?),
    };
    let holds = |key: &str, fits: fn(std::cmp::Ordering) -> bool| {
        schema.get(key).is_none_or(|bound| compare(bound).is_some_and(fits))
    };
    holds("minimum", |order| order.is_ge())
        && holds("exclusiveMinimum", |order| order.is_gt())
        && holds("maximum", |order| order.is_le())
}

/// Integers of JSON in one type.
trait AsI128 {
    fn as_i128(&self) -> Option<i128>;
}

impl AsI128 for Value {
    fn as_i128(&self) -> Option<i128> {
        self.as_i64().map(i128::from).or_else(|| self.as_u64().map(i128::from))
    }
}

/// A value as messages show it: texts without quotation marks, 1.0 as 1.
pub fn show(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => match (value.as_i128(), number.as_f64()) {
            (None, Some(number)) => number.to_string(),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

/// A schema's text: its doc comment, one line a paragraph, without the marks of Markdown.
pub fn description(schema: &Value) -> Vec<String> {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let plain = |paragraph: &str| {
        paragraph.split_whitespace().collect::<Vec<_>>().join(" ").replace(['`', '[', ']'], "")
    };
    text.split("\n\n").map(plain).filter(|paragraph| !paragraph.is_empty()).collect()
}
