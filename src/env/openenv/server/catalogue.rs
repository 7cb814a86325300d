//! The tasks of a server, and OpenEnv's requests that list them.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::env::environment::{Environment, Split, pick_task};

/// Maximum number of tasks in one answer. `task_range` reaches the others.
const MAX_LISTED: usize = 10_000;

/// The tasks of a served environment.
pub struct Catalogue {
    pub environment: Arc<dyn Environment>,
    splits: Vec<Split>,
    kinds: Vec<String>,
    /// Task numbers by name.
    numbers: HashMap<String, usize>,
}

/// Why a request for tasks is not answered: the HTTP status and the reason.
pub type Refusal = (u16, String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfSplit {
    split: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfIndex {
    split: String,
    index: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfRange {
    split: String,
    start: Option<i64>,
    stop: Option<i64>,
}

/// How a reset names its task.
#[derive(Debug, Default, Deserialize)]
pub struct Wanted {
    /// Decides what the environment leaves to chance; without another choice, also the task.
    pub seed: Option<u64>,
    /// A split's name.
    pub split: Option<String>,
    /// The number of a task within the split, or among all tasks.
    pub index: Option<u64>,
    /// A task's name.
    pub task: Option<String>,
    /// A name that the client gives the episode.
    pub episode_id: Option<String>,
}

impl Catalogue {
    pub fn new(environment: Arc<dyn Environment>) -> Self {
        let tasks = 0..environment.tasks();
        let name = |task| environment.task_name(task).to_string();
        let numbers = tasks.map(|task| (name(task), task)).collect();
        let (splits, kinds) = (environment.splits(), environment.kinds());
        Self { environment, splits, kinds, numbers }
    }

    /// The kind of a task.
    pub fn kind(&self, task: usize) -> &str {
        self.kinds.get(self.environment.task_kind(task)).map_or("", String::as_str)
    }

    /// The number of the first task of a split and the number of its tasks.
    fn split(&self, name: &str) -> Option<(usize, usize)> {
        let mut first = 0;
        for Split { name: own, tasks } in &self.splits {
            let tasks = *tasks as usize;
            if own == name {
                return Some((first, tasks));
            }
            first += tasks;
        }
        None
    }

    fn known_split(&self, name: &str) -> Result<(usize, usize), String> {
        self.split(name).ok_or_else(|| {
            let names: Vec<&str> = self.splits.iter().map(|split| split.name.as_str()).collect();
            format!("there is no split '{name}', expected '{}'", names.join("' or '"))
        })
    }

    /// The task and the seed of an episode. A reset that names neither gets a random seed.
    pub fn pick(&self, wanted: &Wanted) -> Result<(usize, u64), String> {
        if let Some(name) = &wanted.task {
            let task = self.numbers.get(name).copied();
            let task = task.ok_or_else(|| format!("there is no task '{name}'"))?;
            return Ok((task, wanted.seed.unwrap_or(0)));
        }
        let (first, tasks) = match &wanted.split {
            Some(name) => self.known_split(name)?,
            None => (0, self.environment.tasks()),
        };
        if tasks == 0 {
            return Err("the split has no tasks".into());
        }
        match wanted.index {
            Some(index) => match usize::try_from(index).ok().filter(|&index| index < tasks) {
                Some(index) => Ok((first + index, wanted.seed.unwrap_or(0))),
                None => Err(format!("there are {tasks} tasks, numbered from 0")),
            },
            None => {
                let seed = wanted.seed.map_or_else(random_seed, Ok)?;
                Ok((first + pick_task(tasks, seed), seed))
            }
        }
    }

    /// Whether a path names this environment. OpenEnv does not tell capitals apart.
    fn is_named(&self, name: &str) -> bool {
        self.environment.name().to_lowercase() == name.to_lowercase()
    }

    /// The answer to `GET /list_environments`.
    pub fn environments(&self) -> Value {
        json!([self.environment.name()])
    }

    /// The answer to a request below the environment's name, such as `GET /household/splits`.
    /// `None` if there is no such path.
    pub fn answer(&self, name: &str, what: &str, body: &[u8]) -> Option<Result<Value, Refusal>> {
        let answer = match what {
            "splits" => Ok(self.list_splits()),
            "tasks" => self.list(body),
            "num_tasks" => self.count(body),
            "task" => self.one(body),
            "task_range" => self.range(body),
            _ => return None,
        };
        Some(match self.is_named(name) {
            true => answer,
            false => Err((404, format!("there is no environment '{name}'"))),
        })
    }

    fn list_splits(&self) -> Value {
        let split = |split: &Split| {
            let kind = match split.name.as_str() {
                "train" => "train",
                "test" => "test",
                _ => "validation",
            };
            json!({ "name": split.name, "type": kind })
        };
        self.splits.iter().map(split).collect()
    }

    fn task(&self, split: &str, first: usize, index: usize) -> Value {
        let task = first + index;
        let id = self.environment.task_name(task);
        json!({ "id": id, "index": index, "split": split, "kind": self.kind(task) })
    }

    fn tasks(&self, split: &str, start: Option<i64>, stop: Option<i64>) -> Result<Value, Refusal> {
        let (first, tasks) = self.known_split(split).map_err(|reason| (400, reason))?;
        let bound = |bound: Option<i64>, default: usize| match bound {
            None => default,
            // As a slice in Python: negative numbers count from the end.
            Some(bound) if bound < 0 => tasks.saturating_sub(bound.unsigned_abs() as usize),
            Some(bound) => tasks.min(bound as usize),
        };
        let range = bound(start, 0)..bound(stop, tasks);
        let listed = range.take(MAX_LISTED).map(|index| self.task(split, first, index));
        Ok(listed.collect())
    }

    fn list(&self, body: &[u8]) -> Result<Value, Refusal> {
        let OfSplit { split } = read(body)?;
        let tasks = self.tasks(&split, None, None)?;
        Ok(json!({ "tasks": tasks, "env_name": self.environment.name() }))
    }

    fn count(&self, body: &[u8]) -> Result<Value, Refusal> {
        let OfSplit { split } = read(body)?;
        let (_, tasks) = self.known_split(&split).map_err(|reason| (400, reason))?;
        Ok(json!({ "num_tasks": tasks }))
    }

    fn one(&self, body: &[u8]) -> Result<Value, Refusal> {
        let OfIndex { split, index } = read(body)?;
        let (first, tasks) = self.known_split(&split).map_err(|reason| (400, reason))?;
        match usize::try_from(index).ok().filter(|&index| index < tasks) {
            Some(index) => Ok(json!({ "task": self.task(&split, first, index) })),
            None => Err((400, format!("there are {tasks} tasks, numbered from 0"))),
        }
    }

    fn range(&self, body: &[u8]) -> Result<Value, Refusal> {
        let OfRange { split, start, stop } = read(body)?;
        Ok(json!({ "tasks": self.tasks(&split, start, stop)? }))
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| (422, format!("not a request: {error}")))
}

fn random_seed() -> Result<u64, String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| format!("there are no random numbers: {error}"))?;
    // Clients in every language can send the seed back.
    Ok(u64::from_le_bytes(bytes) >> 11)
}
