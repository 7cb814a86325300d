//! Python bindings of proxmo: credit assignment and environments.
//!
//! This crate translates between Python and the `proxmo` crate and holds no mathematics. The Python
//! package in `proxmo/` re-exports what is here; docstrings state shapes.

mod arrays;
mod credit;
mod environment;
mod errors;
mod settings;
mod threads;

use pyo3::prelude::*;

/// The compiled part of the package `proxmo`.
#[pymodule]
mod _proxmo {
    #[pymodule_export]
    use super::credit::{Credit, credit};
    #[pymodule_export]
    use super::environment::{Beginnings, Environment, Steps, make};
    #[pymodule_export]
    use super::settings::{Config, State};

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
