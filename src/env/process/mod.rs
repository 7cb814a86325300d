//! Any program that speaks the [environment protocol](super::protocol), as an [`Environment`].
//!
//! A [`Process`] runs one or several copies of a program and plays many sessions in each. No shell is
//! run: the command line is split into words as a shell would split it, and the first word names the
//! program, which is run in the folder where this process runs. Each opened split runs copies of its
//! own. A program is to end when its input does.
//!
//! A program that dies, answers nonsense or gives no answer in time loses the episodes that it was
//! playing, each with an [environment error](Error::Environment) that says what happened and how its
//! standard error ended. It is killed with all that it started (on Windows: alone), and a new one is
//! run when the next episode begins. An answer that is wrong but tells its session (a missing field, a
//! reward that is no number), and an answer `{"error":…}`, cost that session alone.
//!
//! # Tasks and splits
//!
//! A program that tells its `splits` is asked for tasks by number, and each episode gets a seed of its
//! own for what is left to chance. One that does not is asked for task *i* by the seed *i*, from 0 to
//! the number of its tasks; that seed decides everything, so that all episodes of a task begin alike.
//! The first four fifths of these are the split `train`, the others are `valid`.
//!
//! Tasks are named by their split and their number within it, as `valid/3`: names must be known before
//! a task is played. The name that the program gives a task must be the same each time it is played;
//! where it is not, the episode is lost to an environment error, since a group that plays several
//! tasks would teach nonsense.

mod answer;
mod description;
mod program;
mod session;
mod words;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[doc(hidden)]
pub use answer::{Answer, Description, State, read_answer};

use self::description::{check, find_split, keep_for_good, quote};
use self::program::{Launch, Program, lock};
use self::session::{Beginning, ProcessSession, Seat, Told};
use super::{Environment, Session, Texts};
use crate::error::{Error, Result};

/// How many episodes may have been announced and not begun before they are forgotten.
const MAX_ANNOUNCED: usize = 1 << 14;

/// What tasks are called that have no kind.
const ONLY_KIND: &str = "Task";

/// Seeds are told in so many bits, which every language's numbers hold.
const SEED_BITS: u32 = 53;

/// The setting that names the program.
const COMMAND: &str = "env.command";

/// Which program is run, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessConfig {
    /// The command line: words as a shell splits them, though no shell is run.
    pub command: String,
    /// Seconds that an answer may take, the first one with the program's start; 0 for any time.
    pub answer_timeout: f64,
    /// How many copies of the program run side by side.
    pub processes: usize,
}

/// A program's tasks of one split.
pub struct Process {
    launch: Launch,
    described: Description,
    name: String,
    kinds: Vec<&'static str>,
    /// The number of the split's first task among all tasks.
    first: usize,
    /// The split's tasks.
    names: Texts,
    slots: Vec<Slot>,
    /// What is known of tasks that were played.
    met: Mutex<HashMap<usize, Met>>,
    /// Episodes that programs were asked for and nobody has started yet, by task and seed.
    announced: Mutex<HashMap<(usize, u64), Vec<ProcessSession>>>,
}

/// A place for one copy of the program.
#[derive(Default)]
struct Slot {
    program: Mutex<Option<Arc<Program>>>,
    /// How many sessions it plays.
    load: Arc<AtomicUsize>,
}

/// What is known of a task that was played.
struct Met {
    /// The hash of the name that the program gives it.
    name: u64,
    kind: usize,
}

impl Process {
    /// Runs a program and asks it to describe itself.
    ///
    /// # Errors
    /// Names the setting where the command cannot be run, or where what it says of itself makes no
    /// sense; or says that it has no such split.
    pub fn open(config: &ProcessConfig, split: &str) -> Result<Self> {
        let refuse = |message: String| Error::setting(COMMAND, message);
        let words = split_command(&config.command)?;
        let timeout = config.answer_timeout;
        let timeout = (timeout > 0.0).then(|| Duration::try_from_secs_f64(timeout).ok()).flatten();
        let launch = Launch { command: config.command.clone(), words, timeout };
        let (program, described) = begin(&launch).map_err(refuse)?;
        let shown = launch.shown();
        check(&described).map_err(|what| refuse(format!("{shown} says that {what}")))?;
        let (first, tasks) = find_split(&described, split)?;
        let slots: Vec<Slot> = (0..config.processes.max(1)).map(|_| Slot::default()).collect();
        *lock(&slots[0].program) = Some(Arc::new(program));
        let mut names = Texts::new();
        for task in 0..tasks {
            names.push(&format!("{split}/{task}"));
        }
        let kinds = match described.kinds.as_slice() {
            [] => vec![ONLY_KIND],
            kinds => kinds.iter().map(|kind| keep_for_good(kind)).collect(),
        };
        let name = quote(&described.name);
        let (met, announced) = (Mutex::default(), Mutex::default());
        Ok(Self { launch, described, name, kinds, first, names, slots, met, announced })
    }

