//! The environment protocol: a program plays an environment through JSON lines.
//!
//! Each line is a request and is answered with one line, in the same order:
//!
//! ```text
//! → {"op":"describe"}                              ← {"protocol":1,"name":"alfworld","tasks":140,"max_steps":50}
//! → {"op":"reset","session":0,"task":"valid_seen/…"} ← {"session":0,"task":"…","goal":"…","observation":"…","admissible":["…"]}
//! → {"op":"reset","session":0,"seed":7}            ← the same, for the task that the seed picks
//! → {"op":"step","session":0,"action":"look"}      ← {"session":0,"observation":"…","admissible":["…"],"reward":0.0,"terminated":false,"truncated":false,"success":false}
//! → {"op":"close"}                                 (no answer: the server ends)
//! ```
//!
//! A request that cannot be done is answered with `{"error":"…","session":0}`, without the session if
//! the line does not name it, and changes nothing. Unknown fields are ignored. A `reset` with both a
//! task and a seed starts that task; the seed decides everything that the environment leaves to
//! chance. A session that is stepped after its end goes on as the environment does; a `reset` starts
//! it again. A line has at most [`MAX_LINE`] bytes, and at most [`MAX_SESSIONS`] sessions run at a
//! time.
//!
//! A program may answer with more fields, which a client may ignore:
//!
//! - `describe`: `"splits":[{"name":"train","tasks":100},{"name":"valid","tasks":40}]`, the splits of
//!   the tasks. Tasks are then numbered from 0 through all splits in this order, and
//!   `{"op":"reset","session":0,"number":17,"seed":7}` starts task 17.
//! - `describe`: `"kinds":["Pick","Look"]`, the kinds of task. Results are reported by kind. The answer
//!   to `reset` then has the task's `"kind":"Pick"`.
//! - `step`: `"valid":false`: the action was not admissible.
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
use serde_json::{Map, Value};

use super::environment::{Environment, Session, Split, pick_task};
use super::texts::Texts;

/// Version of the protocol.
pub const VERSION: u32 = 1;

/// Maximum number of bytes of a line, without its line break.
pub const MAX_LINE: usize = 1 << 20;

/// Maximum number of sessions at a time.
pub const MAX_SESSIONS: usize = 1 << 16;

/// Number of bytes that are read at a time, and of answers that are collected before they are sent.
const BUFFER: usize = 1 << 16;

/// Maximum number of characters of an error's text, which may quote a line.
const MAX_ERROR: usize = 400;

/// A request.
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

/// The session of a request whose other fields cannot be read.
#[derive(Deserialize)]
struct SessionOnly {
    session: u64,
}

/// An answer.
#[derive(Serialize)]
#[serde(untagged)]
enum Answer<'a> {
    Description {
        protocol: u32,
        name: &'a str,
        tasks: usize,
        max_steps: usize,
        splits: &'a [Split],
        kinds: &'a [String],
    },
    Beginning {
        session: u64,
        task: &'a str,
        goal: &'a str,
        observation: &'a str,
        admissible: &'a Texts,
        kind: &'a str,
        #[serde(flatten)]
        details: Map<String, Value>,
    },
    Step {
        session: u64,
        observation: &'a str,
        admissible: &'a Texts,
        reward: f64,
        terminated: bool,
        truncated: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        success: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        score: Option<f64>,
        #[serde(skip_serializing_if = "Map::is_empty")]
        metrics: Map<String, Value>,
        valid: bool,
        #[serde(flatten)]
        details: Map<String, Value>,
    },
    Refusal {
        error: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        session: Option<u64>,
    },
}

/// What a session tells beyond the common fields.
fn details(session: &dyn Session) -> Map<String, Value> {
    let mut details = Map::new();
    session.add_details(&mut details);
    details
}

/// The further numbers of a session.
fn metrics(session: &dyn Session) -> Map<String, Value> {
    let mut metrics = Map::new();
    session.metrics(&mut |name, number| {
        metrics.insert(name.to_string(), number.into());
    });
    metrics
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

/// The reason why a request cannot be done.
type Reason = String;

/// Serves an environment until `input` ends or requests to close.
///
/// Answers are sent whenever no complete line is waiting, so a client may send one request at a time
/// or many.
///
/// # Errors
/// Returns an error if `input` cannot be read or `output` cannot be written, and never for the content
/// of a line.
pub fn serve(
    environment: &dyn Environment,
    input: impl Read,
    mut output: impl Write,
) -> io::Result<()> {
    let mut input = BufReader::with_capacity(BUFFER, input);
    let mut server = Server::new(environment);
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

/// Sends the answers and clears the buffer.
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

/// Reads a request. A failure comes with its reason, and with the session if the line names it.
fn read(line: &[u8]) -> Result<Request, (Reason, Option<u64>)> {
    // Serde would accept an array of the fields' values in place of an object.
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err(("not a request: expected a JSON object".into(), None));
    }
    serde_json::from_slice(line).map_err(|error| {
        let known = serde_json::from_slice::<SessionOnly>(line).ok();
        (format!("not a request: {error}"), known.map(|known| known.session))
    })
}

/// The sessions of a client, and buffers for their texts.
struct Server<'a> {
    environment: &'a dyn Environment,
    splits: Vec<Split>,
    kinds: Vec<String>,
    /// Task numbers by name.
    numbers: HashMap<&'a str, usize>,
    sessions: HashMap<u64, Box<dyn Session>>,
    observation: String,
    admissible: Texts,
}

