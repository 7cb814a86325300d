//! A program's tasks as an environment.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use super::answer::{Answer, Description};
use super::command::{COMMAND, shell_hint, split_command};
use super::config::ProcessConfig;
use super::description::{Selection, check, quote, select};
use super::program::{Launch, Program, lock};
use super::session::{ProcessSession, ReportedTask, Seat, Start};
use super::time_limit::TimeLimit;
use crate::env::environment::{Environment, Session, Split};
use crate::env::texts::Texts;
use crate::error::{Error, Result};

/// Number of announced episodes that may wait for their start. If there are more, all are dropped.
const MAX_ANNOUNCED: usize = 1 << 14;

/// The kind of all tasks of a program that describes no kinds.
const ONLY_KIND: &str = "Task";

/// Seeds are sent with this number of bits, which the numbers of every language can hold.
const SEED_BITS: u32 = 53;

/// A program's tasks, of one split or of all splits.
pub struct Process {
    launch: Launch,
    described: Description,
    name: String,
    kinds: Vec<String>,
    splits: Vec<Split>,
    /// Number of the first task among all tasks of the program.
    first: usize,
    task_names: Texts,
    slots: Vec<Slot>,
    /// Facts about the tasks that have been played.
    played: Mutex<HashMap<usize, PlayedTask>>,
    /// Episodes that were announced and not yet started, by task and seed.
    announced: Mutex<HashMap<(usize, u64), Vec<ProcessSession>>>,
}

/// A place for one copy of the program.
#[derive(Default)]
struct Slot {
    program: Mutex<Option<Arc<Program>>>,
    /// Number of its sessions.
    load: Arc<AtomicUsize>,
}

/// Facts about a task that has been played.
struct PlayedTask {
    /// Hash of the name that the program gives the task.
    name: u64,
    kind: usize,
}

impl Process {
    /// Runs a program and requests its description. Opens one split, or all splits in order.
    ///
    /// # Errors
    /// Names the setting if the command cannot be run or its description is malformed. Returns an
    /// error if there is no such split.
    pub fn open(config: &ProcessConfig, split: Option<&str>) -> Result<Self> {
        let refuse = |message: String| Error::setting(COMMAND, message);
        let words = split_command(&config.command)?;
        let timeout = Arc::new(TimeLimit::new(config.answer_timeout));
        let working_folder = config.working_folder.clone();
        let launch = Launch { command: config.command.clone(), words, working_folder, timeout };
        let hint = || shell_hint(&config.command);
        let (program, described) =
            start_program(&launch).map_err(|message| refuse(message + &hint()))?;
        let shown = launch.shown();
        check(&described).map_err(|what| refuse(format!("{shown} says that {what}")))?;
        let Selection { first, splits } = select(&described, split)?;
        let slots: Vec<Slot> = (0..config.processes.max(1)).map(|_| Slot::default()).collect();
        *lock(&slots[0].program) = Some(Arc::new(program));
        let mut task_names = Texts::new();
        for Split { name, tasks } in &splits {
            (0..*tasks).for_each(|task| task_names.push(&format!("{name}/{task}")));
        }
        let kinds = match described.kinds.as_slice() {
            [] => vec![ONLY_KIND.to_string()],
            kinds => kinds.to_vec(),
        };
        let name = quote(&described.name);
        let (played, announced) = (Mutex::default(), Mutex::default());
        Ok(Self {
            launch,
            described,
            name,
            kinds,
            splits,
            first,
            task_names,
            slots,
            played,
            announced,
        })
    }

    /// A seat in the copy with the fewest sessions. The copy is started if it does not run.
    fn take_seat(&self) -> Result<Seat, String> {
        let load = |slot: &&Slot| slot.load.load(Ordering::Relaxed);
        let slot = self.slots.iter().min_by_key(load).ok_or("there is no program")?;
        let mut program = lock(&slot.program);
        let running = match program.take() {
            Some(running) if running.is_alive() => running,
            _ => Arc::new(self.restart()?),
        };
        *program = Some(running.clone());
        Seat::take(running, slot.load.clone())
    }

    /// Requests an episode without waiting for it.
    fn request(&self, task: usize, seed: u64) -> Result<ProcessSession> {
        if task >= self.tasks() {
            let message = format!("there is no task {task}: there are {}", self.tasks());
            return Err(Error::Environment(message));
        }
        let number = self.first + task;
        let start = match self.described.splits.is_empty() {
            true => Start { number: None, seed: number as u64 },
            false => Start { number: Some(number), seed: seed >> (u64::BITS - SEED_BITS) },
        };
        ProcessSession::request(self.take_seat().map_err(Error::Environment)?, start)
    }

    /// The announced episode, once it has begun. `None` if it was not announced, or if its program has
    /// died: something else may have killed it, and nothing has been played, so the start is retried.
    fn start_announced(
        &self,
        task: usize,
        seed: u64,
    ) -> Option<Result<(ProcessSession, ReportedTask)>> {
        let mut session = self.take_announced(task, seed)?;
        let begun = session.wait_for_start();
        session.is_alive().then(|| begun.map(|reported| (session, reported)))
    }

