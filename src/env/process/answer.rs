//! A program's answer, read from one line.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::mismatch::{FIELDS, first_mismatch, nulls};
use super::words::{one_line, quoted};
use crate::env::environment::Split;
use crate::env::protocol::MAX_LINE;
use crate::env::texts::Texts;
use crate::json_scan::{utf8, without_mark, without_non_finite};

/// A line of a program.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The description of the program.
    Description(Description),
    /// The state of a session.
    State(State),
    /// The program refused a request.
    Refusal {
        /// The session of the request, if the line names it.
        session: Option<u64>,
        /// The reason in the program's words, without control characters and of bounded length.
        error: String,
    },
    /// A line that names its session, but is not the state of one.
    Malformed {
        /// The session.
        session: u64,
        /// The mistake.
        message: String,
    },
}

/// The answer to `describe`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Description {
    /// The version of the protocol.
    #[serde(deserialize_with = "count")]
    pub protocol: u64,
    /// The environment's name.
    pub name: String,
    /// Number of tasks.
    #[serde(deserialize_with = "count")]
    pub tasks: u64,
    /// Step limit of an episode.
    #[serde(deserialize_with = "count")]
    pub max_steps: u64,
    /// The splits of the tasks. A program that has splits starts tasks by their number.
    #[serde(default)]
    pub splits: Vec<Split>,
    /// Kinds of task. Results are reported by kind.
    #[serde(default)]
    pub kinds: Vec<String>,
}

/// The answer to `reset` or `step`. The request decides which fields are required.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct State {
    /// The session.
    pub session: u64,
    /// The task's name. A whole number stands for its digits.
    #[serde(default, deserialize_with = "name")]
    pub task: Option<String>,
    /// The goal, in words.
    pub goal: Option<String>,
    /// The task's kind.
    pub kind: Option<String>,
    /// The observation.
    pub observation: String,
    /// The admissible actions.
    pub admissible: Texts,
    /// The reward of the step, a finite number.
    pub reward: Option<f64>,
    /// The task is over.
    #[serde(default, deserialize_with = "flag")]
    pub terminated: Option<bool>,
    /// The step limit ended the episode.
    #[serde(default, deserialize_with = "flag")]
    pub truncated: Option<bool>,
    /// The goal is reached. A program without a notion of success leaves it out.
    #[serde(default, deserialize_with = "flag")]
    pub success: Option<bool>,
    /// The quality of the result, from 0 to 1.
    pub score: Option<f64>,
    /// Further numbers of the episode so far.
    #[serde(default)]
    pub metrics: Option<BTreeMap<String, f64>>,
    /// The action was admissible.
    #[serde(default, deserialize_with = "flag")]
    pub valid: Option<bool>,
    /// The fields above that are null where some request needs a value.
    #[serde(skip)]
    pub nulls: Vec<&'static str>,
}

/// The fields that a request may need.
const NEEDED: [&str; 5] = ["task", "goal", "reward", "terminated", "truncated"];

/// A count: a whole number, which some programs write with a fraction of 0.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a whole number")]
    enum Count {
        Whole(u64),
        Decimal(f64),
    }
    match Count::deserialize(deserializer)? {
        Count::Whole(count) => Ok(count),
        // 2⁵³: larger numbers have no fraction.
        Count::Decimal(count) if count.fract() == 0.0 && (0.0..9.0e15).contains(&count) => {
            Ok(count as u64)
        }
        Count::Decimal(_) => Err(serde::de::Error::custom("expected a whole number")),
    }
}

/// A name, or a whole number as its digits.
fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a text")]
    enum Name {
        Text(String),
        Number(i64),
    }
    Ok(Option::<Name>::deserialize(deserializer)?.map(|name| match name {
        Name::Text(text) => text,
        Name::Number(number) => number.to_string(),
    }))
}

/// A truth value, or 1 or 0.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a boolean")]
    enum Flag {
        Bool(bool),
        Number(u8),
    }
    match Option::<Flag>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Flag::Bool(flag)) => Ok(Some(flag)),
        Some(Flag::Number(number @ 0..=1)) => Ok(Some(number == 1)),
        Some(Flag::Number(_)) => Err(serde::de::Error::custom("expected a boolean")),
    }
}

/// The fields that decide the type of a line and its session.
#[derive(Deserialize)]
struct Head {
    session: Option<u64>,
    protocol: Option<IgnoredAny>,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
}

