//! Sessions that may hang: each on a thread of its own, with a time limit for every answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use super::guard::{guarded, look};
use crate::env::{Environment, Session, Texts, Transition};
use crate::error::{Error, Result};

/// How many threads may hang before no session is begun any more.
const MAX_HANGING: usize = 64;

/// How many threads hang in a session that was given up.
static HANGING: AtomicUsize = AtomicUsize::new(0);

/// What a session answered.
struct Shown {
    goal: String,
    last: Transition,
    observation: String,
    admissible: Texts,
}

/// A session on a thread of its own.
///
/// Nothing can end a thread that hangs: it is left behind with its session, and counted. It ends by
/// itself where the session answers after all.
pub(super) struct Watched {
    actions: Sender<String>,
    answers: Receiver<Result<Shown, String>>,
    limit: Duration,
    given_up: Arc<AtomicBool>,
    shown: Shown,
}

impl Watched {
    /// Begins a session and watches it, `limit` seconds an answer.
    ///
    /// # Errors
    /// Where the environment or the first look at the session fails, or too many threads hang already.
    pub(super) fn begin(
        environment: &dyn Environment,
        task: usize,
        seed: u64,
        limit: f64,
    ) -> Result<Self> {
        match environment.shared() {
            Some(shared) => Self::new(move || shared.start(task, seed), limit),
            None => {
                let session = environment.start(task, seed)?;
                Self::new(move || Ok(session), limit)
            }
        }
    }

    fn new(
        begin: impl FnOnce() -> Result<Box<dyn Session>> + Send + 'static,
        limit: f64,
    ) -> Result<Self> {
        let hanging = HANGING.load(Ordering::Relaxed);
        if hanging >= MAX_HANGING {
            let message = format!("{hanging} sessions hang, each in a thread that cannot be ended");
            return Err(Error::Environment(message));
        }
        let (actions, requests) = channel();
        let (replies, answers) = channel();
        let given_up = Arc::new(AtomicBool::new(false));
        let flag = given_up.clone();
        let begun = thread::Builder::new().name("session".into()).spawn(move || {
            serve(begin, &requests, &replies);
            if flag.load(Ordering::Acquire) {
                HANGING.fetch_sub(1, Ordering::Relaxed);
            }
        });
        begun.map_err(|error| Error::Run(format!("cannot start a thread: {error}")))?;
        let shown = Shown {
            goal: String::new(),
            last: Transition::default(),
            observation: String::new(),
            admissible: Texts::new(),
        };
        let limit = Duration::from_secs_f64(limit);
        let mut watched = Self { actions, answers, limit, given_up, shown };
        watched.wait()?;
        Ok(watched)
    }

    fn wait(&mut self) -> Result<()> {
        match self.answers.recv_timeout(self.limit) {
            Ok(Ok(shown)) => {
                self.shown = shown;
                Ok(())
            }
            Ok(Err(message)) => Err(Error::Environment(message)),
            Err(RecvTimeoutError::Timeout) => {
                if !self.given_up.swap(true, Ordering::AcqRel) {
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

/// Begins a session and shows it, then takes actions until nobody asks any more.
fn serve(
    begin: impl FnOnce() -> Result<Box<dyn Session>>,
    requests: &Receiver<String>,
    replies: &Sender<Result<Shown, String>>,
) {
    let mut session = match guarded(begin) {
        Ok(session) => session,
        Err(message) => {
            // Whether anybody still waits for it or not.
            let _ = replies.send(Err(message));
            return;
        }
    };
    let mut answer = guarded(|| Ok(show(&*session, Transition::default())));
    while replies.send(answer).is_ok() {
        let Ok(action) = requests.recv() else { break };
        answer = guarded(|| {
            let last = session.step(&action)?;
            Ok(show(&*session, last))
        });
    }
    // A session that panics while it is dropped is gone all the same.
    let _ = guarded(|| {
        drop(session);
        Ok(())
    });
}

fn show(session: &dyn Session, last: Transition) -> Shown {
    let (mut observation, mut admissible) = (String::new(), Texts::new());
    look(session, &mut observation, &mut admissible);
    Shown { goal: session.goal().to_string(), last, observation, admissible }
}

impl Session for Watched {
    fn goal(&self) -> &str {
        &self.shown.goal
    }

    fn observe(&self, out: &mut String) {
        out.push_str(&self.shown.observation);
    }

    fn admissible(&self, out: &mut Texts) {
        self.shown.admissible.iter().for_each(|action| out.push(action));
    }

    fn step(&mut self, action: &str) -> Result<Transition> {
        let asked = self.actions.send(action.to_string());
        asked.map_err(|_| Error::Environment("its thread has ended".into()))?;
        self.wait()?;
        Ok(self.shown.last)
    }
}
