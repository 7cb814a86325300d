//! Environments that go wrong, and what that costs: their own episode and nothing else.
//!
//! An episode is *lost to an environment error* where its environment returns an error, panics, does
//! not answer within the step timeout, or answers nonsense: a reward that is no number or beyond 1e9,
//! no admissible action before the end, texts beyond a mebibyte, more than twice the steps of its step
//! limit. A lost episode's steps are in no row, so it has no part in statistics, in credit or in an
//! update; its group goes on with one episode less. It is counted and named.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::env::{Session, Texts, Transition};
use crate::error::{Error, Result};

/// How much is put up with.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// How many episodes of one collection may be lost to environment errors.
    pub max_errors: usize,
    /// After how many seconds a step counts as hanging; 0 for never. The session then gets a thread
    /// of its own, which is left behind where it hangs, as nothing can end it. The same holds for what
    /// begins a session, if the environment can be
    /// [shared](crate::env::Environment::shared) with that thread; else that is waited for.
    pub step_timeout: f64,
}

impl Limits {
    /// Fails where more episodes were lost than allowed.
    pub(super) fn check(&self, errors: &[EnvironmentError]) -> Result<()> {
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentError {
    /// The task's name.
    pub task: String,
    /// The group that played it.
    pub group: usize,
    /// The episode's number within its group, as planned.
    pub episode: usize,
    /// The step that failed, counted from 1; 0 where the episode did not begin.
    pub step: usize,
    /// What the environment did.
    pub message: String,
}

impl fmt::Display for EnvironmentError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let Self { task, group, episode, step, message } = self;
        write!(out, "task '{task}' (group {group}, episode {episode}), step {step}: {message}")
    }
}

/// Fails where all episodes were lost, however many that are: nothing can be said of none.
pub fn expect_some(kept: usize, errors: &[EnvironmentError]) -> Result<()> {
    match errors.last() {
        Some(last) if kept == 0 => {
            Err(Error::Environment(format!("{last} (and every other episode was lost too)")))
        }
        _ => Ok(()),
    }
}

/// Calls into an environment. An error or a panic comes back in words.
pub fn guarded<T>(call: impl FnOnce() -> Result<T>) -> Result<T, String> {
    // What the call leaves half done is its own session, which is not called again.
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Error::Environment(message))) => Err(message),
        Ok(Err(error)) => Err(error.to_string()),
        Err(payload) => Err(format!("panicked: {}", words(&*payload))),
    }
}

fn words(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}

/// Reads what a session shows now.
pub(super) fn look(session: &dyn Session, observation: &mut String, admissible: &mut Texts) {
    observation.clear();
    admissible.clear();
    session.observe(observation);
    session.admissible(admissible);
}

/// The largest reward that an environment pays at once, in size. Credit could take more, but updates
/// could not.
const MAX_REWARD: f32 = 1e9;

/// The largest text that an environment shows at once, in bytes.
const MAX_TEXT: usize = 1 << 20;

/// Refuses an answer that makes no sense. `steps` were taken of about `max_steps`.
pub(super) fn check_answer(
    last: &Transition,
    observation: &str,
    admissible: &Texts,
    steps: usize,
    max_steps: usize,
) -> Result<(), String> {
    if !(-MAX_REWARD..=MAX_REWARD).contains(&last.reward) {
        let reward = last.reward;
        return Err(format!("paid a reward of {reward:e}, expected a number from -1e9 to 1e9"));
    }
    for (what, bytes) in [("an observation", observation.len()), ("actions", admissible.bytes())] {
        if bytes > MAX_TEXT {
            return Err(format!("gave {what} of {bytes} bytes, expected at most {MAX_TEXT}"));
        }
    }
    if last.ended() {
        return Ok(());
    }
    if admissible.is_empty() {
        return Err("offers no admissible action, and the episode has not ended".into());
    }
    // An action that is not admissible may cost no step, so some room is left.
    if steps >= 2 * max_steps.max(1) {
        return Err(format!("has not ended the episode after {steps} steps of {max_steps}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_panics_come_back_in_words() {
        assert_eq!(guarded(|| Ok(3)), Ok(3));
        let error = guarded(|| -> Result<()> { Err(Error::Environment("broke".into())) });
        assert_eq!(error.unwrap_err(), "broke");
        let panic = guarded(|| -> Result<()> { std::panic::panic_any("boom") });
        assert_eq!(panic.unwrap_err(), "panicked: boom");
        let panic = guarded(|| -> Result<()> { std::panic::panic_any(7) });
        assert_eq!(panic.unwrap_err(), "panicked: without a word");
    }

    #[test]
    fn nonsense_is_told_from_sense() {
        let actions: Texts = ["go"].into_iter().collect();
        let check = |reward, ended, observation: &str, actions: &Texts, steps| {
            let last = Transition { reward, terminated: ended, ..Transition::default() };
            check_answer(&last, observation, actions, steps, 5)
        };
        check(1e9, false, "a room", &actions, 9).unwrap();
        check(0.0, true, "", &Texts::new(), 10).unwrap();
        for (answer, expected) in [
            (check(f32::NAN, true, "", &actions, 1), "a reward of NaN"),
            (check(1e30, false, "", &actions, 1), "a reward of 1e30"),
            (check(0.0, false, "", &Texts::new(), 1), "no admissible action"),
            (check(0.0, false, "", &actions, 10), "has not ended"),
            (check(0.0, true, &"x".repeat(MAX_TEXT + 1), &actions, 1), "an observation of 1048577"),
        ] {
            let message = answer.unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }
}