/// Reads a line of a program, without its line break.
///
/// # Errors
/// Returns the reason if the line is not an answer of the protocol, or does not name its session.
pub fn read_answer(line: &[u8]) -> Result<Answer, String> {
    if line.len() > MAX_LINE {
        return Err(format!("answered with a line of more than {MAX_LINE} bytes"));
    }
    let line = without_mark(line);
    let refuse = |reason: &str| format!("answered {}, {reason}", quoted(line));
    let lossy;
    let (text, encoding) = match utf8(line) {
        Ok(text) => (text, None),
        Err(found) => {
            lossy = String::from_utf8_lossy(line);
            (&*lossy, Some(found))
        }
    };
    let not_utf8 = |found: &str| format!("is not UTF-8: found {found}");
    // Serde would accept an array of the fields' values in place of an object.
    if !text.trim_start().starts_with('{') {
        return Err(match &encoding {
            Some(found) => refuse(&format!("which {}", not_utf8(found))),
            None => refuse(
                "which is not a JSON object (standard output is for answers only; write \
                 everything else to standard error)",
            ),
        });
    }
    match read_object(text, encoding.as_deref().map(not_utf8)) {
        Ok(answer) => Ok(answer),
        // Names of fields are the program's.
        Err(reason) => Err(refuse(&one_line(&reason))),
    }
}

/// Reads the JSON object of a line. `fault` is a fault of the line that is known already.
fn read_object(text: &str, fault: Option<String>) -> Result<Answer, String> {
    let cleaned;
    let mut fault = fault;
    let mut text = text;
    let mut head = serde_json::from_str::<Head>(text);
    if head.is_err() {
        let (without, numbers) = without_non_finite(text);
        if let Some(first) = numbers.iter().find(|number| is_read(&number.path)) {
            let message = format!("'{}' is {}, expected a finite number", first.path, first.value);
            fault.get_or_insert(message);
        }
        cleaned = without;
        text = &cleaned;
        head = serde_json::from_str(text);
    }
    let wrong = |error: serde_json::Error| match (&fault, error.is_eof()) {
        (Some(fault), _) => format!("which {fault}"),
        (None, true) => {
            "which is an object that does not end (each answer is one line: in Python, \
                         json.dumps without indent)"
                .to_string()
        }
        (None, false) => {
            let mismatch = first_mismatch(text);
            format!("which is not an answer: {}", mismatch.unwrap_or_else(|| error.to_string()))
        }
    };
    let head: Head = head.map_err(&wrong)?;
    let session = head.session;
    if head.error.is_some() {
        let refused: Refused = serde_json::from_str(text).map_err(wrong)?;
        return Ok(Answer::Refusal { session, error: one_line(&refused.error) });
    }
    let Some(session) = session else {
        return match (head.protocol, &fault) {
            (_, Some(fault)) => Err(format!("which {fault}")),
            (Some(_), None) => serde_json::from_str(text).map(Answer::Description).map_err(wrong),
            (None, None) => Err("which names neither a session nor an error".into()),
        };
    };
    let malformed = |message| Answer::Malformed { session, message };
    if let Some(fault) = fault {
        return Ok(malformed(one_line(&fault)));
    }
    Ok(match serde_json::from_str::<State>(text) {
        Err(error) => {
            malformed(one_line(&first_mismatch(text).unwrap_or_else(|| error.to_string())))
        }
        Ok(state) => match unfit_number(&state) {
            Some(message) => malformed(message),
            None if text.contains("null") => {
                Answer::State(State { nulls: nulls(text, &NEEDED), ..state })
            }
            None => Answer::State(state),
        },
    })
}

/// Maximum number of further numbers of a session.
const MAX_METRICS: usize = 32;

/// Maximum length of such a number's name, in characters.
const MAX_METRIC_NAME: usize = 64;

/// The mistake in a state's numbers.
fn unfit_number(state: &State) -> Option<String> {
    if let Some(score) = state.score.filter(|score| !(0.0..=1.0).contains(score)) {
        return Some(format!("its score is {score}, expected a number from 0 to 1"));
    }
    let metrics = state.metrics.as_ref()?;
    if metrics.len() > MAX_METRICS {
        return Some(format!("it has {} metrics, expected at most {MAX_METRICS}", metrics.len()));
    }
    let unfit = |name: &String| {
        name.is_empty()
            || name.chars().count() > MAX_METRIC_NAME
            || !name.chars().all(|letter| letter.is_alphanumeric() || "_-./".contains(letter))
    };
    metrics.keys().find(|name| unfit(name)).map(|name| {
        format!(
            "the metric's name '{}' is not made of at most {MAX_METRIC_NAME} letters, digits, '_', \
             '-', '.' and '/'",
            one_line(name)
        )
    })
}

