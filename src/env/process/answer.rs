//! A program's answer, read from one line.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::words::{one_line, quoted};
use crate::env::environment::Split;
use crate::env::protocol::MAX_LINE;
use crate::env::texts::Texts;

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
    pub protocol: u64,
    /// The environment's name.
    pub name: String,
    /// Number of tasks.
    pub tasks: u64,
    /// Step limit of an episode.
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
    /// The task's name.
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
    pub terminated: Option<bool>,
    /// The step limit ended the episode.
    pub truncated: Option<bool>,
    /// The goal is reached. A program without a notion of success leaves it out.
    pub success: Option<bool>,
    /// The quality of the result, from 0 to 1.
    pub score: Option<f64>,
    /// Further numbers of the episode so far.
    #[serde(default)]
    pub metrics: Option<BTreeMap<String, f64>>,
    /// The action was admissible.
    pub valid: Option<bool>,
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
    let refuse = |reason: &str| format!("answered {}, {reason}", quoted(line));
    // Serde would accept an array of the fields' values in place of an object.
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err(refuse(
            "which is not a JSON object (standard output is for answers only; write everything \
             else to standard error)",
        ));
    }
    let wrong = |error: serde_json::Error| refuse(&format!("which is not an answer: {error}"));
    let head: Head = serde_json::from_slice(line).map_err(wrong)?;
    let session = head.session;
    if head.error.is_some() {
        let refused: Refused = serde_json::from_slice(line).map_err(wrong)?;
        return Ok(Answer::Refusal { session, error: one_line(&refused.error) });
    }
    let Some(session) = session else {
        if head.protocol.is_some() {
            return serde_json::from_slice(line).map(Answer::Description).map_err(wrong);
        }
        return Err(refuse("which names neither a session nor an error"));
    };
    let malformed = |message| Answer::Malformed { session, message };
    Ok(match serde_json::from_slice::<State>(line) {
        Err(error) => malformed(one_line(&error.to_string())),
        Ok(state) => match unfit_number(&state) {
            Some(message) => malformed(message),
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

#[cfg(test)]
mod tests {
    use super::*;

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
            (r#"{"session":3,"observation":"o","admissible":["a",3]}"#.into(), "expected a text"),
            (r#"{"session":3,"observation":"o","admissible":"a"}"#.into(), "a list of texts"),
            (format!(r#"{{"session":3,{rest},"reward":1e999}}"#), "out of range"),
            (format!(r#"{{"session":3,{rest},"score":1.5}}"#), "its score is 1.5"),
            (format!(r#"{{"session":3,{rest},"metrics":{{"a b":1}}}}"#), "the metric's name 'a b'"),
            (format!(r#"{{"session":3,{rest},"metrics":{{"a":null}}}}"#), "expected f64"),
            (format!(r#"{{"session":3,{rest},"reward":true}}"#), "boolean `true`"),
            (format!(r#"{{"session":3,{rest},"terminated":1}}"#), "expected a boolean"),
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
        let cases: [(&[u8], &str); 10] = [
            (b"", "nothing, which is not a JSON object"),
            (b"loading\x1b[2J the model", "'loading[2J the model', which is not a JSON object"),
            (b"[0]", "not a JSON object"),
            (b"\xff\xfe", "not a JSON object"),
            (b"{\"session\":0", "EOF"),
            (b"{\"session\":0,\"reward\":NaN}", "expected value"),
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
