//! Sessions on threads of their own, with a time limit for every answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use super::limits::guarded;
use super::session::Snapshot;
use crate::env::{Environment, Session};
use crate::error::{Error, Result};

/// Maximum number of hanging threads. Beyond it no session is started.
const MAX_HANGING: usize = 64;

/// Number of threads that hang in an abandoned session.
static HANGING: AtomicUsize = AtomicUsize::new(0);

/// A request to the thread.
enum Request {
    /// Announce the next action. Has no answer.
    Announce(String),
    /// Take an action.
    Step(String),
}

/// The answer to the start or to a step, or the reason why the session failed.
type Reply = Result<Answer, String>;

/// The state after the start or after a step.
struct Answer {
    /// The goal; empty after a step.
    goal: String,
    snapshot: Snapshot,
}

/// A session on a thread of its own.
///
/// A thread that hangs cannot be stopped: it is abandoned together with its session, and counted. It
/// ends by itself if the session answers after all.
pub(super) struct ThreadSession {
    requests: Sender<Request>,
    replies: Receiver<Reply>,
    limit: Duration,
    abandoned: Arc<AtomicBool>,
}

impl ThreadSession {
    /// Starts a session with a limit of `limit` seconds an answer. Returns its goal and first state.
    ///
    /// # Errors
    /// Returns an error if the environment fails, does not answer in time, or if too many threads hang.
    pub(super) fn open(
        environment: &dyn Environment,
        task: usize,
        seed: u64,
        limit: f64,
    ) -> Result<(Self, String, Snapshot)> {
        let session = match environment.shared() {
            Some(shared) => Self::spawn(move || shared.start(task, seed), limit),
            None => {
                let session = environment.start(task, seed)?;
                Self::spawn(move || Ok(session), limit)
            }
        }?;
        let Answer { goal, snapshot } = session.wait()?;
        Ok((session, goal, snapshot))
    }

    fn spawn(
        start: impl FnOnce() -> Result<Box<dyn Session>> + Send + 'static,
        limit: f64,
    ) -> Result<Self> {
        let hanging = HANGING.load(Ordering::Relaxed);
        if hanging >= MAX_HANGING {
            let message =
                format!("{hanging} sessions hang, each on a thread that cannot be stopped");
            return Err(Error::Environment(message));
        }
        let (requests, received) = channel();
        let (sent, replies) = channel();
        let abandoned = Arc::new(AtomicBool::new(false));
        let flag = abandoned.clone();
        let spawned = thread::Builder::new().name("session".into()).spawn(move || {
            serve(start, &received, &sent);
            if flag.load(Ordering::Acquire) {
                HANGING.fetch_sub(1, Ordering::Relaxed);
            }
        });
        spawned.map_err(|error| Error::Run(format!("cannot start a thread: {error}")))?;
        Ok(Self { requests, replies, limit: Duration::from_secs_f64(limit), abandoned })
    }

    /// Announces the action of the next step.
    pub(super) fn announce(&mut self, action: &str) {
        // If the thread has ended, the step reports it.
        let _ = self.requests.send(Request::Announce(action.to_string()));
    }

    /// Takes an action.
    pub(super) fn step(&mut self, action: &str) -> Result<Snapshot> {
        let sent = self.requests.send(Request::Step(action.to_string()));
        sent.map_err(|_| Error::Environment("its thread has ended".into()))?;
        Ok(self.wait()?.snapshot)
    }

    fn wait(&self) -> Result<Answer> {
        match self.replies.recv_timeout(self.limit) {
            Ok(reply) => reply.map_err(Error::Environment),
            Err(RecvTimeoutError::Timeout) => {
                if !self.abandoned.swap(true, Ordering::AcqRel) {
                    HANGING.fetch_add(1, Ordering::Relaxed);
                }
                let seconds = self.limit.as_secs_f64();
                Err(Error::Environment(format!("gave no answer within {seconds} seconds")))
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(Error::Environment("its thread has ended".into()))
            }
        }
    }
}

/// Starts a session and handles requests until the other side is dropped.
fn serve(
    start: impl FnOnce() -> Result<Box<dyn Session>>,
    requests: &Receiver<Request>,
    replies: &Sender<Reply>,
) {
    let mut snapshot = Snapshot::default();
    let started = guarded(|| {
        let session = start()?;
        snapshot.read(&*session);
        Ok((session.goal().to_string(), session))
    });
    // If the other side was dropped, the loop below ends at once.
    let mut session = match started {
        Ok((goal, session)) => {
            let _ = replies.send(Ok(Answer { goal, snapshot }));
            session
        }
        Err(message) => {
            let _ = replies.send(Err(message));
            return;
        }
    };
    for request in requests {
        let reply = match request {
            Request::Announce(action) => {
                // The step reports any error.
                let _ = guarded(|| {
                    session.announce(&action);
                    Ok(())
                });
                continue;
            }
            Request::Step(action) => guarded(|| {
                let transition = session.step(&action)?;
                let mut snapshot = Snapshot { transition, ..Snapshot::default() };
                snapshot.read(&*session);
                Ok(Answer { goal: String::new(), snapshot })
            }),
        };
        if replies.send(reply).is_err() {
            break;
        }
    }
    // A panic in the session's destructor has no effect.
    let _ = guarded(|| {
        drop(session);
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{Texts, Transition};

    /// Observes the announced action. Hangs in the step "hang".
    struct Echo(String);

    impl Session for Echo {
        fn goal(&self) -> &str {
            "echo"
        }

        fn observe(&self, out: &mut String) {
            out.push_str(&self.0);
        }

        fn admissible(&self, out: &mut Texts) {
            out.push("go");
        }

        fn announce(&mut self, action: &str) {
            self.0 = format!("announced {action}");
        }

        fn step(&mut self, action: &str) -> Result<Transition> {
            match action {
                "hang" => loop {
                    thread::park();
                },
                "panic" => std::panic::panic_any("boom"),
                _ => Ok(Transition { reward: 1.0, ..Transition::default() }),
            }
        }
    }

    fn open(limit: f64) -> ThreadSession {
        let session = ThreadSession::spawn(|| Ok(Box::new(Echo(String::new()))), limit).unwrap();
        assert_eq!(session.wait().unwrap().goal, "echo");
        session
    }

    #[test]
    fn announcements_reach_the_session_before_the_step() {
        let mut session = open(60.0);
        session.announce("go");
        let snapshot = session.step("go").unwrap();
        assert_eq!(
            (snapshot.observation.as_str(), snapshot.transition.reward),
            ("announced go", 1.0)
        );
        assert_eq!(snapshot.admissible.len(), 1);
    }

    #[test]
    fn panics_and_time_outs_are_returned_as_errors() {
        let error = open(60.0).step("panic").unwrap_err().to_string();
        assert_eq!(error, "environment: panicked: boom");
        let error = open(0.1).step("hang").unwrap_err().to_string();
        assert_eq!(error, "environment: gave no answer within 0.1 seconds");
    }
}
