//! One episode of a program.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use serde::Serialize;

use super::answer::{Answer, State};
use super::program::{Program, Reply};
use crate::env::environment::{Session, Transition};
use crate::env::texts::Texts;
use crate::error::{Error, Result};

/// A session number of a program. It is free again when the seat is dropped.
pub(super) struct Seat {
    program: Arc<Program>,
    number: u64,
    /// Number of sessions of the program.
    load: Arc<AtomicUsize>,
}

impl Seat {
    pub(super) fn take(program: Arc<Program>, load: Arc<AtomicUsize>) -> Result<Self, String> {
        let number = program.take_number()?;
        load.fetch_add(1, Ordering::Relaxed);
        Ok(Self { program, number, load })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.program.give_back(self.number);
        self.load.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How a session starts.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Start {
    /// The task, if the program's tasks are numbered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) number: Option<usize>,
    /// Decides the rest; without a number, also the task.
    pub(super) seed: u64,
}

#[derive(Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Request<'a> {
    Reset {
        session: u64,
        #[serde(flatten)]
        start: Start,
    },
    Step {
        session: u64,
        action: &'a str,
    },
}

/// The task of a session as the program reports it.
pub(super) struct ReportedTask {
    pub(super) task: String,
    pub(super) kind: Option<String>,
}

/// One episode of a program.
pub(super) struct ProcessSession {
    seat: Seat,
    reply: Sender<Reply>,
    answers: Receiver<Reply>,
    /// The action that was sent ahead.
    announced: Option<String>,
    goal: String,
    observation: String,
    admissible: Texts,
    metrics: BTreeMap<String, f64>,
}

impl ProcessSession {
    /// Requests an episode. [`ProcessSession::wait_for_start`] waits for it.
    pub(super) fn request(seat: Seat, start: Start) -> Result<Self> {
        let (reply, answers) = channel();
        let session = Self {
            seat,
            reply,
            answers,
            announced: None,
            goal: String::new(),
            observation: String::new(),
            admissible: Texts::new(),
            metrics: BTreeMap::new(),
        };
        session.post(&Request::Reset { session: session.seat.number, start })?;
        Ok(session)
    }

    /// Waits for the first state of the episode.
    pub(super) fn wait_for_start(&mut self) -> Result<ReportedTask> {
        let state = self.wait()?;
        let task = state.task.ok_or_else(|| self.missing("task", &state.nulls))?;
        self.goal = state.goal.ok_or_else(|| self.missing("goal", &state.nulls))?;
        self.observation = state.observation;
        self.admissible = state.admissible;
        Ok(ReportedTask { task, kind: state.kind })
    }

    /// Whether its program still runs.
    pub(super) fn is_alive(&self) -> bool {
        self.seat.program.is_alive()
    }

    fn post(&self, request: &Request) -> Result<()> {
        let line = serde_json::to_vec(request).map_err(|error| Error::Run(error.to_string()))?;
        self.seat.program.post(Some(self.seat.number), &line, &self.reply);
        Ok(())
    }

    fn send(&self, action: &str) -> Result<()> {
        self.post(&Request::Step { session: self.seat.number, action })
    }

    /// Waits for the answer to the last request.
    fn wait(&self) -> Result<State> {
        self.seat.program.flush();
        // Every request gets a reply, even if the program dies, so this does not wait for ever.
        match self.answers.recv() {
            Ok(Ok(Answer::State(state))) => Ok(state),
            Ok(Ok(Answer::Malformed { message, .. })) => Err(self.malformed(&message)),
            Ok(Ok(Answer::Refusal { error, .. })) => Err(self.error(&format!("says: {error}"))),
            Ok(Ok(Answer::Description(_))) => Err(self.malformed("a description")),
            Ok(Err(message)) => Err(Error::Environment(message)),
            Err(_) => Err(self.error("has ended")),
        }
    }

    fn error(&self, what: &str) -> Error {
        Error::Environment(format!("{} {what}", self.seat.program.shown()))
    }

    fn malformed(&self, what: &str) -> Error {
        self.error(&format!("gave a malformed answer: {what}"))
    }

    fn missing(&self, field: &str, nulls: &[&str]) -> Error {
        match nulls.contains(&field) {
            true => self.malformed(&format!("'{field}' is null, expected a value")),
            false => self.malformed(&format!("missing field `{field}`")),
        }
    }
}

impl Session for ProcessSession {
    fn goal(&self) -> &str {
        &self.goal
    }

    fn observe(&self, out: &mut String) {
        out.push_str(&self.observation);
    }

    fn admissible(&self, out: &mut Texts) {
        self.admissible.iter().for_each(|action| out.push(action));
    }

    fn metrics(&self, out: &mut dyn FnMut(&str, f64)) {
        self.metrics.iter().for_each(|(name, &number)| out(name, number));
    }

    fn announce(&mut self, action: &str) {
        if self.announced.is_none() && self.send(action).is_ok() {
            self.announced = Some(action.to_string());
        }
    }

    fn step(&mut self, action: &str) -> Result<Transition> {
        match self.announced.take() {
            None => self.send(action)?,
            Some(announced) if announced == action => {}
            Some(announced) => {
                // The announced action is done. Its answer must not be taken for a later one.
                self.wait()?;
                let message = format!("was told that '{announced}' comes, and got another action");
                return Err(self.error(&message));
            }
        }
        let state = self.wait()?;
        let was_admissible = self.admissible.position(action).is_some();
        let done = Transition {
            reward: state.reward.ok_or_else(|| self.missing("reward", &state.nulls))?,
            terminated: state.terminated.ok_or_else(|| self.missing("terminated", &state.nulls))?,
            truncated: state.truncated.ok_or_else(|| self.missing("truncated", &state.nulls))?,
            success: state.success,
            score: state.score,
            valid: state.valid.unwrap_or(was_admissible),
        };
        self.observation = state.observation;
        self.admissible = state.admissible;
        self.metrics = state.metrics.unwrap_or_default();
        Ok(done)
    }
}
