//! One episode of a server.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::link::Reply;
use super::pool::Seat;
use super::shape::{Shape, at};
use crate::env::environment::{Session, Transition};
use crate::env::openenv::wire::code;
use crate::env::process::one_line;
use crate::env::texts::Texts;
use crate::error::{Error, Result};

/// Maximum number of further numbers of a session.
const MAX_METRICS: usize = 32;

/// One episode of a server.
pub(super) struct OpenEnvSession {
    seat: Seat,
    shape: Arc<Shape>,
    max_steps: usize,
    steps: usize,
    /// The sum of the rewards.
    total: f64,
    /// The action that was sent ahead.
    announced: Option<String>,
    goal: String,
    observation: String,
    admissible: Texts,
    metrics: BTreeMap<String, f64>,
    /// The name that the server gives the task.
    task: Option<String>,
}

impl OpenEnvSession {
    /// Requests an episode. [`OpenEnvSession::wait_for_start`] waits for it.
    pub(super) fn request(
        seat: Seat,
        shape: Arc<Shape>,
        start: Map<String, Value>,
        max_steps: usize,
    ) -> Result<Self> {
        let session = Self {
            seat,
            shape,
            max_steps,
            steps: 0,
            total: 0.0,
            announced: None,
            goal: String::new(),
            observation: String::new(),
            admissible: Texts::new(),
            metrics: BTreeMap::new(),
            task: None,
        };
        session.send(&json!({ "type": "reset", "data": start }))?;
        Ok(session)
    }

    /// Waits for the first state of the episode.
    pub(super) fn wait_for_start(&mut self) -> Result<()> {
        match self.receive()? {
            Reply::Observation(data) => self.look(&data["observation"]),
            Reply::Refusal { message, .. } => Err(self.says(&message)),
            Reply::State => Err(self.error("answered a reset with a state")),
        }
    }

    /// What the episode shows, by which two starts are compared.
    pub(super) fn shown(&self) -> (&str, &str, &Texts) {
        (&self.goal, &self.observation, &self.admissible)
    }

    /// The name that the server gives the task, if it gives one.
    pub(super) fn task(&self) -> Option<&str> {
        self.task.as_deref()
    }

    fn send(&self, message: &Value) -> Result<()> {
        let sent = self.seat.link().and_then(|mut link| link.send(message));
        sent.map_err(Error::Environment)
    }

    fn receive(&self) -> Result<Reply> {
        let limit = self.seat.pool.limit.get();
        let reply = self.seat.link().and_then(|mut link| link.receive(limit));
        reply.map_err(Error::Environment)
    }

    fn error(&self, what: &str) -> Error {
        Error::Environment(format!("{} {what}", self.seat.pool.server.address.shown()))
    }

    fn says(&self, message: &str) -> Error {
        self.error(&format!("says: {message}"))
    }

    /// Reads an observation.
    fn look(&mut self, seen: &Value) -> Result<()> {
        let malformed = |what: String| {
            self.error(&format!("gave a malformed observation: {}", one_line(&what)))
        };
        let observation = self.shape.text(seen).map_err(malformed)?;
        let actions = self.shape.actions(seen).map_err(malformed)?;
        self.observation = observation;
        self.admissible = actions.iter().map(String::as_str).collect();
        let text = |name: &str| seen.get(name).and_then(Value::as_str);
        if let Some(goal) = text("goal") {
            self.goal = goal.to_string();
        }
        self.task = text("task").map(str::to_string);
        let numbers = seen.get("metrics").and_then(Value::as_object).into_iter().flatten();
        let numbers = numbers.filter_map(|(name, number)| Some((name.clone(), number.as_f64()?)));
        self.metrics = numbers.take(MAX_METRICS).collect();
        Ok(())
    }

    fn send_action(&self, action: &str) -> Result<bool> {
        match self.shape.action(action) {
            None => Ok(false),
            Some(data) => {
                self.send(&json!({ "type": "step", "data": data }))?;
                Ok(true)
            }
        }
    }

    /// A step that the server did not take.
    fn refused(&self) -> Transition {
        Transition { truncated: self.steps >= self.max_steps, ..Transition::default() }
    }

    /// The transition to an observation.
    fn arrive(&mut self, data: &Value, action: &str) -> Result<Transition> {
        let reward = match &data["reward"] {
            Value::Null => 0.0,
            Value::Bool(is) => f64::from(u8::from(*is)),
            Value::Number(number) => number.as_f64().unwrap_or(f64::NAN),
            other => {
                let other = one_line(&other.to_string());
                return Err(self.error(&format!("gave the reward {other}, expected a number")));
            }
        };
        self.total += reward;
        let was_listed = self.admissible.is_empty() || self.admissible.position(action).is_some();
        let seen = &data["observation"];
        let is_done = data["done"].as_bool().unwrap_or(false);
        let flag = |name: &str| seen.get(name).and_then(Value::as_bool);
        // An environment's own step limit, if it tells of it.
        let is_cut = is_done && flag("truncated") == Some(true) && flag("terminated") != Some(true);
        let done = Transition {
            reward,
            terminated: is_done && !is_cut,
            truncated: is_cut || !is_done && self.steps >= self.max_steps,
            success: self.shape.success(seen, self.total),
            score: at(seen, "score").and_then(Value::as_f64).filter(|s| (0.0..=1.0).contains(s)),
            valid: flag("valid").unwrap_or(was_listed),
        };
        self.look(seen)?;
        Ok(done)
    }
}

impl Session for OpenEnvSession {
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
        if self.announced.is_none() && matches!(self.send_action(action), Ok(true)) {
            self.announced = Some(action.to_string());
        }
    }

    fn step(&mut self, action: &str) -> Result<Transition> {
        self.steps += 1;
        match self.announced.take() {
            None if !self.send_action(action)? => return Ok(self.refused()),
            None => {}
            Some(announced) if announced == action => {}
            Some(announced) => {
                // The announced action is done. Its answer must not be taken for a later one.
                self.receive()?;
                let message = format!("was told that '{announced}' comes, and got another action");
                return Err(self.error(&message));
            }
        }
        match self.receive()? {
            Reply::Observation(data) => self.arrive(&data, action),
            // The action does not fit the server's schema: nothing has happened there.
            Reply::Refusal { code, .. } if code == code::VALIDATION_ERROR => Ok(self.refused()),
            Reply::Refusal { message, .. } => Err(self.says(&message)),
            Reply::State => Err(self.error("answered a step with a state")),
        }
    }
}
