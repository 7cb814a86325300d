//! Errors as exceptions.

use serde::Serialize;
use wasm_bindgen::JsError;

/// A result whose error is an exception.
pub type Result<T> = std::result::Result<T, JsError>;

/// The JSON of a value.
pub fn json(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string(value)?)
}
