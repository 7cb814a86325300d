//! Errors of the crate as Python exceptions.

use proxmo::Error;
use pyo3::PyErr;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};

/// The Python exception for an error: `ValueError` for invalid input, `OSError` for a failed file
/// operation, `RuntimeError` for a failure of an environment.
pub(crate) fn to_python(error: Error) -> PyErr {
    let message = error.to_string();
    match error {
        Error::Input { .. } | Error::Setting { .. } => PyValueError::new_err(message),
        Error::Io { .. } => PyOSError::new_err(message),
        _ => PyRuntimeError::new_err(message),
    }
}

/// A `ValueError` about an argument.
pub(crate) fn refused(argument: &str, message: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(format!("{argument}: {message}"))
}
