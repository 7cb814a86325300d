//! One running program: its pipes, its threads and its end.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

#[cfg(unix)]
use process_wrap::std::ProcessGroup;
use process_wrap::std::{ChildWrapper, CommandWrap};
#[cfg(windows)]
use process_wrap::std::{CommandWrapper, JobObject};

use super::answer::{Answer, read_answer};
use super::time_limit::TimeLimit;
use super::words::{Tail, plain};
use crate::env::protocol::{MAX_LINE, MAX_SESSIONS};

/// Time that a program has to end by itself, and time to wait for the end of its standard error.
const GRACE: Duration = Duration::from_secs(1);

/// Time to wait for the end of a program that was killed.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Number of bytes of requests that are collected for a busy program before they are sent.
const BATCH: usize = 1 << 14;

/// An answer, or the reason why there is none.
pub(super) type Reply = Result<Answer, String>;

/// A command to run.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    /// The command line, for messages.
    pub(super) command: String,
    /// Its words: the program and the arguments.
    pub(super) words: Vec<String>,
    /// Folder in which it runs; empty for the current one.
    pub(super) working_folder: PathBuf,
    /// Time limit of an answer.
    pub(super) timeout: Arc<TimeLimit>,
}

impl Launch {
    /// The command as messages quote it.
    pub(super) fn shown(&self) -> String {
        format!("'{}'", plain(&self.command, 100))
    }
}

/// Locks a mutex whose data stays consistent if a thread panics while it holds the lock.
pub(in crate::env) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request that has no answer yet.
struct Waiting {
    /// The session; `None` for `describe`.
    session: Option<u64>,
    reply: Sender<Reply>,
}

/// Requests that were sent. Answers come in the same order.
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Time of the last answer, or of the last request that was sent to an idle program.
    progress: Instant,
    /// The reason why there are no more answers.
    ended: Option<String>,
}

/// Requests that are not sent yet, and the pipe that takes them.
struct Outbox {
    input: Option<ChildStdin>,
    lines: Vec<u8>,
    waiting: Vec<Waiting>,
    /// Time when the program was asked to end.
    closed: Option<Instant>,
}

/// Session numbers. The lowest free number is taken first, so numbers stay small.
#[derive(Default)]
struct Numbers {
    free: BinaryHeap<Reverse<u64>>,
    next: u64,
}

/// The reason why a program is abandoned.
enum EndReason {
    /// Its standard output ended.
    OutputEnded,
    /// It does not read requests.
    InputClosed,
    /// It broke the protocol or a time limit.
    Violation(String),
}

/// State that the threads around a program share.
struct Shared {
    launch: Launch,
    child: Mutex<Box<dyn ChildWrapper>>,
    queue: Mutex<Queue>,
    /// Wakes the time-out thread when the program has ended.
    ended: Condvar,
    ending: AtomicBool,
    tail: Mutex<Tail>,
    /// Closes when standard error has been read to its end.
    errors_read: Mutex<Receiver<()>>,
}

/// A running program. Sessions share it; requests are answered in the order in which they were sent.
pub(super) struct Program {
    shared: Arc<Shared>,
    outbox: Mutex<Outbox>,
    numbers: Mutex<Numbers>,
    reader: Option<JoinHandle<()>>,
}

