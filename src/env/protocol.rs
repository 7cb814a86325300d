//! The environment protocol: a program plays an environment over JSON lines.
//!
//! Each line asks for one thing and is answered by one line, in the order of the lines:
//!
//! ```text
//! → {"op":"describe"}                              ← {"protocol":1,"name":"alfworld","tasks":140,"max_steps":50}
//! → {"op":"reset","session":0,"task":"valid_seen/…"} ← {"session":0,"task":"…","goal":"…","observation":"…","admissible":["…"]}
//! → {"op":"reset","session":0,"seed":7}            ← the same, for the task that the seed picks
//! → {"op":"step","session":0,"action":"look"}      ← {"session":0,"observation":"…","admissible":["…"],"reward":0.0,"terminated":false,"truncated":false,"success":false}
//! → {"op":"close"}                                 (no answer: the server ends)
//! ```
//!
//! What cannot be done is answered by `{"error":"…","session":0}`, without the session where the line
//! does not tell it, and changes nothing. Fields that the protocol does not know are ignored. A
//! `reset` with both a task and a seed begins that task and leaves to the seed what the environment
//! leaves to chance. A session goes on after its end if it is stepped further, as the environment
//! itself does; a `reset` begins it anew. Lines hold at most [`MAX_LINE`] bytes, and at most
//! [`MAX_SESSIONS`] sessions are under way at a time.
//!
//! A program may tell more, and a client may do without:
//!
//! - `describe`: `"splits":[{"name":"train","tasks":100},{"name":"valid","tasks":40}]`, which tasks are
//!   for what. Tasks are then numbered from 0 through all splits in this order, and
//!   `{"op":"reset","session":0,"number":17,"seed":7}` begins task 17 and leaves to the seed what the
//!   environment leaves to chance.
//! - `describe`: `"kinds":["Pick","Look"]`, the kinds of task that results are broken down by; the
//!   answer to `reset` then tells the task's `"kind":"Pick"`.
//! - `step`: `"valid":false`, that the action was not one of the admissible ones.
//!
//! ```
//! use proxmo::env::alfworld::{GeneratorConfig, generate};
//! use proxmo::env::protocol::serve;
//!
//! let world = generate(&GeneratorConfig::default(), 7, 10)?;
//! let requests = b"{\"op\":\"describe\"}\n{\"op\":\"close\"}\n";
//! let mut answers = Vec::new();
//! serve(&world, &requests[..], &mut answers)?;
//! let about = br#"{"protocol":1,"name":"household","tasks":10,"max_steps":50,"#;
//! assert!(answers.starts_with(about));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::{Environment, Session, Texts, pick_task};

/// The version of the protocol.
pub const VERSION: u32 = 1;

/// The most bytes that a line may hold, its end not counted.
pub const MAX_LINE: usize = 1 << 20;

/// The most sessions that are under way at a time.
pub const MAX_SESSIONS: usize = 1 << 16;

/// How much is read at a time, and how many answers gather before they are sent.
const BUFFER: usize = 1 << 16;

/// The most characters of an error's text: it may quote a line.
const MAX_ERROR: usize = 400;

/// Some of the tasks, and what they are for: such as `train` or `valid`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Its name.
    pub name: String,
    /// How many tasks it has.
    pub tasks: u64,
}

/// What a line asks for.
#[derive(Debug, Deserialize)]
struct Request {
    op: Op,
    session: Option<u64>,
    task: Option<String>,
    number: Option<u64>,
    seed: Option<u64>,
    action: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Op {
    Describe,
    Reset,
    Step,
    Close,
}

/// The one field of a request that matters where the others cannot be read.
#[derive(Deserialize)]
struct Sender {
    session: u64,
}

/// What a line is answered by.
#[derive(Serialize)]
#[serde(untagged)]
enum Answer<'a> {
    Description {
        protocol: u32,
        name: &'a str,
        tasks: usize,
        max_steps: usize,
        splits: &'a [Split],
        kinds: &'a [&'static str],
    },
    Beginning {
        session: u64,
        task: &'a str,
        goal: &'a str,
        observation: &'a str,
        admissible: &'a Texts,
        kind: &'static str,
    },
    Step {
        session: u64,
        observation: &'a str,
        admissible: &'a Texts,
        reward: f32,
        terminated: bool,
        truncated: bool,
        success: bool,
        valid: bool,
    },
    Refusal {
        error: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        session: Option<u64>,
    },
}

