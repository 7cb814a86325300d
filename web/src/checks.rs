//! The tests of `proxmo verify` on the browser's CPU, and runs of the shaders for its GPU.

use std::collections::BTreeMap;

use proxmo::device::{Backend, open};
use proxmo::kernels::shaders;
use proxmo::verify::{TESTS, shader_runs};
use serde::Serialize;
use serde_json::Value;
use wasm_bindgen::prelude::*;

use crate::error::{Result, json};

/// The names of all tests, as a JSON list.
///
/// # Errors
/// Fails if they cannot be written.
#[wasm_bindgen]
pub fn checks() -> Result<String> {
    json(&TESTS.map(|test| test.name))
}

/// Runs the test of a number on the CPU. Its result is JSON, as in `proxmo verify --json`.
///
/// # Errors
/// Fails if there is no such test.
#[wasm_bindgen]
pub async fn check(number: usize) -> Result<String> {
    let test = TESTS.get(number);
    let test = test.ok_or_else(|| JsError::new(&format!("there is no test {number}")))?;
    json(&test.on_async(&open(Backend::Flex, 0)?.device).await)
}

/// The crate's shaders by the names of their files, and [`shader_runs`], as JSON.
///
/// # Errors
/// Fails if a case is malformed.
#[wasm_bindgen]
pub fn shader_checks() -> Result<String> {
    #[derive(Serialize)]
    struct ShaderChecks {
        shaders: BTreeMap<String, String>,
        runs: Vec<Value>,
    }
    let shaders = shaders().into_iter().map(|shader| (shader.file_name(), shader.source));
    json(&ShaderChecks { shaders: shaders.collect(), runs: shader_runs()? })
}
