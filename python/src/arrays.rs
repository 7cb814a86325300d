//! Arguments as arrays and lists of texts.

use numpy::ndarray::Dimension;
use numpy::{Element, PyReadonlyArray, PyReadonlyArray1, dtype};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{IntoPyDict, PyString};

use crate::errors::refused;

/// The kinds of numbers that an argument accepts, as NumPy abbreviates them, and their name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kinds(&'static str, &'static str);

/// Real numbers.
pub(crate) const NUMBERS: Kinds = Kinds("fiu", "numbers");
/// Whole numbers.
pub(crate) const INTEGERS: Kinds = Kinds("iu", "whole numbers");
/// True or false.
pub(crate) const BOOLEANS: Kinds = Kinds("b", "booleans");

/// An argument as an array of `T`. An array of this type is read where it is; other kinds of numbers,
/// lists and CPU tensors are converted.
///
/// # Errors
/// `ValueError` that names the argument.
pub(crate) fn array<'py, T: Element, D: Dimension>(
    name: &str,
    argument: &Bound<'py, PyAny>,
    kinds: Kinds,
) -> PyResult<PyReadonlyArray<'py, T, D>> {
    if let Ok(array) = argument.extract() {
        return Ok(array);
    }
    let py = argument.py();
    let array = py
        .import("numpy")?
        .call_method1("asarray", (argument,))
        .map_err(|error| refused(name, format!("expected {}: {error}", kinds.1)))?;
    let kind: String = array.getattr("dtype")?.getattr("kind")?.extract()?;
    let is_empty = array.getattr("size")?.extract::<usize>()? == 0;
    if !kinds.0.contains(&kind) && !is_empty {
        let found = array.getattr("dtype")?;
        return Err(refused(name, format!("expected {}, found an array of {found}", kinds.1)));
    }
    let converted = array.call_method("astype", (dtype::<T>(py),), Some(&no_copy(py)?))?;
    converted.extract().map_err(|_| {
        let shape = array.getattr("shape").map_or_else(|_| "?".into(), |shape| shape.to_string());
        let expected = D::NDIM.unwrap_or_default();
        refused(name, format!("expected {expected} dimension(s), found an array of shape {shape}"))
    })
}

fn no_copy(py: Python<'_>) -> PyResult<Bound<'_, pyo3::types::PyDict>> {
    [("copy", false)].into_py_dict(py)
}

/// Checks the length of an argument.
///
/// # Errors
/// `ValueError` that names the argument.
pub(crate) fn check_length(name: &str, found: usize, expected: usize, of: &str) -> PyResult<()> {
    if found == expected {
        return Ok(());
    }
    Err(refused(name, format!("expected {expected}, one for each {of}, found {found}")))
}

/// An argument as offsets, each 0 or above.
///
/// # Errors
/// `ValueError` that names the argument.
pub(crate) fn offsets(name: &str, argument: &Bound<'_, PyAny>) -> PyResult<Vec<usize>> {
    let array: PyReadonlyArray1<i64> = array(name, argument, INTEGERS)?;
    let mut offsets = Vec::with_capacity(array.len()?);
    for (at, &offset) in array.as_array().iter().enumerate() {
        let found = usize::try_from(offset)
            .map_err(|_| refused(&format!("{name}[{at}]"), format!("is {offset}, below 0")))?;
        offsets.push(found);
    }
    Ok(offsets)
}

/// An argument as texts. They stay where they are.
///
/// # Errors
/// `ValueError` that names the argument and the index.
pub(crate) fn texts(name: &str, argument: &Bound<'_, PyAny>) -> PyResult<Vec<PyBackedStr>> {
    optional_texts(name, argument)?
        .into_iter()
        .enumerate()
        .map(|(at, text)| {
            text.ok_or_else(|| refused(&format!("{name}[{at}]"), "expected a str, found None"))
        })
        .collect()
}

/// As [`texts`], with `None` among them.
///
/// # Errors
/// As [`texts`].
pub(crate) fn optional_texts(
    name: &str,
    argument: &Bound<'_, PyAny>,
) -> PyResult<Vec<Option<PyBackedStr>>> {
    if argument.is_instance_of::<PyString>() {
        return Err(refused(name, "expected a list of str, found one str"));
    }
    let items = argument
        .try_iter()
        .map_err(|_| refused(name, format!("expected a list of str, found {}", kind(argument))))?;
    let mut texts = Vec::new();
    for (at, item) in items.enumerate() {
        let item = item?;
        let text: PyResult<Option<PyBackedStr>> = item.extract();
        texts.push(text.map_err(|error| {
            let place = format!("{name}[{at}]");
            match error.is_instance_of::<PyTypeError>(item.py()) {
                true => refused(&place, format!("expected a str, found {}", kind(&item))),
                false => refused(&place, format!("expected text without surrogates: {error}")),
            }
        })?);
    }
    Ok(texts)
}

/// The type of a value, in words.
pub(crate) fn kind(value: &Bound<'_, PyAny>) -> String {
    value.get_type().name().map_or_else(|_| "another type".into(), |name| name.to_string())
}
