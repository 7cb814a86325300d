//! One episode under way in a program.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use serde::Serialize;

use super::answer::{Answer, State};
use super::program::{Program, Reply};
use crate::env::{Session, Texts, Transition};
use crate::error::{Error, Result};

/// A session's place in a program, which others take after it.
pub(super) struct Seat {
    program: Arc<Program>,
    number: u64,
    /// How many sessions the program has.
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

/// How a session begins.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Beginning {
    /// The task, where the program's tasks have numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) number: Option<usize>,
    /// What decides the rest: the task too, where tasks have no numbers.
    pub(super) seed: u64,
}

#[derive(Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Request<'a> {
    Reset {
        session: u64,
        #[serde(flatten)]
        begin: Beginning,
    },
    Step {
        session: u64,
        action: &'a str,
    },
}

/// What a program tells of a session's task.
pub(super) struct Told {
    pub(super) task: String,
    pub(super) kind: Option<String>,
}

/// One episode of a program.
pub(super) struct ProcessSession {
    seat: Seat,
    reply: Sender<Reply>,
    answers: Receiver<Reply>,
    /// The action that the program was told of beforehand.
    announced: Option<String>,
    goal: String,
    observation: String,
    admissible: Texts,
}

impl ProcessSession {
    /// Asks for an episode, which begins by [`ProcessSession::begun`].
    pub(super) fn ask(seat: Seat, begin: Beginning) -> Result<Self> {
        let (reply, answers) = channel();
        let session = Self {
            seat,
            reply,
            answers,
            announced: None,
            goal: String::new(),
            observation: String::new(),
            admissible: Texts::new(),
        };
        session.post(&Request::Reset { session: session.seat.number, begin })?;
        Ok(session)
    }

    /// Waits for how the episode looks that was asked for.
    pub(super) fn begun(&mut self) -> Result<Told> {
        let state = self.wait()?;
        let task = state.task.ok_or_else(|| self.misses("task"))?;
        self.goal = state.goal.ok_or_else(|| self.misses("goal"))?;
        self.observation = state.observation;
        self.admissible = state.admissible;
        Ok(Told { task, kind: state.kind })
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

    fn tell(&self, action: &str) -> Result<()> {
        self.post(&Request::Step { session: self.seat.number, action })
    }

    /// The answer to the request that was posted last.
    fn wait(&self) -> Result<State> {
        self.seat.program.flush();
        // Whatever happens to the program, this is told, so it does not wait for ever.
        match self.answers.recv() {
            Ok(Ok(Answer::State(state))) => Ok(state),
            Ok(Ok(Answer::Misfit { message, .. })) => Err(self.nonsense(&message)),
            Ok(Ok(Answer::Refusal { error, .. })) => Err(self.error(&format!("says: {error}"))),
            Ok(Ok(Answer::Description(_))) => Err(self.nonsense("described itself")),
            Ok(Err(message)) => Err(Error::Environment(message)),
            Err(_) => Err(self.error("has ended")),
        }
    }

    fn error(&self, what: &str) -> Error {
        Error::Environment(format!("{} {what}", self.seat.program.shown()))
    }

    fn nonsense(&self, what: &str) -> Error {
        self.error(&format!("answered nonsense: {what}"))
    }

    fn misses(&self, field: &str) -> Error {
        self.nonsense(&format!("missing field `{field}`"))
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

    fn announce(&mut self, action: &str) {
        if self.announced.is_none() && self.tell(action).is_ok() {
            self.announced = Some(action.to_string());
        }
    }

    fn step(&mut self, action: &str) -> Result<Transition> {
        match self.announced.take() {
            None => self.tell(action)?,
            Some(announced) if announced == action => {}
            Some(announced) => {
                // What was told is done: its answer must not pass for that of what comes next.
                self.wait()?;
                let message = format!("was told that '{announced}' comes, and got another action");
                return Err(self.error(&message));
            }
        }
        let state = self.wait()?;
        let was_admissible = self.admissible.position(action).is_some();
        let done = Transition {
            reward: state.reward.ok_or_else(|| self.misses("reward"))?,
            terminated: state.terminated.ok_or_else(|| self.misses("terminated"))?,
            truncated: state.truncated.ok_or_else(|| self.misses("truncated"))?,
            success: state.success.ok_or_else(|| self.misses("success"))?,
            valid: state.valid.unwrap_or(was_admissible),
        };
        self.observation = state.observation;
        self.admissible = state.admissible;
        Ok(done)
    }
}
