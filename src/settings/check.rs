//! Validation of configurations made in Rust.

use garde::Validate;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::schema::schema_of;
use super::tree::{find_problem, join};
use crate::error::{Error, Result};

/// Checks a configuration: every range that its declaration states, and that no number is NaN.
/// `section` stands in front of the keys in errors; empty for a whole configuration.
///
/// # Errors
/// Names the key of the first setting that does not fit, what it is and what is expected.
pub fn check<T>(config: &T, section: &str) -> Result<()>
where
    T: Validate<Context = ()> + Serialize + JsonSchema,
{
    let tree = serde_json::to_value(config)
        .map_err(|error| Error::setting(section, format!("cannot be written: {error}")))?;
    let report = config.validate().err();
    // The derived check lets NaN pass; as JSON, NaN is null.
    if report.is_none() && !has_null(&tree) {
        return Ok(());
    }
    if let Some((key, problem)) = find_problem(&schema_of::<T>(), &tree, section) {
        return Err(Error::setting(key, problem));
    }
    match report.iter().flat_map(|report| report.iter()).next() {
        Some((path, error)) => {
            // A variant's only field has an index for a name, a setting within it has none.
            let path = path.to_string().replace("[0]", "");
            Err(Error::setting(join(section, path.trim_end_matches('.')), error.message()))
        }
        None => Ok(()),
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(all) => all.iter().any(has_null),
        Value::Object(all) => all.values().any(has_null),
        _ => false,
    }
}

/// A custom rule of garde: the number is above 0.
///
/// # Errors
/// If it is not.
pub fn above_zero<T: Number>(value: &T, _: &()) -> garde::Result {
    match value.number().is_none_or(|number| number > 0.0) {
        true => Ok(()),
        false => Err(garde::Error::new("is not above 0")),
    }
}

/// A number that may be absent.
pub trait Number {
    /// The number.
    fn number(&self) -> Option<f64>;
}

impl Number for f64 {
    fn number(&self) -> Option<f64> {
        Some(*self)
    }
}

impl Number for Option<f64> {
    fn number(&self) -> Option<f64> {
        *self
    }
}
