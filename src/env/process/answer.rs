//! What a program answers, read from one line.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::words::{quoted, said};
use crate::env::Texts;
use crate::env::protocol::{MAX_LINE, Split};

/// What a line of a program says.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// What the program plays.
    Description(Description),
    /// Where a session stands now.
    State(State),
    /// The program could not do what was asked.
    Refusal {
        /// Whose request that was, if the line tells.
        session: Option<u64>,
        /// Why, in the program's own words, without control characters and of bounded length.
        error: String,
    },
    /// A line that tells its session, but is not the state of one.
    Misfit {
        /// Whose line it is.
        session: u64,
        /// What is wrong with it.
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
    /// How many tasks there are.
    pub tasks: u64,
    /// After how many steps the program ends an episode.
    pub max_steps: u64,
    /// Which tasks are for what. A program that tells it begins tasks by their number.
    #[serde(default)]
    pub splits: Vec<Split>,
    /// The kinds of task that results are broken down by.
    #[serde(default)]
    pub kinds: Vec<String>,
}

/// The answer to `reset` or `step`. Which fields must be there depends on which of them was asked.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct State {
    /// The session.
    pub session: u64,
    /// The task's name.
    pub task: Option<String>,
    /// What is to be achieved.
    pub goal: Option<String>,
    /// The task's kind.
    pub kind: Option<String>,
    /// What is seen.
    pub observation: String,
    /// What can be done.
    pub admissible: Texts,
    /// The step's reward, a finite number.
    pub reward: Option<f32>,
    /// The task is over.
    pub terminated: Option<bool>,
    /// The episode was cut off.
    pub truncated: Option<bool>,
    /// The goal has been reached.
    pub success: Option<bool>,
    /// The action was admissible.
    pub valid: Option<bool>,
}

/// The fields that tell what a line is and whose.
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

/// Reads a line that a program wrote, its end not counted.
///
/// # Errors
/// Says what is wrong with a line that is no answer of the protocol at all, or that does not tell
/// whose it is.
pub fn read_answer(line: &[u8]) -> Result<Answer, String> {
    if line.len() > MAX_LINE {
        return Err(format!("answered by a line of more than {MAX_LINE} bytes"));
    }
    let refuse = |reason: &str| format!("answered {}, {reason}", quoted(line));
    // An array of the fields' values would pass for an object too.
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err(refuse(
            "which is no JSON object (standard output is for answers alone; all else belongs on \
             standard error)",
        ));
    }
    let wrong = |error: serde_json::Error| refuse(&format!("which is no answer: {error}"));
    let head: Head = serde_json::from_slice(line).map_err(wrong)?;
    let session = head.session;
    if head.error.is_some() {
        let refused: Refused = serde_json::from_slice(line).map_err(wrong)?;
        return Ok(Answer::Refusal { session, error: said(&refused.error) });
    }
    let Some(session) = session else {
        if head.protocol.is_some() {
            return serde_json::from_slice(line).map(Answer::Description).map_err(wrong);
        }
        return Err(refuse("which tells neither a session nor an error"));
    };
    let misfit = |message| Answer::Misfit { session, message };
    Ok(match serde_json::from_slice::<State>(line) {
        Err(error) => misfit(said(&error.to_string())),
        Ok(State { reward: Some(reward), .. }) if !reward.is_finite() => {
            misfit("its reward is no finite number".into())
        }
        Ok(state) => Answer::State(state),
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
    fn answers_are_told_apart_by_what_they_hold() {
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
        // Fields that are null are not there, and those of other answers do not matter.
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
    fn a_line_that_tells_its_session_costs_that_session_alone() {
        let rest = r#""observation":"o","admissible":["a"]"#;
        for (line, says) in [
            (r#"{"session":3,"observation":"o"}"#.to_string(), "missing field `admissible`"),
            (r#"{"session":3,"observation":"o","admissible":["a",3]}"#.into(), "expected a text"),
            (r#"{"session":3,"observation":"o","admissible":"a"}"#.into(), "a list of texts"),
            (format!(r#"{{"session":3,{rest},"reward":1e999}}"#), "out of range"),
            (format!(r#"{{"session":3,{rest},"reward":1e300}}"#), "no finite number"),
            (format!(r#"{{"session":3,{rest},"reward":true}}"#), "boolean `true`"),
            (format!(r#"{{"session":3,{rest},"terminated":1}}"#), "expected a boolean"),
        ] {
            match read(&line) {
                Answer::Misfit { session: 3, message } => {
                    assert!(message.contains(says), "{line}: {message}");
                }
                other => panic!("{line}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_answer_says_why() {
        let long = vec![b' '; MAX_LINE + 1];
        let cases: [(&[u8], &str); 10] = [
            (b"", "nothing, which is no JSON object"),
            (b"loading\x1b[2J the model", "'loading[2J the model', which is no JSON object"),
            (b"[0]", "no JSON object"),
            (b"\xff\xfe", "no JSON object"),
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
        // The longest line that is read, and one that nests too deep for a parser's stack.
        let full = [&long[..MAX_LINE - 13], b"{\"error\":\"x\"}"].concat();
        assert_eq!(
            read_answer(&full).unwrap(),
            Answer::Refusal { session: None, error: "x".into() }
        );
        let deep = format!("{{\"session\":{}", "[".repeat(1 << 19));
        read_answer(deep.as_bytes()).unwrap_err();
    }
}
