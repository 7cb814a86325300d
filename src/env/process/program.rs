//! One running program: its pipes, its threads, and its end.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::answer::{Answer, read_answer};
use super::words::{Tail, plain};
use crate::env::protocol::{MAX_LINE, MAX_SESSIONS};

/// How long a program may take to end by itself, and how long its last words are waited for.
const GRACE: Duration = Duration::from_secs(1);

/// How long the end of a program that was killed is waited for.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// How many bytes of requests a busy program is sent at once.
const BATCH: usize = 1 << 14;

/// An answer, or why there will be none.
pub(super) type Reply = Result<Answer, String>;

/// What is run.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    /// The command line as it was given, for messages.
    pub(super) command: String,
    /// Its words: the program and its arguments.
    pub(super) words: Vec<String>,
    /// How long an answer may take; `None` for as long as it likes.
    pub(super) timeout: Option<Duration>,
}

impl Launch {
    /// The command as messages quote it.
    pub(super) fn shown(&self) -> String {
        format!("'{}'", plain(&self.command, 100))
    }
}

/// A mutex whose data stays sound if a thread panics while it holds it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request that has no answer yet.
struct Waiting {
    /// Whose it is; `None` for the program's own description.
    session: Option<u64>,
    reply: Sender<Reply>,
}

/// Requests that were sent, in their order, which is that of the answers.
struct Queue {
    waiting: VecDeque<Waiting>,
    /// When the last answer came, or when a request was sent that waited for no other.
    progress: Instant,
    /// Why there will be no more answers.
    ended: Option<String>,
}

/// Requests on their way out, and the pipe that takes them.
struct Outbox {
    input: Option<ChildStdin>,
    lines: Vec<u8>,
    waiting: Vec<Waiting>,
    /// When the program was asked to end.
    closed: Option<Instant>,
}

/// Numbers of sessions: the lowest that is free comes first, so that they stay small.
#[derive(Default)]
struct Numbers {
    free: BinaryHeap<Reverse<u64>>,
    next: u64,
}

/// Why a program is given up.
enum Why {
    /// Its standard output came to an end.
    Ended,
    /// It does not take requests.
    Deaf,
    /// It did what no program may do.
    Broke(String),
}

/// What the threads around a program share.
struct Shared {
    launch: Launch,
    child: Mutex<Child>,
    queue: Mutex<Queue>,
    /// Wakes the watch when the program has ended.
    over: Condvar,
    ending: AtomicBool,
    tail: Mutex<Tail>,
    /// Closes when all of standard error has been read.
    last_words: Mutex<Receiver<()>>,
}

/// A running program. Sessions share it; requests are answered in the order in which they were sent.
pub(super) struct Program {
    shared: Arc<Shared>,
    outbox: Mutex<Outbox>,
    numbers: Mutex<Numbers>,
    reader: Option<JoinHandle<()>>,
}

impl Program {
    /// Starts the program, and asks nothing yet.
    pub(super) fn start(launch: &Launch) -> Result<Self, String> {
        let refuse = |what: &str, error: &dyn std::fmt::Display| {
            format!("{} {what}: {error}", launch.shown())
        };
        let mut child = spawn(launch).map_err(|error| refuse("cannot be run", &error))?;
        let (input, output, errors) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (said_all, last_words) = channel();
        let queue = Queue { waiting: VecDeque::new(), progress: Instant::now(), ended: None };
        let shared = Arc::new(Shared {
            launch: launch.clone(),
            child: Mutex::new(child),
            queue: Mutex::new(queue),
            over: Condvar::new(),
            ending: AtomicBool::new(false),
            tail: Mutex::default(),
            last_words: Mutex::new(last_words),
        });
        let outbox = Outbox { input, lines: Vec::new(), waiting: Vec::new(), closed: None };
        // From here on the program ends with this value, whatever goes wrong.
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
            thread("stderr", Box::new(move || keep_tail(&shared, errors, said_all)))?;
        }
        if let Some(timeout) = launch.timeout {
            let shared = shared.clone();
            thread("watch", Box::new(move || shared.watch(timeout)))?;
        }
        if let Some(output) = output {
            program.reader = Some(thread("reader", Box::new(move || read_all(&shared, output)))?);
        }
        Ok(program)
    }

    /// Whether it still runs and may be asked.
    pub(super) fn is_alive(&self) -> bool {
        let runs = || matches!(lock(&self.shared.child).try_wait(), Ok(None));
        !self.shared.ending.load(Ordering::Acquire) && runs()
    }

    /// The command as messages quote it.
    pub(super) fn shown(&self) -> String {
        self.shared.launch.shown()
    }

    /// A number for a new session, until it is given back.
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

    pub(super) fn give_back(&self, number: u64) {
        lock(&self.numbers).free.push(Reverse(number));
    }

    /// Puts a request with those that are sent next, by [`Program::flush`] at the latest. `reply` is told the answer, or why there is none.
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
        // A program that has nothing to do begins at once, one that is busy gets many at a time.
        let is_idle = lock(&self.shared.queue).waiting.is_empty();
        if is_idle || outbox.lines.len() >= BATCH {
            self.send(&mut outbox);
        }
    }

    /// Sends whatever was posted.
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
        // The reader takes answers while this thread waits for room in the pipe.
        drop(queue);
        let Outbox { input, lines, .. } = outbox;
        let sent = input.as_mut().map(|input| input.write_all(lines));
        lines.clear();
        if !matches!(sent, Some(Ok(()))) {
            self.shared.end(Why::Deaf);
        }
    }

    /// Asks a program that owes no answer to end; its input ends in any case. Says when that was.
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
        // The reader sees to the rest when the program's output ends.
        if !wait_until(left, has_ended) {
            self.shared.end(Why::Broke("did not end when it was asked to".into()));
            // Another thread may be at it already.
            wait_until(LAST_WAIT, || lock(&self.shared.queue).ended.is_some());
        }
    }
}