impl Answer<'_> {
    fn refusal(mut error: Reason, session: Option<u64>) -> Self {
        if let Some((cut, _)) = error.char_indices().nth(MAX_ERROR) {
            error.truncate(cut);
            error.push('…');
        }
        Self::Refusal { error, session }
    }
}

/// Why something cannot be done.
type Reason = String;

/// Serves an environment, all of whose tasks are one split `all`, until `input` asks to close or ends.
///
/// Answers are sent whenever no whole line is waiting, so that a client may send one request at a
/// time or as many as it likes.
///
/// # Errors
/// Where `input` cannot be read or `output` cannot be written; never for what a line says.
pub fn serve(
    environment: &dyn Environment,
    input: impl Read,
    output: impl Write,
) -> io::Result<()> {
    let all = Split { name: "all".into(), tasks: environment.tasks() as u64 };
    serve_splits(environment, &[all], input, output)
}

/// [`serve`], telling which of the tasks are for what: the splits have all tasks, in their order.
///
/// # Errors
/// As [`serve`].
pub fn serve_splits(
    environment: &dyn Environment,
    splits: &[Split],
    input: impl Read,
    output: impl Write,
) -> io::Result<()> {
    let mut input = BufReader::with_capacity(BUFFER, input);
    let mut output = output;
    let mut server = Server::new(environment, splits);
    let (mut line, mut answers) = (Vec::new(), Vec::with_capacity(2 * BUFFER));
    loop {
        if answers.len() >= BUFFER || !input.buffer().contains(&b'\n') {
            send(&mut answers, &mut output)?;
        }
        line.clear();
        (&mut input).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line)?;
        let is_whole = line.last() == Some(&b'\n');
        if line.is_empty() {
            return Ok(());
        }
        if line.len() > MAX_LINE && !is_whole {
            let reason = format!("the line is longer than {MAX_LINE} bytes");
            write(&Answer::refusal(reason, None), &mut answers)?;
            send(&mut answers, &mut output)?;
            input.skip_until(b'\n')?;
            continue;
        }
        if server.answer(&line, &mut answers)?.is_break() {
            return send(&mut answers, &mut output);
        }
    }
}

/// Hands the answers on and begins anew.
fn send(answers: &mut Vec<u8>, output: &mut impl Write) -> io::Result<()> {
    output.write_all(answers)?;
    answers.clear();
    output.flush()
}

/// Appends an answer as a line.
fn write(answer: &Answer, out: &mut Vec<u8>) -> io::Result<()> {
    serde_json::to_writer(&mut *out, answer)?;
    out.push(b'\n');
    Ok(())
}

/// Reads a request; where that fails, says why, and who asked if the line tells.
fn read(line: &[u8]) -> Result<Request, (Reason, Option<u64>)> {
    // An array of the fields' values would pass for a request too.
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err(("not a request: expected a JSON object".into(), None));
    }
    serde_json::from_slice(line).map_err(|error| {
        let sender = serde_json::from_slice::<Sender>(line).ok();
        (format!("not a request: {error}"), sender.map(|sender| sender.session))
    })
}

/// The sessions of a client, and room for what they say.
struct Server<'a> {
    environment: &'a dyn Environment,
    splits: &'a [Split],
    /// The tasks by their names.
    numbers: HashMap<&'a str, usize>,
    sessions: HashMap<u64, Box<dyn Session>>,
    observation: String,
    admissible: Texts,
}

impl<'a> Server<'a> {
    fn new(environment: &'a dyn Environment, splits: &'a [Split]) -> Self {
        let tasks = 0..environment.tasks();
        Self {
            environment,
            splits,
            numbers: tasks.map(|task| (environment.task_name(task), task)).collect(),
            sessions: HashMap::new(),
            observation: String::new(),
            admissible: Texts::new(),
        }
    }

    /// Appends the answer to a line. Breaks where the line asks to close.
    fn answer(&mut self, line: &[u8], out: &mut Vec<u8>) -> io::Result<ControlFlow<()>> {
        let answer = match read(line) {
            Err((reason, session)) => Answer::refusal(reason, session),
            Ok(request) => match self.handle(&request) {
                Err(reason) => Answer::refusal(reason, request.session),
                Ok(Some(answer)) => answer,
                Ok(None) => return Ok(ControlFlow::Break(())),
            },
        };
        write(&answer, out)?;
        Ok(ControlFlow::Continue(()))
    }