impl Program {
    /// Starts the program. Sends no request.
    pub(super) fn start(launch: &Launch) -> Result<Self, String> {
        let refuse = |what: &str, error: &dyn std::fmt::Display| {
            format!("{} {what}: {error}", launch.shown())
        };
        let mut child = spawn(launch).map_err(|error| refuse("cannot be run", &error))?;
        let (input, output, errors) =
            (child.stdin().take(), child.stdout().take(), child.stderr().take());
        let (errors_end, errors_read) = channel();
        let queue = Queue { waiting: VecDeque::new(), progress: Instant::now(), ended: None };
        let shared = Arc::new(Shared {
            launch: launch.clone(),
            child: Mutex::new(child),
            queue: Mutex::new(queue),
            ended: Condvar::new(),
            ending: AtomicBool::new(false),
            tail: Mutex::default(),
            errors_read: Mutex::new(errors_read),
        });
        let outbox = Outbox { input, lines: Vec::new(), waiting: Vec::new(), closed: None };
        // From here on, dropping this value ends the program.
        let mut program = Self {
            shared: shared.clone(),
            outbox: Mutex::new(outbox),
            numbers: Mutex::default(),
            reader: None,
        };
        let thread = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let begun = thread::Builder::new().name(format!("program {name}")).spawn(work);
            begun.map_err(|error| refuse("needs a thread, which cannot be started", &error))
        };
        if let Some(errors) = errors {
            let shared = shared.clone();
            thread("stderr", Box::new(move || keep_tail(&shared, errors, errors_end)))?;
        }
        let watched = shared.clone();
        thread("time-out", Box::new(move || watched.enforce(&watched.launch.timeout)))?;
        if let Some(output) = output {
            program.reader = Some(thread("reader", Box::new(move || read_all(&shared, output)))?);
        }
        Ok(program)
    }

    /// Whether it runs and takes requests.
    pub(super) fn is_alive(&self) -> bool {
        let runs = || matches!(lock(&self.shared.child).try_wait(), Ok(None));
        !self.shared.ending.load(Ordering::Acquire) && runs()
    }

    /// The command as messages quote it.
    pub(super) fn shown(&self) -> String {
        self.shared.launch.shown()
    }

    /// A number for a new session.
    pub(super) fn take_number(&self) -> Result<u64, String> {
        let mut numbers = lock(&self.numbers);
        if let Some(Reverse(number)) = numbers.free.pop() {
            return Ok(number);
        }
        if numbers.next >= MAX_SESSIONS as u64 {
            return Err(format!("{} has {MAX_SESSIONS} sessions under way already", self.shown()));
        }
        numbers.next += 1;
        Ok(numbers.next - 1)
    }

    /// Frees a session number.
    pub(super) fn give_back(&self, number: u64) {
        lock(&self.numbers).free.push(Reverse(number));
    }

    /// Queues a request. It is sent with the next batch, at the latest by [`Program::flush`]. `reply`
    /// receives the answer, or the reason why there is none.
    pub(super) fn post(&self, session: Option<u64>, request: &[u8], reply: &Sender<Reply>) {
        if request.len() > MAX_LINE {
            let message = format!("a request of {} bytes, of {MAX_LINE} allowed", request.len());
            let _ = reply.send(Err(message));
            return;
        }
        let mut outbox = lock(&self.outbox);
        outbox.lines.extend_from_slice(request);
        outbox.lines.push(b'\n');
        outbox.waiting.push(Waiting { session, reply: reply.clone() });
        // An idle program starts at once; a busy one receives requests in batches.
        let is_idle = lock(&self.shared.queue).waiting.is_empty();
        if is_idle || outbox.lines.len() >= BATCH {
            self.send(&mut outbox);
        }
    }

    /// Sends all queued requests.
    pub(super) fn flush(&self) {
        self.send(&mut lock(&self.outbox));
    }

    fn send(&self, outbox: &mut Outbox) {
        if outbox.waiting.is_empty() {
            return;
        }
        let mut queue = lock(&self.shared.queue);
        if let Some(why) = &queue.ended {
            for waiting in outbox.waiting.drain(..) {
                let _ = waiting.reply.send(Err(why.clone()));
            }
            outbox.lines.clear();
            return;
        }
        if queue.waiting.is_empty() {
            queue.progress = Instant::now();
        }
        queue.waiting.extend(outbox.waiting.drain(..));
        // The reader thread takes answers while this one waits for space in the pipe.
        drop(queue);
        let Outbox { input, lines, .. } = outbox;
        let sent = input.as_mut().map(|input| input.write_all(lines));
        lines.clear();
        if !matches!(sent, Some(Ok(()))) {
            self.shared.end(EndReason::InputClosed);
        }
    }

    /// Asks a program that owes no answer to end, and closes its input in any case. Returns the time of
    /// the first such request.
    pub(super) fn close(&self) -> Instant {
        let mut outbox = lock(&self.outbox);
        let is_idle = lock(&self.shared.queue).waiting.is_empty();
        if let Some(mut input) = outbox.input.take()
            && is_idle
        {
            let _ = input.write_all(b"{\"op\":\"close\"}\n");
        }
        *outbox.closed.get_or_insert_with(Instant::now)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let left = GRACE.saturating_sub(self.close().elapsed());
        let reader = self.reader.take();
        let has_ended = || reader.as_ref().is_some_and(JoinHandle::is_finished);
        // The reader thread handles the rest when the program's output ends.
        if !wait_until(left, has_ended) {
            self.shared.end(EndReason::Violation("did not end when it was asked to".into()));
            // Another thread may be ending it already.
            wait_until(LAST_WAIT, || lock(&self.shared.queue).ended.is_some());
        }
    }
}

