//! Settings as keyword arguments: the crate's own declarations, read through serde.

use std::sync::{Mutex, PoisonError};

use proxmo::Error;
use proxmo::credit::{CreditConfig, CreditState};
use proxmo::settings::{find_problem, schema_of};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyTuple};
use pythonize::{depythonize, pythonize};
use serde_json::{Map, Value};

use crate::errors::to_python;

/// Keyword arguments as a table. `None` leaves a setting at its default.
///
/// # Errors
/// `ValueError` that names the setting.
pub(crate) fn table(settings: Option<&Bound<'_, PyDict>>) -> PyResult<Map<String, Value>> {
    let mut table = Map::new();
    for (key, value) in settings.into_iter().flatten() {
        if !value.is_none() {
            let key: String = key.extract()?;
            let value = json(&key, &value)?;
            table.insert(key, value);
        }
    }
    Ok(table)
}

/// A setting's value. Paths become texts, and NumPy's scalars numbers.
fn json(key: &str, value: &Bound<'_, PyAny>) -> PyResult<Value> {
    let refused = |message: String| PyValueError::new_err(format!("setting '{key}': {message}"));
    let plain = if value.hasattr("__fspath__")? {
        value.call_method0("__fspath__")?
    } else if value.hasattr("dtype")? && value.hasattr("item")? {
        value
            .call_method0("item")
            .map_err(|error| refused(format!("expected one value: {error}")))?
    } else {
        value.clone()
    };
    if let Ok(number) = plain.cast::<PyFloat>()
        && !number.extract::<f64>()?.is_finite()
    {
        return Err(refused(format!("is {number}, expected a finite number")));
    }
    depythonize(&plain).map_err(|error| refused(format!("cannot be read: {error}")))
}

/// The settings of credit assignment: `base` with those of `table` in their place.
///
/// # Errors
/// `ValueError` with the crate's message, which names the setting.
pub(crate) fn credit_config(
    base: Option<&CreditConfig>,
    table: Map<String, Value>,
) -> PyResult<CreditConfig> {
    let mut tree = match base.map(serde_json::to_value) {
        Some(Ok(Value::Object(tree))) => tree,
        _ => Map::new(),
    };
    tree.extend(table);
    let tree = Value::Object(tree);
    let config: CreditConfig = serde_json::from_value(tree.clone())
        .map_err(|error| unfit(&schema_of::<CreditConfig>(), &tree, "credit", &error))?;
    config.validate().map_err(to_python)?;
    Ok(config)
}

/// The exception for settings that cannot be read: the first one that does not fit, and what is expected.
pub(crate) fn unfit(
    schema: &Value,
    tree: &Value,
    section: &str,
    error: &serde_json::Error,
) -> PyErr {
    let problem = find_problem(schema, tree, section);
    let (key, problem) = problem.unwrap_or_else(|| (section.into(), error.to_string()));
    to_python(Error::setting(key, problem))
}

/// The settings of credit assignment, checked. Immutable; the default is ProxMO as published.
///
/// Takes the settings of `[credit]` in `config.toml` as keyword arguments (see `proxmo.Settings` and
/// `proxmo.Config.schema()`). Pass it to `credit(config=…)`.
///
/// Raises ValueError for a setting that is unknown or out of range.
#[pyclass(frozen, eq, module = "proxmo", from_py_object)]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config(pub CreditConfig);

#[pymethods]
impl Config {
    #[new]
    #[pyo3(signature = (**settings))]
    fn new(settings: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        credit_config(None, table(settings)?).map(Self)
    }

    /// The same settings with some changed.
    #[pyo3(signature = (**settings))]
    fn replace(&self, settings: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        credit_config(Some(&self.0), table(settings)?).map(Self)
    }

    /// All settings by name. Those that are not set are absent.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(pythonize(py, &self.0)?)
    }

    /// The JSON Schema of the settings: descriptions, ranges, defaults.
    #[staticmethod]
    fn schema(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        Ok(pythonize(py, &schema_of::<CreditConfig>())?)
    }

    fn __repr__(&self) -> PyResult<String> {
        Python::attach(|py| {
            let all = self.to_dict(py)?;
            let defaults = Self(CreditConfig::default()).to_dict(py)?;
            let mut words = Vec::new();
            for (key, value) in all.cast::<PyDict>()? {
                if !defaults.get_item(&key).is_ok_and(|default| default.eq(&value).unwrap_or(false))
                {
                    words.push(format!("{key}={}", value.repr()?));
                }
            }
            Ok(format!("Config({})", words.join(", ")))
        })
    }

    /// For copy and pickle.
    fn __getnewargs_ex__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyAny>)> {
        Ok((PyTuple::empty(py), self.to_dict(py)?))
    }
}

/// What `temperature="auto"` learns from one iteration to the next. Pass the same object to
/// every call of `credit`, which updates it, and keep it in checkpoints (it can be pickled).
#[pyclass(frozen, module = "proxmo")]
#[derive(Debug, Default)]
pub(crate) struct State(Mutex<CreditState>);

impl State {
    /// A copy of what is known.
    pub(crate) fn get(&self) -> CreditState {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces what is known.
    pub(crate) fn set(&self, state: CreditState) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

#[pymethods]
impl State {
    #[new]
    #[pyo3(signature = (prediction_errors=Vec::new()))]
    fn new(prediction_errors: Vec<f32>) -> Self {
        Self(Mutex::new(CreditState { prediction_errors }))
    }

    /// The averaged relative prediction error at each temperature of the grid; empty at first.
    #[getter]
    fn prediction_errors(&self) -> Vec<f32> {
        self.get().prediction_errors
    }

    /// For copy and pickle.
    fn __getnewargs__(&self) -> (Vec<f32>,) {
        (self.get().prediction_errors,)
    }
}
