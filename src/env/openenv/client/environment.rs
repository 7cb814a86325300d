//! A server's tasks as an environment.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};

use super::address::{Address, URL};
use super::config::OpenEnvConfig;
use super::http::Http;
use super::pool::{Pool, Server};
use super::session::OpenEnvSession;
use super::shape::Shape;
use super::trust::Trust;
use crate::env::environment::{Environment, Session, Split};
use crate::env::process::{Description, Selection, TimeLimit, lock, quote, select};
use crate::env::texts::Texts;
use crate::error::{Error, Result};

/// Seeds are sent with this number of bits, which the numbers of every language can hold.
const SEED_BITS: u32 = 53;

/// Maximum number of tasks of a server.
const MAX_TASKS: u64 = 1_000_000;

/// Maximum number of steps by which two episodes of one seed are compared.
const PROBE_STEPS: usize = 3;

/// A server's tasks, of one split or of all splits.
pub struct OpenEnv {
    pool: Arc<Pool>,
    shape: Arc<Shape>,
    name: String,
    /// Whether the server lists its tasks. Otherwise seeds stand for tasks.
    has_tasks: bool,
    splits: Vec<Split>,
    /// Number of the first task among all tasks of the server.
    first: usize,
    task_names: Texts,
    max_steps: usize,
    checks_seeds: bool,
    notes: Vec<String>,
    /// Hashes of how the tasks that have been played begin.
    played: Mutex<HashMap<usize, u64>>,
    /// Episodes that were announced and not yet started, by task and seed.
    announced: Mutex<HashMap<(usize, u64), Vec<OpenEnvSession>>>,
}

impl OpenEnv {
    /// Asks a server for its schema and its tasks, opens sessions, and checks that a seed decides how an
    /// episode begins. Opens one split, or all splits in order.
    ///
    /// # Errors
    /// Names the setting if the server cannot be reached, if its fields are unclear, or if two episodes
    /// of one seed begin differently. Returns an error if there is no such split.
    pub fn open(config: &OpenEnvConfig, split: Option<&str>) -> Result<Self> {
        let refuse = |message: String| Error::setting(URL, message);
        let address = Address::parse(&config.url)?;
        let limit = TimeLimit::new(config.answer_timeout);
        let trust = Trust::of(&address, &config.ca_file)?;
        let http = Http::new(&address, trust.as_ref(), &limit);
        let shape = Shape::of(&http.schema()?, config)?;
        let (name, splits) = http.tasks()?;
        let has_tasks = !splits.is_empty();
        let tasks = match has_tasks {
            true => splits.iter().fold(0_u64, |total, split| total.saturating_add(split.tasks)),
            false => config.seeds as u64,
        };
        if !(1..=MAX_TASKS).contains(&tasks) {
            let shown = address.shown();
            return Err(refuse(format!("{shown} has {tasks} tasks, expected 1 to {MAX_TASKS}")));
        }
        let described = Description {
            protocol: 1,
            name: name.map_or_else(|| "openenv".into(), |name| quote(&name)),
            tasks,
            max_steps: config.max_steps as u64,
            splits,
            kinds: Vec::new(),
        };
        let Selection { first, splits } = select(&described, split)?;
        let pool = Pool::of(Server { address, trust }, config.sessions, config.answer_timeout);
        let pool = pool.map_err(refuse)?;
        let mut task_names = Texts::new();
        for Split { name, tasks } in &splits {
            (0..*tasks).for_each(|task| task_names.push(&format!("{name}/{task}")));
        }
        let mut opened = Self {
            pool,
            shape: Arc::new(shape),
            name: described.name,
            has_tasks,
            splits,
            first,
            task_names,
            max_steps: config.max_steps,
            checks_seeds: config.check_seeds,
            notes: Vec::new(),
            played: Mutex::default(),
            announced: Mutex::default(),
        };
        opened.note_sessions(config.sessions);
        opened.probe()?;
        Ok(opened)
    }

    fn note_sessions(&mut self, wanted: usize) {
        let most = self.pool.most();
        if most < wanted && self.pool.is_to_be_told() {
            let shown = self.pool.server.address.shown();
            let sessions = if most == 1 { "session" } else { "sessions" };
            self.notes.push(format!(
                "{shown} allows {most} {sessions} at a time (env.sessions is {wanted}): further episodes \
                 wait; start it with a larger max_concurrent_envs"
            ));
        }
    }

    /// Plays the start of a task twice with the same seed, and compares what is seen.
    fn probe(&mut self) -> Result<()> {
        let [first, second] = [self.play_start()?, self.play_start()?];
        if first == second {
            return Ok(());
        }
        let shown = self.pool.server.address.shown();
        let found = format!("two episodes of {shown} with the same task and seed differ");
        if self.checks_seeds {
            let message = format!(
                "{found}, so that a group would mix different tasks: make the server's reset use the seed, \
                 or set env.check_seeds to false (--no-check-seeds)"
            );
            return Err(Error::setting(URL, message));
        }
        self.notes.push(format!("warning: {found}, so that a group mixes different tasks"));
        Ok(())
    }

