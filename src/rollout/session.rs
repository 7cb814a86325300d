//! Sessions that are guarded against their environment.

use super::limits::{Limits, guarded};
use super::snapshot::Snapshot;
#[cfg(feature = "parallel")]
use super::thread::ThreadSession;
use crate::env::{Environment, Session};
use crate::error::Result;

/// A session whose errors, panics, time-outs and malformed answers come back as the reason why the
/// episode is lost. After an error the session must not be stepped again.
pub(super) struct GuardedSession {
    /// `None` once the session has ended.
    runner: Option<Runner>,
    goal: String,
    snapshot: Snapshot,
    steps: usize,
    max_steps: usize,
    /// Whether an episode must list actions until it ends.
    lists_actions: bool,
}

/// Where the session runs.
enum Runner {
    /// In the thread that calls it.
    Inline(Box<dyn Session>),
    /// On a thread of its own, with a time limit for every answer.
    #[cfg(feature = "parallel")]
    Thread(ThreadSession),
}

impl GuardedSession {
    /// Starts an episode and reads its first snapshot.
    pub(super) fn open(
        environment: &dyn Environment,
        task: usize,
        seed: u64,
        limits: &Limits,
    ) -> Result<Self, String> {
        let (runner, goal, snapshot) = guarded(|| match limits.step_timeout > 0.0 {
            false => {
                let session = environment.start(task, seed)?;
                let (goal, mut snapshot) = (session.goal().to_string(), Snapshot::default());
                snapshot.read(&*session);
                Ok((Runner::Inline(session), goal, snapshot))
            }
            true => open_on_thread(environment, task, seed, limits.step_timeout),
        })?;
        let (max_steps, lists_actions) =
            guarded(|| Ok((environment.max_steps(), environment.lists_actions())))?;
        let runner = Some(runner);
        let session = Self { runner, goal, snapshot, steps: 0, max_steps, lists_actions };
        session.check()?;
        Ok(session)
    }

    /// The goal, in words.
    pub(super) fn goal(&self) -> &str {
        &self.goal
    }

    /// The current state.
    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Announces the action of the next step, which reports any error.
    pub(super) fn announce(&mut self, action: &str) {
        let _ = guarded(|| {
            match &mut self.runner {
                Some(Runner::Inline(session)) => session.announce(action),
                #[cfg(feature = "parallel")]
                Some(Runner::Thread(session)) => session.announce(action),
                None => {}
            }
            Ok(())
        });
    }

    /// Takes an action and reads the next snapshot.
    pub(super) fn step(&mut self, action: &str) -> Result<(), String> {
        self.steps += 1;
        guarded(|| {
            match &mut self.runner {
                Some(Runner::Inline(session)) => {
                    self.snapshot.transition = session.step(action)?;
                    self.snapshot.read(&**session);
                }
                #[cfg(feature = "parallel")]
                Some(Runner::Thread(session)) => self.snapshot = session.step(action)?,
                None => {}
            }
            Ok(())
        })?;
        self.check()
    }

    /// Ends the session, whose last state stays. It must not be stepped again.
    pub(super) fn release(&mut self) {
        // A panic in a session's destructor does not change the episode.
        let runner = self.runner.take();
        let _ = guarded(|| {
            drop(runner);
            Ok(())
        });
    }

    fn check(&self) -> Result<(), String> {
        check_snapshot(&self.snapshot, self.steps, self.max_steps, self.lists_actions)
    }
}

impl Drop for GuardedSession {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(feature = "parallel")]
fn open_on_thread(
    environment: &dyn Environment,
    task: usize,
    seed: u64,
    limit: f64,
) -> Result<(Runner, String, Snapshot)> {
    let (session, goal, snapshot) = ThreadSession::open(environment, task, seed, limit)?;
    Ok((Runner::Thread(session), goal, snapshot))
}

#[cfg(not(feature = "parallel"))]
fn open_on_thread(
    _: &dyn Environment,
    _: usize,
    _: u64,
    _: f64,
) -> Result<(Runner, String, Snapshot)> {
    let message = "needs threads, which this build does not have (feature `parallel`)";
    Err(crate::error::Error::setting("rollout.step_timeout", message))
}

/// Maximum magnitude of a reward. Credit could handle more, but updates could not.
const MAX_REWARD: f64 = 1e9;

/// Maximum number of bytes of an observation, and of all admissible actions together.
const MAX_TEXT: usize = 1 << 20;

/// Refuses a malformed state after `steps` steps of about `max_steps`.
fn check_snapshot(
    snapshot: &Snapshot,
    steps: usize,
    max_steps: usize,
    lists_actions: bool,
) -> Result<(), String> {
    let Snapshot { observation, admissible, transition, .. } = snapshot;
    if !(-MAX_REWARD..=MAX_REWARD).contains(&transition.reward) {
        let reward = transition.reward;
        return Err(format!("paid a reward of {reward:e}, expected a number from -1e9 to 1e9"));
    }
    for (what, bytes) in [("an observation", observation.len()), ("actions", admissible.bytes())] {
        if bytes > MAX_TEXT {
            return Err(format!("gave {what} of {bytes} bytes, expected at most {MAX_TEXT}"));
        }
    }
    if transition.ended() {
        return Ok(());
    }
    if lists_actions && admissible.is_empty() {
        return Err("offers no admissible action, and the episode has not ended".into());
    }
    // An action that is not admissible may not count as a step, so twice the limit is allowed.
    if steps >= 2 * max_steps.max(1) {
        return Err(format!("has not ended the episode after {steps} steps of {max_steps}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{Texts, Transition};

    #[test]
    fn malformed_states_are_refused() {
        let actions: Texts = ["go"].into_iter().collect();
        let check = |reward, ended, observation: &str, actions: &Texts, steps| {
            let transition = Transition { reward, terminated: ended, ..Transition::default() };
            let (observation, admissible) = (observation.to_string(), actions.clone());
            let snapshot = Snapshot { observation, admissible, transition, ..Snapshot::default() };
            check_snapshot(&snapshot, steps, 5, true)
        };
        check_snapshot(&Snapshot::default(), 1, 5, false).unwrap();
        check(1e9, false, "a room", &actions, 9).unwrap();
        check(0.0, true, "", &Texts::new(), 10).unwrap();
        for (answer, expected) in [
            (check(f64::NAN, true, "", &actions, 1), "a reward of NaN"),
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
