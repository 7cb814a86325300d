//! The messages of one session, apart from the network.

use std::sync::Arc;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::catalogue::{Catalogue, Wanted};
use crate::env::environment::{Session, Transition};
use crate::env::openenv::wire::code;
use crate::env::texts::Texts;

/// Maximum number of characters of an error's message, which may quote what the client sent.
const MAX_ERROR: usize = 400;

/// An action.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Action {
    /// The action, in words.
    action: String,
    /// Is ignored.
    #[serde(default)]
    #[allow(dead_code)] // Part of every action in OpenEnv.
    metadata: Map<String, Value>,
}

/// What a session shows.
#[derive(Debug, Serialize, JsonSchema)]
struct Observation<'a> {
    /// The observation, in words.
    observation: &'a str,
    /// The goal, in words.
    goal: &'a str,
    /// The admissible actions.
    admissible: Vec<&'a str>,
    /// The task's name: a reset with this `task` starts it again.
    task: &'a str,
    /// The task's kind.
    kind: &'a str,
    /// The seed that decided the rest.
    seed: u64,
    /// Whether the goal is reached. Null before the first step, and in an environment without success.
    success: Option<bool>,
    /// The task is over.
    terminated: bool,
    /// The step limit ended the episode.
    truncated: bool,
    /// The last action was admissible.
    valid: bool,
    /// The quality of the result, from 0 to 1, if the environment rates it.
    score: Option<f64>,
    /// Further numbers of the episode so far.
    metrics: Map<String, Value>,
    /// Is empty.
    metadata: Map<String, Value>,
    #[serde(flatten)]
    #[schemars(skip)]
    details: Map<String, Value>,
}

/// What a session is asked about itself.
#[derive(Debug, Serialize, JsonSchema)]
struct State<'a> {
    /// The name that the client gave the episode.
    episode_id: Option<&'a str>,
    /// Number of steps of the episode.
    step_count: u64,
    /// The task's name.
    task: Option<&'a str>,
}

/// The answer to `GET /schema`.
pub fn schema() -> Value {
    let of = SchemaSettings::draft2020_12;
    let observation = of().for_serialize().into_generator().into_root_schema_for::<Observation>();
    json!({
        "action": of().into_generator().into_root_schema_for::<Action>(),
        "observation": observation,
        "reset_observation": observation,
        "state": of().for_serialize().into_generator().into_root_schema_for::<State>(),
    })
}

/// The state of a session that has not begun.
pub fn first_state() -> Value {
    json!(State { episode_id: None, step_count: 0, task: None })
}

/// An episode in progress.
struct Episode {
    session: Box<dyn Session>,
    task: usize,
    seed: u64,
    id: Option<String>,
    steps: u64,
}

/// One client's session: the episodes that it plays, one after the other.
pub struct Player {
    catalogue: Arc<Catalogue>,
    episode: Option<Episode>,
    observation: String,
    admissible: Texts,
}

/// An error of a message: its code and what is wrong.
type Fault = (&'static str, String);

impl Player {
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        Self { catalogue, episode: None, observation: String::new(), admissible: Texts::new() }
    }

    /// The answer to a message. `None` if the message ends the session.
    pub fn answer(&mut self, message: &str) -> Option<String> {
        match self.handle(message) {
            Ok(answer) => answer,
            Err((code, reason)) => Some(error(code, reason)),
        }
    }

    fn handle(&mut self, message: &str) -> Result<Option<String>, Fault> {
        let invalid = |error| (code::INVALID_JSON, format!("the message is not JSON: {error}"));
        let message: Value = serde_json::from_str(message).map_err(invalid)?;
        let data = message.get("data").cloned();
        let answer = match message.get("type").and_then(Value::as_str) {
            Some("reset") => self.reset(data.unwrap_or_else(|| json!({})))?,
            Some("step") => self.step(data.unwrap_or_default())?,
            Some("state") => json!({ "type": "state", "data": self.state() }),
            Some("close") => return Ok(None),
            _ => {
                let kind = message.get("type").unwrap_or(&Value::Null);
                let reason = format!(
                    "the message's type is {kind}, expected \"reset\" or \"step\" or \"state\" or \
                     \"close\""
                );
                return Err((code::UNKNOWN_TYPE, reason));
            }
        };
        Ok(Some(answer.to_string()))
    }

    /// Starts an episode. If that fails, the one before it goes on.
    pub fn reset(&mut self, data: Value) -> Result<Value, Fault> {
        let invalid = |reason: String| (code::VALIDATION_ERROR, reason);
        let wanted: Wanted = match data {
            Value::Object(_) => serde_json::from_value(data)
                .map_err(|error| invalid(format!("'data' of the reset is invalid: {error}")))?,
            _ => return Err(invalid("'data' of the reset is not an object".into())),
        };
        let (task, seed) = self.catalogue.pick(&wanted).map_err(invalid)?;
        let begun = self.catalogue.environment.start(task, seed);
        let session = begun.map_err(|error| (code::EXECUTION_ERROR, error.to_string()))?;
        self.episode = Some(Episode { session, task, seed, id: wanted.episode_id, steps: 0 });
        Ok(self.look(None))
    }

    fn step(&mut self, data: Value) -> Result<Value, Fault> {
        let action: Action = serde_json::from_value(data).map_err(|error| {
            let reason = format!("'data' of the step is not an action: {error}");
            (code::VALIDATION_ERROR, reason)
        })?;
        let begun = self.episode.as_mut();
        let failed = |reason: String| (code::EXECUTION_ERROR, reason);
        let episode = begun.ok_or_else(|| failed("no episode has begun; reset it first".into()))?;
        let done = episode.session.step(&action.action);
        let done = done.map_err(|error| failed(error.to_string()))?;
        episode.steps += 1;
        Ok(self.look(Some(done)))
    }

    fn state(&self) -> Value {
        let Some(episode) = &self.episode else { return first_state() };
        json!(State {
            episode_id: episode.id.as_deref(),
            step_count: episode.steps,
            task: Some(self.catalogue.environment.task_name(episode.task)),
        })
    }

    /// The message that shows the episode after its start or after a step.
    fn look(&mut self, done: Option<Transition>) -> Value {
        let Self { catalogue, episode, observation, admissible } = self;
        let Some(Episode { session, task, seed, .. }) = episode else { return Value::Null };
        observation.clear();
        admissible.clear();
        session.observe(observation);
        session.admissible(admissible);
        let (mut metrics, mut details) = (Map::new(), Map::new());
        session.metrics(&mut |name, number| {
            metrics.insert(name.to_string(), number.into());
        });
        session.add_details(&mut details);
        let shown = done.unwrap_or(Transition { valid: true, ..Transition::default() });
        let seen = Observation {
            observation,
            goal: session.goal(),
            admissible: admissible.iter().collect(),
            task: catalogue.environment.task_name(*task),
            kind: catalogue.kind(*task),
            seed: *seed,
            success: shown.success,
            terminated: shown.terminated,
            truncated: shown.truncated,
            valid: shown.valid,
            score: shown.score,
            metrics,
            metadata: Map::new(),
            details,
        };
        let reward = done.map(|done| done.reward);
        let data = json!({ "observation": seen, "reward": reward, "done": shown.ended() });
        json!({ "type": "observation", "data": data })
    }
}

/// The message of an error.
pub fn error(code: &str, mut reason: String) -> String {
    if let Some((cut, _)) = reason.char_indices().nth(MAX_ERROR) {
        reason.truncate(cut);
        reason.push('…');
    }
    json!({ "type": "error", "data": { "message": reason, "code": code } }).to_string()
}