    /// Does what is asked for; there is no answer to a wish to close.
    fn handle(&mut self, request: &Request) -> Result<Option<Answer<'_>>, Reason> {
        let session = || request.session.ok_or("there is no 'session', expected a number");
        match request.op {
            Op::Describe => Ok(Some(Answer::Description {
                protocol: VERSION,
                name: self.environment.name(),
                tasks: self.environment.tasks(),
                max_steps: self.environment.max_steps(),
                splits: self.splits,
                kinds: self.environment.kinds(),
            })),
            Op::Reset => self.reset(session()?, request).map(Some),
            Op::Step => self.step(session()?, request).map(Some),
            Op::Close => Ok(None),
        }
    }

    fn reset(&mut self, session: u64, request: &Request) -> Result<Answer<'_>, Reason> {
        let environment = self.environment;
        let task = self.task(request)?;
        if self.sessions.len() >= MAX_SESSIONS && !self.sessions.contains_key(&session) {
            return Err(format!("there are {MAX_SESSIONS} sessions already; reset one of them"));
        }
        let begun = environment.start(task, request.seed.unwrap_or(0));
        let begun = begun.map_err(|error| error.to_string())?;
        look(&*begun, &mut self.observation, &mut self.admissible);
        let begun = self.sessions.entry(session).insert_entry(begun).into_mut();
        Ok(Answer::Beginning {
            session,
            task: environment.task_name(task),
            goal: begun.goal(),
            observation: &self.observation,
            admissible: &self.admissible,
            kind: environment.kinds().get(environment.task_kind(task)).copied().unwrap_or_default(),
        })
    }

    /// The task that a request names, numbers, or leaves to its seed.
    fn task(&self, request: &Request) -> Result<usize, Reason> {
        let total = self.environment.tasks();
        match (&request.task, request.number, request.seed) {
            (Some(name), ..) => {
                let number = self.numbers.get(name.as_str()).copied();
                number.ok_or_else(|| format!("there is no task '{name}'"))
            }
            (None, Some(number), _) => {
                let number = usize::try_from(number).ok().filter(|&number| number < total);
                number.ok_or_else(|| format!("there are {total} tasks, numbered from 0"))
            }
            (None, None, Some(seed)) => Ok(pick_task(total, seed)),
            (None, None, None) => Err("there is no 'task', no 'number' and no 'seed'".into()),
        }
    }

    fn step(&mut self, session: u64, request: &Request) -> Result<Answer<'_>, Reason> {
        let action = request.action.as_deref().ok_or("there is no 'action', expected a text")?;
        let stepped = self.sessions.get_mut(&session);
        let stepped = stepped.ok_or("the session has not begun; reset it first")?;
        let done = stepped.step(action).map_err(|error| error.to_string())?;
        look(&**stepped, &mut self.observation, &mut self.admissible);
        Ok(Answer::Step {
            session,
            observation: &self.observation,
            admissible: &self.admissible,
            reward: done.reward,
            terminated: done.terminated,
            truncated: done.truncated,
            success: done.success,
            valid: done.valid,
        })
    }
}