    fn take_announced(&self, task: usize, seed: u64) -> Option<ProcessSession> {
        let mut announced = lock(&self.announced);
        let alike = announced.get_mut(&(task, seed))?;
        let session = alike.pop();
        if alike.is_empty() {
            announced.remove(&(task, seed));
        }
        session
    }

    /// Starts another copy of the program, which must describe itself as the first one did.
    fn restart(&self) -> Result<Program, String> {
        let (program, described) = start_program(&self.launch)?;
        if described != self.described {
            let shown = self.launch.shown();
            return Err(format!("{shown} describes other tasks than when it was first run"));
        }
        Ok(program)
    }

    /// Records the name and the kind that the program reports for a task. The name must be the same
    /// each time.
    fn record(&self, task: usize, reported: ReportedTask) -> Result<(), String> {
        let kind = match (&reported.kind, self.described.kinds.is_empty()) {
            (Some(kind), false) => {
                let known = self.described.kinds.iter().position(|known| known == kind);
                known.ok_or_else(|| {
                    format!("has the kind '{}', which is not among its kinds", quote(kind))
                })?
            }
            _ => 0,
        };
        let mut hasher = DefaultHasher::new();
        reported.task.hash(&mut hasher);
        let name = hasher.finish();
        let mut played = lock(&self.played);
        let before = played.entry(task).or_insert(PlayedTask { name, kind });
        if before.name != name {
            let now = quote(&reported.task);
            return Err(format!("is '{now}' now and was another before; a seed must decide it"));
        }
        Ok(())
    }
}

/// The number of the first task of a split and the number of its tasks, for a description that is
/// checked first.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn tasks_of(described: &Description, split: &str) -> Result<(usize, usize)> {
    check(described).map_err(|what| Error::setting(COMMAND, what))?;
    let selection = select(described, Some(split))?;
    Ok((selection.first, selection.splits.iter().map(|split| split.tasks as usize).sum()))
}

/// Runs the program and reads its description.
fn start_program(launch: &Launch) -> Result<(Program, Description), String> {
    let program = Program::start(launch)?;
    let (reply, answers) = channel();
    program.post(None, b"{\"op\":\"describe\"}", &reply);
    program.flush();
    let expected = "expected {\"protocol\":1,\"name\":…,\"tasks\":…,\"max_steps\":…} in answer to \
                    {\"op\":\"describe\"}";
    let shown = launch.shown();
    match answers.recv() {
        Ok(Ok(Answer::Description(described))) => Ok((program, described)),
        Ok(Ok(Answer::Refusal { error, .. })) => Err(format!("{shown} says: {error}; {expected}")),
        Ok(Err(message)) => Err(format!("{message}; {expected}")),
        Ok(Ok(_)) | Err(_) => Err(format!("{shown} does not describe itself; {expected}")),
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        lock(&self.announced).clear();
        // All copies without sessions are asked to end before the first one is waited for.
        for slot in &self.slots {
            if let Some(program) = &*lock(&slot.program)
                && Arc::strong_count(program) == 1
            {
                program.close();
            }
        }
    }
}

impl Environment for Process {
    fn name(&self) -> &str {
        &self.name
    }

    fn tasks(&self) -> usize {
        self.task_names.len()
    }

    fn task_name(&self, task: usize) -> &str {
        self.task_names.get(task).unwrap_or_default()
    }

    /// The kind that the program reported when the task was first played; before that, the first kind.
    fn task_kind(&self, task: usize) -> usize {
        lock(&self.played).get(&task).map_or(0, |played| played.kind)
    }

    fn kinds(&self) -> Vec<String> {
        self.kinds.clone()
    }

    fn max_steps(&self) -> usize {
        self.described.max_steps as usize
    }

    fn splits(&self) -> Vec<Split> {
        self.splits.clone()
    }

    fn announce(&self, episodes: &[(usize, u64)]) {
        // Episodes that were announced and never started belong to a collection that was abandoned.
        // Collections that run at the same time keep their own.
        let dropped = match lock(&self.announced) {
            announced if announced.len() < MAX_ANNOUNCED => HashMap::new(),
            mut announced => std::mem::take(&mut *announced),
        };
        drop(dropped);
        for &(task, seed) in episodes {
            // The start reports the error.
            let Ok(session) = self.request(task, seed) else { return };
            lock(&self.announced).entry((task, seed)).or_default().push(session);
        }
    }

    fn replays_lost_episodes(&self) -> bool {
        true
    }

    /// A program answers in the order of the requests, so a step takes the time since its last answer.
    fn limit_steps(&self, seconds: f64) -> bool {
        self.launch.timeout.lower_to(seconds);
        true
    }

    fn start(&self, task: usize, seed: u64) -> Result<Box<dyn Session>> {
        let (session, reported) = match self.start_announced(task, seed) {
            Some(begun) => begun?,
            None => {
                let mut session = self.request(task, seed)?;
                let reported = session.wait_for_start()?;
                (session, reported)
            }
        };
        self.record(task, reported).map_err(|what| {
            let (shown, number) = (self.launch.shown(), self.first + task);
            Error::Environment(format!("{shown} says that task number {number} {what}"))
        })?;
        Ok(Box::new(session))
    }

    fn vocabulary_tasks(&self) -> usize {
        500
    }
}