/// Waits for a condition and returns whether it became true in time.
fn wait_until(limit: Duration, is_met: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    let mut pause = Duration::from_micros(100);
    while !is_met() {
        if begun.elapsed() >= limit {
            return false;
        }
        thread::sleep(pause);
        pause = (2 * pause).min(Duration::from_millis(20));
    }
    true
}

/// Runs the program in a process group of its own (on Windows, in a job object): Ctrl-C reaches only
/// the trainer, which ends the program when it is done, and the processes that the program starts are
/// ended with it.
fn spawn(launch: &Launch) -> std::io::Result<Box<dyn ChildWrapper>> {
    let (program, arguments) =
        launch.words.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    // A program that is named by a relative path lies below the working folder, on every system.
    let program = match Path::new(program) {
        path if path.is_relative() && path.components().count() > 1 => {
            launch.working_folder.join(path)
        }
        path => path.to_path_buf(),
    };
    let mut command = CommandWrap::with_new(program, |command| {
        command.args(arguments);
        if !launch.working_folder.as_os_str().is_empty() {
            command.current_dir(&launch.working_folder);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    });
    #[cfg(unix)]
    command.wrap(ProcessGroup::leader());
    #[cfg(windows)]
    command.wrap(JobObject).wrap(NewConsoleGroup);
    command.spawn()
}

/// Keeps Ctrl-C from the program. [`JobObject`] sets the creation flags before, and needs the program
/// to be suspended until it belongs to the job.
#[cfg(windows)]
#[derive(Debug)]
struct NewConsoleGroup;

#[cfg(windows)]
impl CommandWrapper for NewConsoleGroup {
    fn pre_spawn(
        &mut self,
        command: &mut std::process::Command,
        _: &CommandWrap,
    ) -> std::io::Result<()> {
        const CREATE_SUSPENDED: u32 = 0x4;
        const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
        let flags = CREATE_SUSPENDED | CREATE_NEW_PROCESS_GROUP;
        std::os::windows::process::CommandExt::creation_flags(command, flags);
        Ok(())
    }
}

/// Waits for the program to end, which removes it from the process table. `None` if it still runs.
fn wait(child: &Mutex<Box<dyn ChildWrapper>>, limit: Duration) -> Option<ExitStatus> {
    let status = || lock(child).try_wait().ok().flatten();
    wait_until(limit, || status().is_some());
    status()
}

/// Delivers answers until the output ends.
fn read_all(shared: &Shared, output: ChildStdout) {
    let mut output = BufReader::with_capacity(1 << 16, output);
    let mut line = Vec::new();
    let why = loop {
        line.clear();
        let read = (&mut output).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line);
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if read.is_err() || line.len() <= MAX_LINE {
            break EndReason::OutputEnded;
        }
        if let Err(why) = shared.deliver(&line) {
            break EndReason::Violation(why);
        }
    };
    shared.end(why);
}

