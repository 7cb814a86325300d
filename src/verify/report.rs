//! The results of the tests, for people and programs.

use serde::Serialize;

use super::comparisons::Comparisons;
use crate::device::{Adapter, Backend, adapters, candidates, choose, missing};
use crate::error::Result;

/// The result of one test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestResult {
    /// The test.
    pub test: &'static str,
    /// Whether every error was within its bound.
    pub ok: bool,
    /// The error that is largest relative to its bound. `None` if a number was unexpectedly NaN or
    /// infinite, or the test did not end.
    pub worst_error: Option<f64>,
    /// Its bound.
    pub bound: Option<f64>,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// How many comparisons were made.
    pub compared: usize,
    /// How many exceeded their bounds.
    pub failed: usize,
    /// Descriptions of the first failures.
    pub failures: Vec<String>,
}

impl TestResult {
    pub(super) fn of(test: &'static str, comparisons: Comparisons, seconds: f64) -> Self {
        let within = comparisons.failed == 0 && comparisons.compared > 0;
        Self {
            test,
            ok: within,
            worst_error: Some(comparisons.error).filter(|error| error.is_finite()),
            bound: Some(comparisons.bound),
            seconds,
            compared: comparisons.compared,
            failed: comparisons.failed,
            failures: comparisons.failures,
        }
    }

    /// The result of a test that did not end.
    pub(super) fn broken(test: &'static str, message: String, seconds: f64) -> Self {
        Self {
            test,
            ok: false,
            worst_error: None,
            bound: None,
            seconds,
            compared: 0,
            failed: 1,
            failures: vec![message],
        }
    }
}

/// An adapter and the results of its tests.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AdapterReport {
    /// The adapter, with its driver and limits.
    #[serde(flatten)]
    pub adapter: Adapter,
    /// The result of each test.
    pub tests: Vec<TestResult>,
}

/// A backend that was not tested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Absent {
    /// The backend.
    pub backend: Backend,
    /// The reason.
    pub reason: String,
}

/// All results, and the machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The version of this crate.
    pub version: &'static str,
    /// The operating system.
    pub os: &'static str,
    /// The processor's architecture.
    pub architecture: &'static str,
    /// How many threads the processor offers.
    pub threads: usize,
    /// Whether all tests passed on all adapters.
    pub ok: bool,
    /// The tested adapters.
    pub adapters: Vec<AdapterReport>,
    /// The backends that were not tested.
    pub absent: Vec<Absent>,
}

impl Report {
    /// The report of a machine.
    pub fn new(adapters: Vec<AdapterReport>, absent: Vec<Absent>) -> Self {
        let mut tests = adapters.iter().flat_map(|one| &one.tests);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            os: std::env::consts::OS,
            architecture: std::env::consts::ARCH,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            ok: tests.all(|test| test.ok),
            adapters,
            absent,
        }
    }
}

/// The adapters of a backend; without one, those of all backends and the backends without adapters.
///
/// # Errors
/// Fails if the named backend has no adapter on this machine, and gives the reason.
pub fn select(backend: Option<Backend>) -> Result<(Vec<Adapter>, Vec<Absent>)> {
    if let Some(backend) = backend {
        let here = candidates(backend);
        if choose(&here, backend, 0).is_err() {
            // The error lists everything that is here.
            choose(&adapters(), backend, 0)?;
        }
        return Ok((here.into_iter().filter(|one| one.backend == backend).collect(), Vec::new()));
    }
    let here = adapters();
    let is_here = |backend: Backend| here.iter().any(|one| one.backend == backend);
    let absent = Backend::ALL
        .into_iter()
        .filter(|&backend| backend != Backend::Auto && !is_here(backend))
        .map(|backend| Absent { backend, reason: missing(backend) })
        .collect();
    Ok((here, absent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_passes_if_all_tests_do() {
        let (here, absent) = select(Some(Backend::Flex)).unwrap();
        assert_eq!((here.len(), absent.len()), (1, 0));
        let mut good = Comparisons::default();
        good.record("x", 1e-9, 1e-3);
        let good = TestResult::of("good", good, 1.0);
        let bad = TestResult::broken("bad", "the device is lost".into(), 1.0);
        let nothing = TestResult::of("nothing compared", Comparisons::default(), 1.0);
        let report = |tests: &[&TestResult]| {
            let tests = tests.iter().map(|&test| test.clone()).collect();
            Report::new(vec![AdapterReport { adapter: here[0].clone(), tests }], Vec::new()).ok
        };
        assert!(report(&[&good]) && !report(&[&good, &bad]) && !report(&[&nothing]));
        assert_eq!((good.worst_error, good.bound), (Some(1e-9), Some(1e-3)));
    }
}