/// Takes down what a session says now.
fn look(session: &dyn Session, observation: &mut String, admissible: &mut Texts) {
    observation.clear();
    admissible.clear();
    session.observe(observation);
    session.admissible(admissible);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::alfworld::{AlfWorld, GeneratorConfig, generate};
    use serde_json::{Value, json};

    fn world() -> AlfWorld {
        generate(&GeneratorConfig::default(), 7, 10).unwrap()
    }

    fn answers(requests: impl Read) -> Vec<Value> {
        let mut out = Vec::new();
        serve(&world(), requests, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What a line that cannot be answered is answered by.
    fn refusal(line: &[u8]) -> (String, Option<u64>) {
        let after = [line, b"\n{\"op\":\"describe\"}"].concat();
        let answers = answers(&after[..]);
        assert_eq!((answers.len(), &answers[1]["protocol"]), (2, &json!(1)), "it goes on");
        (answers[0]["error"].as_str().unwrap().to_string(), answers[0]["session"].as_u64())
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said_and_to_whom() {
        let cases: [(&[u8], &str, Option<u64>); 17] = [
            (b"", "expected a JSON object", None),
            (b"hello", "expected a JSON object", None),
            (b"[\"step\", 0, null, null, \"look\"]", "expected a JSON object", None),
            (b"{\"op\":\"step\"", "EOF", None),
            (b"{\"op\":\"step\",\"session\":0,\"action\":\"\xff\"}", "unicode", Some(0)),
            (b"{\"session\":4}", "missing field `op`", Some(4)),
            (b"{\"op\":\"dance\",\"session\":4}", "unknown variant `dance`", Some(4)),
            (b"{\"op\":\"step\",\"session\":4,\"action\":7}", "expected a string", Some(4)),
            (b"{\"op\":\"step\",\"session\":-4,\"action\":\"look\"}", "expected u64", None),
            (b"{\"op\":\"step\",\"action\":\"look\"}", "no 'session'", None),
            (b"{\"op\":\"step\",\"session\":4,\"action\":\"look\"}", "not begun", Some(4)),
            (b"{\"op\":\"step\",\"session\":4}", "no 'action'", Some(4)),
            (b"{\"op\":\"reset\",\"session\":4}", "no 'task', no 'number'", Some(4)),
            (b"{\"op\":\"reset\",\"session\":4,\"task\":\"x\"}", "no task 'x'", Some(4)),
            (b"{\"op\":\"reset\",\"session\":4,\"number\":10}", "there are 10 tasks", Some(4)),
            (b"{\"op\":\"reset\",\"session\":4,\"number\":\"1\"}", "expected u64", Some(4)),
            (b"{\"op\":\"reset\",\"session\":4,\"seed\":0.5}", "expected u64", Some(4)),
        ];
        for (line, says, whom) in cases {
            let (error, session) = refusal(line);
            assert!(error.contains(says), "{error} does not say {says}");
            assert_eq!(session, whom, "{error}");
        }
    }

    #[test]
    fn lines_without_an_end_are_cut_off() {
        let (error, _) = refusal(&vec![b'x'; MAX_LINE]);
        assert!(error.contains("JSON object"), "a line of the full length is read: {error}");
        let (error, _) = refusal(&vec![b'x'; MAX_LINE + 1]);
        assert!(error.contains("longer than 1048576 bytes"), "{error}");
        // Far more than memory holds, and never a line's end.
        let endless = io::repeat(b'{').take(1 << 28);
        assert_eq!(answers(endless).len(), 1);
        let quoted = format!("{{\"op\":\"{}\"}}", "é".repeat(1000));
        assert_eq!(refusal(quoted.as_bytes()).0.chars().count(), MAX_ERROR + 1);
    }

    #[test]
    fn sessions_are_limited_and_can_be_begun_anew() {
        let resets = |ids: std::ops::Range<usize>| -> String {
            let line = |id| format!("{{\"op\":\"reset\",\"session\":{id},\"seed\":1}}\n");
            ids.map(line).collect()
        };
        let requests = resets(0..MAX_SESSIONS + 1) + &resets(0..1);
        let answers = answers(requests.as_bytes());
        let error = answers[MAX_SESSIONS]["error"].as_str().unwrap();
        assert!(error.contains("65536 sessions already"), "{error}");
        assert!(answers[MAX_SESSIONS + 1]["goal"].is_string());
        assert!(answers[..MAX_SESSIONS].iter().all(|answer| answer["goal"].is_string()));
    }

    /// A client that sends its next request when it has the answers to those before.
    struct InTurn<'a> {
        requests: &'a [&'a [u8]],
        answers: &'a std::cell::RefCell<Vec<u8>>,
        answered: usize,
    }

    impl Read for InTurn<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some((request, rest)) = self.requests.split_first() else { return Ok(0) };
            let lines = self.answers.borrow().iter().filter(|&&byte| byte == b'\n').count();
            assert_eq!(lines, self.answered, "an answer is held back");
            self.answered += request.iter().filter(|&&byte| byte == b'\n').count();
            self.requests = rest;
            buffer[..request.len()].copy_from_slice(request);
            Ok(request.len())
        }
    }

    struct Shared<'a>(&'a std::cell::RefCell<Vec<u8>>);

    impl Write for Shared<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn answers_are_sent_before_more_is_waited_for() {
        let said = std::cell::RefCell::new(Vec::new());
        let describe = b"{\"op\":\"describe\"}\n";
        let two_and_a_half = [&describe[..], describe, &describe[..7]].concat();
        let requests =
            [&describe[..], &two_and_a_half, &describe[7..], b"{\"op\":\"close\"}\n", b"never"];
        let client = InTurn { requests: &requests, answers: &said, answered: 0 };
        serve(&world(), client, Shared(&said)).unwrap();
        let answers = said.borrow().iter().filter(|&&byte| byte == b'\n').count();
        assert_eq!(answers, 4);
    }
}