    /// A place in the program that plays the fewest sessions, which is run if it does not.
    fn seat(&self) -> Result<Seat, String> {
        let load = |slot: &&Slot| slot.load.load(Ordering::Relaxed);
        let slot = self.slots.iter().min_by_key(load).ok_or("there is no program")?;
        let mut program = lock(&slot.program);
        let running = match program.take() {
            Some(running) if running.is_alive() => running,
            _ => Arc::new(self.run_again()?),
        };
        *program = Some(running.clone());
        Seat::take(running, slot.load.clone())
    }

    /// Asks a program for an episode, and does not wait for it.
    fn ask(&self, task: usize, seed: u64) -> Result<ProcessSession> {
        if task >= self.tasks() {
            let message = format!("there is no task {task}: there are {}", self.tasks());
            return Err(Error::Environment(message));
        }
        let number = self.first + task;
        let begin = match self.described.splits.is_empty() {
            true => Beginning { number: None, seed: number as u64 },
            false => Beginning { number: Some(number), seed: seed >> (u64::BITS - SEED_BITS) },
        };
        ProcessSession::ask(self.seat().map_err(Error::Environment)?, begin)
    }

    /// The episode that was asked for beforehand, once it has begun.
    fn announced(&self, task: usize, seed: u64) -> Option<Result<(ProcessSession, Told)>> {
        let mut session = self.take_announced(task, seed)?;
        let begun = session.begun();
        // A program that has died may have died of something else, and nothing was played yet.
        session.is_alive().then(|| begun.map(|told| (session, told)))
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

    /// Another copy of the program, which must say of itself what the first one said.
    fn run_again(&self) -> Result<Program, String> {
        let (program, described) = begin(&self.launch)?;
        if described != self.described {
            let shown = self.launch.shown();
            return Err(format!("{shown} describes other tasks than when it was first run"));
        }
        Ok(program)
    }

    /// Notes what a program tells of a task, which must be the same each time.
    fn note(&self, task: usize, told: Told) -> Result<(), String> {
        let kind = match (&told.kind, self.described.kinds.is_empty()) {
            (Some(kind), false) => {
                let known = self.described.kinds.iter().position(|known| known == kind);
                known.ok_or_else(|| format!("is of the kind '{}', which is none", quote(kind)))?
            }
            _ => 0,
        };
        let mut hasher = DefaultHasher::new();
        told.task.hash(&mut hasher);
        let name = hasher.finish();
        let mut met = lock(&self.met);
        let before = met.entry(task).or_insert(Met { name, kind });
        if before.name != name {
            let told = quote(&told.task);
            return Err(format!("is '{told}' now and was another before; a seed must decide it"));
        }
        Ok(())
    }
}

/// The number of a split's first task, and how many it has, where a description makes sense.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn tasks_of(described: &Description, split: &str) -> Result<(usize, usize)> {
    check(described).map_err(|what| Error::setting(COMMAND, what))?;
    find_split(described, split)
}

/// The words of a command line.
///
/// # Errors
/// Names the setting where there are none, or where a quotation does not end.
pub(super) fn split_command(command: &str) -> Result<Vec<String>> {
    match shlex::split(command) {
        None => Err(Error::setting(COMMAND, "has a quotation that does not end")),
        Some(words) if words.is_empty() => {
            let message = "is not set; name a program that speaks the environment protocol, as in \
                           --command 'python3 my_env.py'";
            Err(Error::setting(COMMAND, message))
        }
        Some(words) => Ok(words),
    }
}

/// Runs the program and has it describe itself.
fn begin(launch: &Launch) -> Result<(Program, Description), String> {
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
        // All copies that nobody plays with are asked to end before the first is waited for.
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
        self.names.len()
    }

    fn vocabulary_tasks(&self) -> usize {
        500
    }

    fn task_name(&self, task: usize) -> &str {
        self.names.get(task).unwrap_or_default()
    }

    /// That which the program told when the task was first played; the first kind before that.
    fn task_kind(&self, task: usize) -> usize {
        lock(&self.met).get(&task).map_or(0, |met| met.kind)
    }

    fn kinds(&self) -> &[&'static str] {
        &self.kinds
    }

    fn max_steps(&self) -> usize {
        self.described.max_steps as usize
    }

    fn announce(&self, episodes: &[(usize, u64)]) {
        // Those that were announced and never started are of a collection that was given up. Several
        // collections may go on at once, and keep their own.
        let forgotten = match lock(&self.announced) {
            announced if announced.len() < MAX_ANNOUNCED => HashMap::new(),
            mut announced => std::mem::take(&mut *announced),
        };
        drop(forgotten);
        for &(task, seed) in episodes {
            // What goes wrong is said when the episode is started.
            let Ok(session) = self.ask(task, seed) else { return };
            lock(&self.announced).entry((task, seed)).or_default().push(session);
        }
    }

    fn start(&self, task: usize, seed: u64) -> Result<Box<dyn Session>> {
        let (session, told) = match self.announced(task, seed) {
            Some(begun) => begun?,
            None => {
                let mut session = self.ask(task, seed)?;
                let told = session.begun()?;
                (session, told)
            }
        };
        self.note(task, told).map_err(|what| {
            let (shown, number) = (self.launch.shown(), self.first + task);
            Error::Environment(format!("{shown} says that task number {number} {what}"))
        })?;
        Ok(Box::new(session))
    }
}