/// Waits for something to come about, and says whether it did in time.
fn wait_until(limit: Duration, has_come: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    let mut pause = Duration::from_micros(100);
    while !has_come() {
        if begun.elapsed() >= limit {
            return false;
        }
        thread::sleep(pause);
        pause = (2 * pause).min(Duration::from_millis(20));
    }
    true
}

/// Runs the program, in a process group of its own: Ctrl-C is for the trainer, which ends the program
/// when it is done, and what the program starts can be ended with it.
fn spawn(launch: &Launch) -> std::io::Result<Child> {
    let (program, arguments) =
        launch.words.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    #[cfg(windows)]
    {
        const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
        std::os::windows::process::CommandExt::creation_flags(
            &mut command,
            CREATE_NEW_PROCESS_GROUP,
        );
    }
    command.spawn()
}

/// Ends a program and what it has started. It is not waited for.
fn kill(child: &mut Child) {
    // While the program is not waited for, its number stands for its group and no other. The standard
    // library can signal single processes only.
    #[cfg(unix)]
    let _ = Command::new("sh")
        .args(["-c", "kill -s KILL -- \"-$0\"", &child.id().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let _ = child.kill();
}

/// How the program ended, if it does in time. It leaves no zombie then.
fn wait(child: &Mutex<Child>, limit: Duration) -> Option<ExitStatus> {
    let status = || lock(child).try_wait().ok().flatten();
    wait_until(limit, || status().is_some());
    status()
}

/// Hands on answers until there are none any more.
fn read_all(shared: &Shared, output: ChildStdout) {
    let mut output = BufReader::with_capacity(1 << 16, output);
    let mut line = Vec::new();
    let why = loop {
        line.clear();
        let read = (&mut output).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line);
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if read.is_err() || line.len() <= MAX_LINE {
            break Why::Ended;
        }
        if let Err(why) = shared.deliver(&line) {
            break Why::Broke(why);
        }
    };
    shared.end(why);
}

/// Reads standard error to its end, however much it is, and keeps the last of it.
fn keep_tail(shared: &Shared, mut errors: ChildStderr, said_all: Sender<()>) {
    let mut bytes = [0; 8192];
    loop {
        match errors.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => lock(&shared.tail).push(&bytes[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    drop(said_all);
}

impl Shared {
    /// Gives an answer to the request that it is for: the first that waits.
    fn deliver(&self, line: &[u8]) -> Result<(), String> {
        let answer = read_answer(line)?;
        let mut queue = lock(&self.queue);
        let first = queue.waiting.front().ok_or("answered without being asked")?;
        let (expected, found) = match &answer {
            Answer::Description(_) => (first.session, None),
            Answer::State(state) => (first.session, Some(state.session)),
            Answer::Misfit { session, .. } => (first.session, Some(*session)),
            // A refusal may tell no session.
            Answer::Refusal { session, .. } => (first.session, session.or(first.session)),
        };
        if expected != found {
            let what = |session: Option<u64>| match session {
                Some(session) => format!("session {session}"),
                None => "describe".into(),
            };
            return Err(format!("answered {}, where {} was asked", what(found), what(expected)));
        }
        queue.progress = Instant::now();
        if let Some(first) = queue.waiting.pop_front() {
            // Whoever asked may have gone away.
            let _ = first.reply.send(Ok(answer));
        }
        Ok(())
    }

    /// Gives the program up when it owes an answer and none has come for too long. What counts is the
    /// last answer to anybody: requests that wait for others' answers are not held against it.
    fn watch(&self, timeout: Duration) {
        // Often enough, without being woken by every request.
        let period = (timeout / 8).clamp(Duration::from_millis(1), Duration::from_secs(1));
        let mut queue = lock(&self.queue);
        while queue.ended.is_none() {
            if !queue.waiting.is_empty() && queue.progress.elapsed() >= timeout {
                drop(queue);
                let seconds = timeout.as_secs_f64();
                self.end(Why::Broke(format!("gave no answer within {seconds} seconds")));
                return;
            }
            let woken = self.over.wait_timeout(queue, period);
            queue = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends the program if it has not ended, and tells all who wait why there is no answer. Only the
    /// first reason counts.
    fn end(&self, why: Why) {
        if self.ending.swap(true, Ordering::AcqRel) {
            return;
        }
        // One that is ending anyway may have a status to tell.
        let status = match why {
            Why::Broke(_) => None,
            Why::Ended | Why::Deaf => wait(&self.child, GRACE),
        };
        if status.is_none() {
            kill(&mut lock(&self.child));
            wait(&self.child, LAST_WAIT);
        }
        let message = self.describe(&why, status);
        let mut queue = lock(&self.queue);
        for waiting in queue.waiting.drain(..) {
            let _ = waiting.reply.send(Err(message.clone()));
        }
        queue.ended = Some(message);
        drop(queue);
        self.over.notify_all();
    }

    fn describe(&self, why: &Why, status: Option<ExitStatus>) -> String {
        let what = match (why, status) {
            (Why::Broke(what), _) => what.clone(),
            (_, Some(status)) => format!("ended with {status}"),
            (Why::Ended, None) => "closed its standard output".into(),
            (Why::Deaf, None) => "takes no more requests".into(),
        };
        // The threads that read standard error end with it, unless something else holds it open.
        let _ = lock(&self.last_words).recv_timeout(GRACE);
        let last = lock(&self.tail).last_lines();
        let last = last.map(|last| format!("; its standard error ends: {last}"));
        format!("{} {what}{}", self.launch.shown(), last.unwrap_or_default())
    }
}
