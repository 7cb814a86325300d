//! What tests came to, as a person or a program reads it.

use serde::Serialize;

use super::compare::Tally;
use crate::device::{Adapter, Backend, adapters, candidates, choose, missing};
use crate::error::Result;

/// What one test came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// The test.
    pub test: &'static str,
    /// Whether everything was within its bound.
    pub ok: bool,
    /// The error that came nearest to its bound, or went furthest past it. Nothing where a number was
    /// not finite that should be, or the test did not end.
    pub worst_error: Option<f64>,
    /// Its bound.
    pub bound: Option<f64>,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// How many comparisons were made.
    pub compared: usize,
    /// How many went past their bounds.
    pub failed: usize,
    /// The first of those, in words.
    pub failures: Vec<String>,
}

impl Finding {
    pub(super) fn of(test: &'static str, tally: Tally, seconds: f64) -> Self {
        let within = tally.failed == 0 && tally.compared > 0;
        Self {
            test,
            ok: within,
            worst_error: Some(tally.error).filter(|error| error.is_finite()),
            bound: Some(tally.bound),
            seconds,
            compared: tally.compared,
            failed: tally.failed,
            failures: tally.failures,
        }
    }

    /// A test that did not end.
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

/// An adapter and what was found of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verified {
    /// The adapter, with its driver and limits.
    #[serde(flatten)]
    pub adapter: Adapter,
    /// What each test came to.
    pub tests: Vec<Finding>,
}

/// A backend that was not tested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Absent {
    /// The backend.
    pub backend: Backend,
    /// Why it was not.
    pub reason: String,
}

/// Everything that was found, and what on.
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
    /// What was tested.
    pub adapters: Vec<Verified>,
    /// What was not.
    pub absent: Vec<Absent>,
}

impl Report {
    /// The report of a machine.
    pub fn new(adapters: Vec<Verified>, absent: Vec<Absent>) -> Self {
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

/// The adapters of a backend, or of all of them with those that have none.
///
/// # Errors
/// Where a backend is named that has no adapter here: the error says why.
pub fn select(backend: Option<Backend>) -> Result<(Vec<Adapter>, Vec<Absent>)> {
    if let Some(backend) = backend {
        let here = candidates(backend);
        choose(&here, backend, 0)?;
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
    fn a_report_is_as_good_as_its_worst_test() {
        let (here, absent) = select(Some(Backend::Flex)).unwrap();
        assert_eq!((here.len(), absent.len()), (1, 0));
        let mut good = Tally::default();
        good.note("x", 1e-9, 1e-3);
        let good = Finding::of("good", good, 1.0);
        let bad = Finding::broken("bad", "the device is lost".into(), 1.0);
        let nothing = Finding::of("nothing compared", Tally::default(), 1.0);
        let report = |tests: &[&Finding]| {
            let tests = tests.iter().map(|&test| test.clone()).collect();
            Report::new(vec![Verified { adapter: here[0].clone(), tests }], Vec::new()).ok
        };
        assert!(report(&[&good]) && !report(&[&good, &bad]) && !report(&[&nothing]));
        assert_eq!((good.worst_error, good.bound), (Some(1e-9), Some(1e-3)));
    }
}