/// Reads standard error to its end and keeps the last part.
fn keep_tail(shared: &Shared, mut errors: ChildStderr, errors_end: Sender<()>) {
    let mut bytes = [0; 8192];
    loop {
        match errors.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => lock(&shared.tail).push(&bytes[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    drop(errors_end);
}

impl Shared {
    /// Passes an answer to the first request that waits.
    fn deliver(&self, line: &[u8]) -> Result<(), String> {
        let answer = read_answer(line)?;
        let mut queue = lock(&self.queue);
        let first = queue.waiting.front().ok_or("answered without being asked")?;
        let (expected, found) = match &answer {
            Answer::Description(_) => (first.session, None),
            Answer::State(state) => (first.session, Some(state.session)),
            Answer::Malformed { session, .. } => (first.session, Some(*session)),
            // A refusal may name no session.
            Answer::Refusal { session, .. } => (first.session, session.or(first.session)),
        };
        if expected != found {
            let what = |session: Option<u64>| match session {
                Some(session) => format!("session {session}"),
                None => "describe".into(),
            };
            return Err(format!("answered {}, but {} was asked", what(found), what(expected)));
        }
        queue.progress = Instant::now();
        if let Some(first) = queue.waiting.pop_front() {
            // The session may have been dropped.
            let _ = first.reply.send(Ok(answer));
        }
        Ok(())
    }

    /// Ends the program if it owes an answer for too long. The time counts from its last answer to any
    /// session: requests that wait behind others do not count.
    fn enforce(&self, limit: &TimeLimit) {
        let mut queue = lock(&self.queue);
        while queue.ended.is_none() {
            let timeout = limit.get();
            // Polls, so that requests need not wake this thread.
            let period = timeout.map_or(Duration::MAX, |timeout| timeout / 8);
            let period = period.clamp(Duration::from_millis(1), Duration::from_secs(1));
            if let Some(timeout) = timeout
                && !queue.waiting.is_empty()
                && queue.progress.elapsed() >= timeout
            {
                drop(queue);
                let seconds = timeout.as_secs_f64();
                self.end(EndReason::Violation(format!("gave no answer within {seconds} seconds")));
                return;
            }
            let woken = self.ended.wait_timeout(queue, period);
            queue = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends the program if it runs, and passes the reason to all requests that wait. Only the first
    /// reason counts.
    fn end(&self, why: EndReason) {
        if self.ending.swap(true, Ordering::AcqRel) {
            return;
        }
        // A program that ends by itself has an exit status.
        let status = match why {
            EndReason::Violation(_) => None,
            EndReason::OutputEnded | EndReason::InputClosed => wait(&self.child, GRACE),
        };
        if status.is_none() {
            // Kills the group. If that fails, no process of it is left.
            let _ = lock(&self.child).start_kill();
            wait(&self.child, LAST_WAIT);
        }
        let message = self.describe(&why, status);
        let mut queue = lock(&self.queue);
        for waiting in queue.waiting.drain(..) {
            let _ = waiting.reply.send(Err(message.clone()));
        }
        queue.ended = Some(message);
        drop(queue);
        self.ended.notify_all();
    }

    fn describe(&self, why: &EndReason, status: Option<ExitStatus>) -> String {
        let what = match (why, status) {
            (EndReason::Violation(what), _) => what.clone(),
            (_, Some(status)) => format!("ended with {status}"),
            (EndReason::OutputEnded, None) => "closed its standard output".into(),
            (EndReason::InputClosed, None) => "does not read requests".into(),
        };
        // Standard error ends with the program, unless another process holds it open.
        let _ = lock(&self.errors_read).recv_timeout(GRACE);
        let last = lock(&self.tail).last_lines();
        let last = last.map(|last| format!("; its standard error ends: {last}"));
        format!("{} {what}{}", self.launch.shown(), last.unwrap_or_default())
    }
}
