//! Validation of configurations made in Rust.

use garde::Validate;
use schemars::JsonSchema;
use serde::Serialize;

use super::literal::toml_to_json;
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
    let report = config.validate().err();
    // The derived check lets NaN pass. As TOML it stays what it is; numbers that TOML cannot hold are
    // written as JSON.
    let tree = toml::Value::try_from(config);
    if report.is_none() && !tree.as_ref().is_ok_and(has_non_finite) {
        return Ok(());
    }
    let tree = match tree {
        Ok(tree) => toml_to_json(tree),
        Err(_) => serde_json::to_value(config)
            .map_err(|error| Error::setting(section, format!("cannot be written: {error}")))?,
    };
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

fn has_non_finite(value: &toml::Value) -> bool {
    match value {
        toml::Value::Float(number) => !number.is_finite(),
        toml::Value::Array(all) => all.iter().any(has_non_finite),
        toml::Value::Table(all) => all.values().any(has_non_finite),
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
