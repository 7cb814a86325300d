//! The state of a run in a checkpoint, besides its tensors.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files::STATE;
use super::manifest::Manifest;
use crate::credit::CreditState;
use crate::error::{Error, Result};

/// Version of the checkpoint format. A checkpoint of another version is refused.
pub(super) const VERSION: u32 = 4;

/// The state of a run besides its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunState {
    pub(super) version: u32,
    /// Iterations done.
    pub iteration: u64,
    /// Environment steps done.
    pub steps: u64,
    /// Seconds that the run has taken.
    pub elapsed: f64,
    /// Number of consecutive updates that were skipped because a value was not finite.
    pub consecutive_skips: usize,
    /// The best evaluation so far that has a checkpoint.
    pub best: Option<BestEvaluation>,
    /// State that credit assignment carries from one iteration to the next.
    pub credit: CreditState,
}

/// The best evaluation of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BestEvaluation {
    /// The iteration that it follows.
    pub iteration: u64,
    /// The bits of its value, a 64-bit float, which decimal text does not preserve in every reader.
    value_bits: u64,
}

impl BestEvaluation {
    /// An evaluation with a value, of which a larger one is better.
    pub fn new(iteration: u64, value: f64) -> Self {
        Self { iteration, value_bits: value.to_bits() }
    }

    /// Whether this evaluation is at least as good as an earlier one.
    pub fn beats(&self, other: Option<&Self>) -> bool {
        let value = |one: &Self| f64::from_bits(one.value_bits);
        other.is_none_or(|other| value(self) >= value(other))
    }
}

/// Reads a checkpoint's state.
///
/// # Errors
/// Names the file and the value that is malformed.
pub fn read_state(checkpoint: &Path) -> Result<RunState> {
    let path = checkpoint.join(STATE);
    let text = Manifest::open(checkpoint)?.read(checkpoint, STATE)?;
    expect_version(&text, checkpoint)?;
    let state: RunState =
        serde_json::from_slice(&text).map_err(|error| Error::file(&path, error.to_string()))?;
    if !(state.elapsed.is_finite() && state.elapsed >= 0.0) {
        let message = format!("elapsed is {}, expected a number of seconds from 0", state.elapsed);
        return Err(Error::file(&path, message));
    }
    let name = checkpoint.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if name.parse().is_ok_and(|iteration: u64| iteration != state.iteration) {
        let message = format!("has iteration {}, its folder is named {name}", state.iteration);
        return Err(Error::file(&path, message));
    }
    Ok(state)
}

/// Refuses a state of another version. Malformed text passes; the full parser reports it.
pub(super) fn expect_version(state: &[u8], checkpoint: &Path) -> Result<()> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    match serde_json::from_slice::<Versioned>(state) {
        Ok(found) if found.version != VERSION => Err(Error::file(
            &checkpoint.join(STATE),
            format!("checkpoint version {}, this program reads version {VERSION}", found.version),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_of_two_equally_good_evaluations_is_the_best() {
        let best = |value| BestEvaluation::new(0, value);
        assert!(best(-3.0).beats(None));
        assert!(best(1.0 / 3.0).beats(Some(&best(1.0 / 3.0))));
        assert!(best(0.5).beats(Some(&best(-0.5))));
        assert!(!best(0.49).beats(Some(&best(0.5))));
    }
}