/// Whether a field at this path is read. Others are ignored, whatever they hold.
fn is_read(path: &str) -> bool {
    let field = path.split(['.', '[']).next().unwrap_or_default();
    FIELDS.iter().any(|(name, _)| *name == field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_no_control_characters_of_a_fields_name() {
        let line = "{\"protocol\":{\"a\rb\":NaN}}";
        let message = read_answer(line.as_bytes()).unwrap_err();
        assert!(
            message.ends_with("which 'protocol.a b' is NaN, expected a finite number"),
            "{message}"
        );
    }

    fn read(line: &str) -> Answer {
        read_answer(line.as_bytes()).unwrap()
    }

    fn state(line: &str) -> State {
        match read(line) {
            Answer::State(state) => state,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_fields_of_a_line_decide_its_type() {
        let line = r#"{"protocol":1,"name":"a","tasks":3,"max_steps":4,"more":[{}]}"#;
        let Answer::Description(plain) = read(line) else { panic!("{line}") };
        assert_eq!((plain.protocol, plain.tasks, plain.max_steps), (1, 3, 4));
        assert!(plain.splits.is_empty() && plain.kinds.is_empty());
        let line = r#"{"protocol":1,"name":"a","tasks":3,"max_steps":4,"kinds":["x"],
            "splits":[{"name":"train","tasks":2},{"name":"valid","tasks":1}]}"#;
        let Answer::Description(full) = read(line) else { panic!("{line}") };
        assert_eq!((full.splits[1].name.as_str(), full.splits[1].tasks), ("valid", 1));
        assert_eq!(full.kinds, ["x"]);
        assert_eq!(
            read("{\"error\":\"no\\u001b[2J such\\ntask\",\"session\":7}"),
            Answer::Refusal { session: Some(7), error: "no[2J such task".into() }
        );
        // Fields that are null count as absent, and fields of other answers are ignored.
        let begun = state(
            r#"{"session":2,"task":"t","goal":"g","observation":"o","admissible":["a","b\n"],
                "error":null,"reward":null,"name":5,"protocol":1}"#,
        );
        assert_eq!((begun.session, begun.reward, begun.admissible.len()), (2, None, 2));
        assert_eq!(begun.admissible.get(1), Some("b\n"));
        let stepped = state(
            r#"{"session":2,"observation":"","admissible":[],"reward":1,"terminated":true,
                "truncated":false,"success":true,"valid":false}"#,
        );
        assert_eq!((stepped.reward, stepped.terminated), (Some(1.0), Some(true)));
        assert_eq!((stepped.success, stepped.valid), (Some(true), Some(false)));
    }

    #[test]
    fn a_malformed_line_that_names_its_session_fails_only_that_session() {
        let rest = r#""observation":"o","admissible":["a"]"#;
        for (line, says) in [
            (r#"{"session":3,"observation":"o"}"#.to_string(), "missing field `admissible`"),
            (
                r#"{"session":3,"observation":"o","admissible":["a",3]}"#.into(),
                "'admissible[1]' is 3, expected a text",
            ),
            (
                r#"{"session":3,"observation":"o","admissible":"a"}"#.into(),
                "expected a list of texts",
            ),
            (format!(r#"{{"session":3,{rest},"reward":1e999}}"#), "'reward' is 1e999"),
            (format!(r#"{{"session":3,{rest},"score":1.5}}"#), "its score is 1.5"),
            (format!(r#"{{"session":3,{rest},"metrics":{{"a b":1}}}}"#), "the metric's name 'a b'"),
            (
                format!(r#"{{"session":3,{rest},"metrics":{{"a":null}}}}"#),
                "expected an object of numbers",
            ),
            (
                format!(r#"{{"session":3,{rest},"reward":true}}"#),
                "'reward' is true, expected a number",
            ),
            (
                format!(r#"{{"session":3,{rest},"terminated":2}}"#),
                "'terminated' is 2, expected true or false",
            ),
        ] {
            match read(&line) {
                Answer::Malformed { session: 3, message } => {
                    assert!(message.contains(says), "{line}: {message}");
                }
                other => panic!("{line}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_line_that_is_no_answer_is_refused_with_a_reason() {
        let long = vec![b' '; MAX_LINE + 1];
        let cases: [(&[u8], &str); 12] = [
            (b"", "nothing, which is not a JSON object"),
            (b"loading\x1b[2J the model", "'loading[2J the model', which is not a JSON object"),
            (b"[0]", "not a JSON object"),
            (b"\xff\xfe", "UTF-16 (byte-order mark FF FE)"),
            (b"{\"session\":0", "an object that does not end"),
            (b"{\0\"\0", "UTF-16 (zero bytes)"),
            (b"{\"protocol\":1,\"name\":\"caf\xe9\"}", "invalid byte (0xe9) at column 26"),
            (
                b"{\"protocol\":1,\"name\":\"a\",\"tasks\":null}",
                "'tasks' is null, expected a number",
            ),
            (b"{\"session\":-1,\"observation\":\"o\"}", "expected u64"),
            (b"{\"observation\":\"o\"}", "neither a session nor an error"),
            (b"{\"protocol\":1,\"name\":\"a\"}", "missing field `tasks`"),
            (&long, "more than 1048576 bytes"),
        ];
        for (line, says) in cases {
            let error = read_answer(line).unwrap_err();
            assert!(error.contains(says), "{error} does not say {says}");
            assert!(error.chars().count() < 500 && !error.contains(char::is_control), "{error}");
        }
        // The longest line that is accepted, and one that is nested too deeply for a recursive parser.
        let full = [&long[..MAX_LINE - 13], b"{\"error\":\"x\"}"].concat();
        assert_eq!(
            read_answer(&full).unwrap(),
            Answer::Refusal { session: None, error: "x".into() }
        );
        let deep = format!("{{\"session\":{}", "[".repeat(1 << 19));
        read_answer(deep.as_bytes()).unwrap_err();
    }
}