impl<'a> Server<'a> {
    fn new(environment: &'a dyn Environment) -> Self {
        let tasks = 0..environment.tasks();
        Self {
            environment,
            splits: environment.splits(),
            kinds: environment.kinds(),
            numbers: tasks.map(|task| (environment.task_name(task), task)).collect(),
            sessions: HashMap::new(),
            observation: String::new(),
            admissible: Texts::new(),
        }
    }

    /// Appends the answer to a line. Breaks if the line requests to close.
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

    /// Handles a request. `close` has no answer.
    fn handle(&mut self, request: &Request) -> Result<Option<Answer<'_>>, Reason> {
        let session = || request.session.ok_or("there is no 'session', expected a number");
        match request.op {
            Op::Describe => Ok(Some(Answer::Description {
                protocol: VERSION,
                name: self.environment.name(),
                tasks: self.environment.tasks(),
                max_steps: self.environment.max_steps(),
                splits: &self.splits,
                kinds: &self.kinds,
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
            kind: self.kinds.get(environment.task_kind(task)).map_or("", String::as_str),
            details: details(&**begun),
        })
    }

    /// The task of a request: by its name, by its number, or picked by its seed.
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
        let details = details(&**stepped);
        Ok(Answer::Step {
            session,
            observation: &self.observation,
            admissible: &self.admissible,
            reward: done.reward,
            terminated: done.terminated,
            truncated: done.truncated,
            success: done.success,
            score: done.score,
            metrics: metrics(&**stepped),
            valid: done.valid,
            details,
        })
    }
}

/// Reads the current texts of a session.
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
    use serde_json::json;

    fn world() -> AlfWorld {
        generate(&GeneratorConfig::default(), 7, 10).unwrap()
    }

    fn answers(requests: impl Read) -> Vec<Value> {
        let mut out = Vec::new();
        serve(&world(), requests, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The error and the session in the answer to a wrong line.
    fn refusal(line: &[u8]) -> (String, Option<u64>) {
        let after = [line, b"\n{\"op\":\"describe\"}"].concat();
        let answers = answers(&after[..]);
        assert_eq!(
            (answers.len(), &answers[1]["protocol"]),
            (2, &json!(1)),
            "the server continues"
        );
        (answers[0]["error"].as_str().unwrap().to_string(), answers[0]["session"].as_u64())
    }

    #[test]
    fn a_wrong_line_is_answered_with_the_reason_and_its_session() {
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
        for (line, says, expected) in cases {
            let (error, session) = refusal(line);
            assert!(error.contains(says), "{error} does not say {says}");
            assert_eq!(session, expected, "{error}");
        }
    }

    #[test]
    fn lines_that_are_too_long_are_refused() {
        let (error, _) = refusal(&vec![b'x'; MAX_LINE]);
        assert!(error.contains("JSON object"), "a line of the maximum length is read: {error}");
        let (error, _) = refusal(&vec![b'x'; MAX_LINE + 1]);
        assert!(error.contains("longer than 1048576 bytes"), "{error}");
        // No line break in 256 MiB.
        let endless = io::repeat(b'{').take(1 << 28);
        assert_eq!(answers(endless).len(), 1);
        let quoted = format!("{{\"op\":\"{}\"}}", "é".repeat(1000));
        assert_eq!(refusal(quoted.as_bytes()).0.chars().count(), MAX_ERROR + 1);
    }

    #[test]
    fn the_number_of_sessions_is_limited_and_sessions_can_be_restarted() {
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

    /// A client that sends a request after it has the answers to the requests before.
    struct InTurn<'a> {
        requests: &'a [&'a [u8]],
        answers: &'a std::cell::RefCell<Vec<u8>>,
        answered: usize,
    }

    impl Read for InTurn<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some((request, rest)) = self.requests.split_first() else { return Ok(0) };
            let lines = self.answers.borrow().iter().filter(|&&byte| byte == b'\n').count();
            assert_eq!(lines, self.answered, "an answer is withheld");
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
    fn answers_are_sent_before_the_server_waits_for_input() {
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
