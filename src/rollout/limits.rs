//! Errors of environments, and how many a rollout tolerates.
//!
//! An episode is *lost to an environment error* if its environment returns an error, panics, does not
//! answer within the step time-out, or gives a malformed answer: a reward that is NaN or beyond 1e9, no
//! admissible action before the end, texts of more than a mebibyte, more than twice the step limit. A
//! lost episode has no rows, so it takes no part in statistics, credit or updates; its group continues
//! with one episode less. The batch lists the errors.
//!
//! An environment may have lost episodes
//! [played again](crate::env::Environment::replays_lost_episodes); then only what fails again is lost.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Limits on environment errors.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// Maximum number of episodes of one collection that may be lost to environment errors.
    pub max_errors: usize,
    /// Seconds after which a step counts as hanging; 0 for no limit. With a limit, every session runs
    /// on a thread of its own, which is abandoned if it hangs, as a thread cannot be stopped. The limit
    /// covers the start of a session too, if the environment can be
    /// [shared](crate::env::Environment::shared) with that thread; otherwise the rollout waits for it.
    pub step_timeout: f64,
}

impl Limits {
    /// Fails if more episodes were lost than allowed.
    pub(crate) fn check(&self, errors: &[EnvironmentError]) -> Result<()> {
        match errors.last() {
            Some(last) if errors.len() > self.max_errors => Err(Error::Environment(format!(
                "{last} ({} lost to environment errors at once, rollout.max_env_errors allows {})",
                if errors.len() == 1 {
                    "1 episode".into()
                } else {
                    format!("{} episodes", errors.len())
                },
                self.max_errors
            ))),
            _ => Ok(()),
        }
    }
}

/// An episode that was lost to its environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentError {
    /// Name of the task.
    pub task: String,
    /// Number of the group.
    pub group: usize,
    /// Number of the episode within its group, as planned.
    pub episode: usize,
    /// The step that failed, counted from 1; 0 if the episode did not start.
    pub step: usize,
    /// What happened.
    pub message: String,
}

impl fmt::Display for EnvironmentError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let Self { task, group, episode, step, message } = self;
        write!(out, "task '{task}' (group {group}, episode {episode}), step {step}: {message}")
    }
}

/// Fails if all episodes were lost, whatever the limits: an empty batch has no statistics.
pub fn expect_some(kept: usize, errors: &[EnvironmentError]) -> Result<()> {
    match errors.last() {
        Some(last) if kept == 0 => {
            Err(Error::Environment(format!("{last} (and every other episode was lost too)")))
        }
        _ => Ok(()),
    }
}

/// Calls an environment. Returns an error or a panic as text.
pub fn guarded<T>(call: impl FnOnce() -> Result<T>) -> Result<T, String> {
    // A call that panics may leave its session inconsistent. That session is not called again.
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Error::Environment(message))) => Err(message),
        Ok(Err(error)) => Err(error.to_string()),
        Err(payload) => Err(format!("panicked: {}", panic_message(&*payload))),
    }
}

fn panic_message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_panics_are_returned_as_text() {
        assert_eq!(guarded(|| Ok(3)), Ok(3));
        let error = guarded(|| -> Result<()> { Err(Error::Environment("broke".into())) });
        assert_eq!(error.unwrap_err(), "broke");
        let panic = guarded(|| -> Result<()> { std::panic::panic_any("boom") });
        assert_eq!(panic.unwrap_err(), "panicked: boom");
        let panic = guarded(|| -> Result<()> { std::panic::panic_any(7) });
        assert_eq!(panic.unwrap_err(), "panicked: without a message");
    }
}