    /// What the first task shows, at its start and in the first steps.
    fn play_start(&self) -> Result<Vec<String>> {
        let mut session = self.request(0, 0, true)?;
        session.wait_for_start()?;
        let look = |session: &OpenEnvSession| format!("{:?}", session.shown());
        let mut seen = vec![look(&session)];
        for _ in 0..PROBE_STEPS {
            let Some(action) = session.shown().2.get(0).map(str::to_string) else { break };
            let done = session.step(&action)?;
            seen.push(format!("{} {}", done.reward, look(&session)));
            if done.ended() {
                break;
            }
        }
        Ok(seen)
    }

    /// The data of a reset.
    fn start_of(&self, task: usize, seed: u64) -> Map<String, Value> {
        let data = match self.has_tasks {
            false => json!({ "seed": self.first + task }),
            true => {
                let name = self.task_names.get(task).unwrap_or_default();
                let (split, index) = name.rsplit_once('/').unwrap_or((name, "0"));
                let index: u64 = index.parse().unwrap_or_default();
                let seed = seed >> (u64::BITS - SEED_BITS);
                json!({ "split": split, "index": index, "seed": seed })
            }
        };
        if let Value::Object(data) = data { data } else { Map::new() }
    }

    /// Requests an episode without waiting for it.
    fn request(&self, task: usize, seed: u64, waits: bool) -> Result<OpenEnvSession> {
        if task >= self.tasks() {
            let message = format!("there is no task {task}: there are {}", self.tasks());
            return Err(Error::Environment(message));
        }
        let seat = self.pool.take(waits).map_err(Error::Environment)?;
        let start = self.start_of(task, seed);
        OpenEnvSession::request(seat, self.shape.clone(), start, self.max_steps)
    }

    fn take_announced(&self, task: usize, seed: u64) -> Option<OpenEnvSession> {
        let mut announced = lock(&self.announced);
        let alike = announced.get_mut(&(task, seed))?;
        let session = alike.pop();
        if alike.is_empty() {
            announced.remove(&(task, seed));
        }
        session
    }

    /// Refuses an episode that begins otherwise than an earlier one of its task.
    fn record(&self, task: usize, session: &OpenEnvSession) -> Result<()> {
        let mut hasher = DefaultHasher::new();
        match (self.has_tasks, session.task()) {
            (_, Some(task)) => task.hash(&mut hasher),
            // Each episode has a seed of its own, which may decide what is seen.
            (true, None) => return Ok(()),
            (false, None) => {
                let (goal, observation, admissible) = session.shown();
                (goal, observation).hash(&mut hasher);
                admissible.iter().for_each(|action| action.hash(&mut hasher));
            }
        }
        let hash = hasher.finish();
        let before = *lock(&self.played).entry(task).or_insert(hash);
        if self.checks_seeds && before != hash {
            let (shown, name) = (self.pool.server.address.shown(), self.task_name(task));
            return Err(Error::Environment(format!(
                "{shown} begins task '{name}' otherwise than before; a seed must decide it"
            )));
        }
        Ok(())
    }
}

impl Environment for OpenEnv {
    fn name(&self) -> &str {
        &self.name
    }

    fn tasks(&self) -> usize {
        self.task_names.len()
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }

    fn task_name(&self, task: usize) -> &str {
        self.task_names.get(task).unwrap_or_default()
    }

    fn task_kind(&self, _: usize) -> usize {
        0
    }

    fn kinds(&self) -> Vec<String> {
        vec!["Task".into()]
    }

    fn max_steps(&self) -> usize {
        self.max_steps
    }

    fn splits(&self) -> Vec<Split> {
        self.splits.clone()
    }

    fn lists_actions(&self) -> bool {
        self.shape.lists_actions()
    }

    fn max_sessions(&self) -> usize {
        self.pool.most()
    }

    fn announce(&self, episodes: &[(usize, u64)]) {
        // Episodes that were announced and never started belong to a collection that was abandoned, and
        // hold sessions that this one needs.
        if self.pool.free() < episodes.len() {
            let dropped = std::mem::take(&mut *lock(&self.announced));
            drop(dropped);
        }
        for &(task, seed) in episodes {
            // The start waits for a session, and reports the error.
            let Ok(session) = self.request(task, seed, false) else { return };
            lock(&self.announced).entry((task, seed)).or_default().push(session);
        }
    }

    fn replays_lost_episodes(&self) -> bool {
        true
    }

    fn limit_steps(&self, seconds: f64) -> bool {
        self.pool.limit.lower_to(seconds);
        true
    }

    fn start(&self, task: usize, seed: u64) -> Result<Box<dyn Session>> {
        let mut session = match self.take_announced(task, seed) {
            Some(session) => session,
            None => self.request(task, seed, true)?,
        };
        session.wait_for_start()?;
        self.record(task, &session)?;
        Ok(Box::new(session))
    }

    fn vocabulary_tasks(&self) -> usize {
        100
    }
}
