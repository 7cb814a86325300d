//! Checks of settings against the ranges that their fields declare.

use garde::Validate;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Result};

/// Checks a table of settings. `section` is its name in `config.toml`.
///
/// # Errors
/// Names the first setting that is out of range, its value and the range.
pub(in crate::env) fn check<T>(settings: &T, section: &str) -> Result<()>
where
    T: Validate<Context = ()> + Serialize + JsonSchema,
{
    let Err(report) = settings.validate() else { return Ok(()) };
    let Some((path, error)) = report.iter().next() else { return Ok(()) };
    let inline = SchemaSettings::default().with(|settings| settings.inline_subschemas = true);
    let schema = inline.into_generator().into_root_schema_for::<T>().to_value();
    let table = toml::Value::try_from(settings).ok();
    let (mut key, mut schema, mut value) = (section.to_string(), &schema, table.as_ref());
    for part in path.to_string().split('.') {
        // A flattened field is not a key.
        let Some(property) = schema.get("properties").and_then(|known| known.get(part)) else {
            continue;
        };
        key = format!("{key}.{part}");
        schema = property;
        value = value.and_then(|table| table.get(part));
    }
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let message = match (value, bound("minimum"), bound("maximum")) {
        (Some(value), Some(min), Some(max)) if !is_within(value, min, max) => {
            format!("{value} is out of range, expected {min} to {max}")
        }
        _ => error.to_string(),
    };
    Err(Error::setting(key, message))
}

fn is_within(value: &toml::Value, min: f64, max: f64) -> bool {
    let number = value.as_float().or(value.as_integer().map(|number| number as f64));
    number.is_none_or(|number| number >= min && number <= max)
}

/// A rule for garde: refuses NaN, which passes garde's comparison with a range.
pub(in crate::env) fn number<T: Copy + Into<f64>>(value: &T, _: &()) -> garde::Result {
    let value: f64 = (*value).into();
    if value.is_nan() { Err(garde::Error::new("expected a number")) } else { Ok(()) }
}
