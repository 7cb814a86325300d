//! Invalid settings, episode files and protocol lines: the error is one line that names the place, and
//! nothing panics, hangs or exhausts memory. The tests of invalid games are in `untrusted_games`.

use crate::support::untrusted::alter::{altered, changes};
use proptest::prelude::*;
use proxmo::Error;
use proxmo::credit::{CreditConfig, Embedding, Estimator, assign};
use proxmo::env::alfworld::{GeneratorConfig, generate};
use proxmo::env::process::{Answer, read_answer};
use proxmo::env::protocol::serve;
use proxmo::episodes::{RecordBatch, read_episodes, write_episodes};
use proxmo::train::Config;
use serde_json::Value;

/// Checks an error: one line of bounded length that begins with one of `places`.
fn expect_readable(error: &Error, places: &[&str]) {
    let text = error.to_string();
    assert!(text.chars().count() < 5_000 && !text.contains(char::is_control), "{text:?}");
    assert!(
        places.iter().any(|place| text.starts_with(place)),
        "{text} does not begin with one of {places:?}"
    );
    assert_eq!(error.exit_code(), 2, "{text}");
}

const JSON_PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "null",
    "true",
    "1e400",
    "-0",
    "1e-320",
    "0.1",
    "18446744073709551616",
    "\"steps\":[",
    "\"reward\":",
    "\"embedding\":[1,2],",
    "\"valid\":false,",
    "\\u0000",
    "\\ud800",
    "\n",
    "\u{1b}",
    "\"advantages\":[1],",
    "\"op\":\"step\",",
    "\"op\":\"reset\",",
    "\"session\":1,",
    "\"op\":\"close\"",
];

const EPISODES: &str = r#"{"group":"g","trajectory":"a","success":true,"steps":[{"observation":"a room","action":"go","reward":0,"embedding":[1,0.5]},{"observation":"a lamp","action":"press","reward":1.5,"embedding":[0,1],"note":[1]}],"final_observation":"light"}
{"group":"g","trajectory":"b","success":false,"steps":[{"observation":"a room","action":"wait","reward":-1,"valid":false,"embedding":[1,0.25]}],"final_observation":"dark","x":{"y":null}}

{"group":"h","trajectory":"a","success":false,"steps":[]}
"#;

const REQUESTS: &str = r#"{"op":"describe"}
{"op":"reset","session":0,"seed":7}
{"op":"step","session":0,"action":"look"}
{"op":"reset","session":1,"task":"none"}
{"op":"step","session":9,"action":"x"}
{"op":"close"}
{"op":"describe"}
"#;

const ANSWERS: &str = r#"{"protocol":1,"name":"balls","tasks":3,"max_steps":8,"splits":[{"name":"train","tasks":2},{"name":"valid","tasks":1}]}
{"session":0,"task":"t","goal":"find it","observation":"a room","admissible":["look","go"]}
{"session":0,"observation":"dark","admissible":[],"reward":0.5,"terminated":false,"truncated":true,"success":false}
{"error":"no such task","session":7}
"#;

/// The relevant field of a request. Other fields can contain anything, such as numbers out of range.
#[derive(serde::Deserialize)]
struct Request {
    op: String,
}

const TOML_PIECES: &[&str] = &[
    "[",
    "]",
    "=",
    "\"",
    "\n",
    "{",
    "}",
    "nan",
    "inf",
    "-1",
    "1e308",
    "9223372036854775807",
    "true",
    "'",
    "[[run]]",
    "\"auto\"",
    "\"off\"",
    "{ steepness = 2.0, range = 0.1 }",
    "\"gigpo\"",
    "seed",
    ".",
    "0x",
    "1979-05-27",
];

/// A text that repeats `piece` 100,000 times.
fn deep(piece: &str) -> String {
    piece.repeat(100_000)
}

#[test]
fn deeply_nested_settings_are_rejected() {
    for text in [
        format!("x = {}", deep("[")),
        format!("x = {}", deep("{a=")),
        format!("{}a = 1", deep("a.")),
        format!("[{}a]", deep("a.")),
        format!("[[{}a]]", deep("a.")),
        format!("[run]\n{}seed = 1", deep("seed.")),
        format!("credit.modulation = {{ {}a = 1 }}", deep("a.")),
        deep("[["),
    ] {
        let error = Config::from_toml(&text, "config.toml").unwrap_err();
        expect_readable(&error, &["config.toml"]);
    }
}

#[test]
fn lines_that_are_nested_deeply_are_rejected_or_kept_unread() {
    let steps = r#"{"group":"g","trajectory":"t","success":true,"steps":"#;
    for text in [
        deep("["),
        deep(r#"{"a":"#),
        format!("{steps}{}", deep("[")),
        format!(r#"{steps}[],"x":{}{}}}"#, deep("["), deep("]")),
        format!(r#"{steps}[],"x":{}0{}}}"#, deep(r#"{"a":"#), deep("}")),
    ] {
        match read_episodes(&mut text.as_bytes(), "episodes.jsonl") {
            Err(error) => expect_readable(&error, &["episodes.jsonl:1: "]),
            Ok(episodes) => {
                // Fields that are not known are passed through without parsing.
                let mut written = Vec::new();
                write_episodes(&mut written, &episodes).unwrap();
                assert!(written.trim_ascii_end() == text.as_bytes());
            }
        }
        assert!(read_answer(text.as_bytes()).is_err());
        let world = generate(&GeneratorConfig::default(), 7, 1).unwrap();
        let mut answers = Vec::new();
        serve(&world, text.as_bytes(), &mut answers).unwrap();
        assert!(answers.starts_with(b"{\"error\":"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn episode_files_are_rejected_or_credited(
        changes in changes(JSON_PIECES, 0..24, 0..5), estimator in 0..Estimator::ALL.len(), embedding in 0usize..3,
    ) {
        let text = altered(EPISODES, &changes);
        match read_episodes(&mut text.as_bytes(), "episodes.jsonl") {
            Err(error) => expect_readable(&error, &["episodes.jsonl:"]),
            Ok(episodes) => {
                let mut written = Vec::new();
                write_episodes(&mut written, &episodes).unwrap();
                let again = read_episodes(&mut &*written, "written.jsonl").unwrap();
                assert_eq!(again.len(), episodes.len());
                let embedding = [Embedding::Tfidf, Embedding::Hashed, Embedding::Given][embedding];
                let config = CreditConfig { embedding, ..CreditConfig::of(Estimator::ALL[estimator]) };
                let place = |record: usize| format!("episodes.jsonl:{record}");
                let credited = RecordBatch::new(&episodes, config.required_fields(), &place)
                    .and_then(|rows| assign(&rows.batch, &config));
                match credited {
                    Err(error) => expect_readable(&error, &["episodes.jsonl:", "setting "]),
                    Ok(credit) => {
                        let steps: usize = episodes.iter().map(|episode| episode.steps.len()).sum();
                        assert_eq!(credit.advantages.len(), steps);
                        assert!(credit.advantages.iter().all(|value| value.is_finite()));
                    }
                }
            }
        }
    }

    #[test]
    fn settings_are_rejected_or_written_back_unchanged(changes in changes(TOML_PIECES, 0..24, 0..5)) {
        let text = altered(&Config::default().to_toml().unwrap(), &changes);
        match Config::from_toml(&text, "config.toml") {
            Err(error) => expect_readable(&error, &["config.toml"]),
            Ok(config) => match config.validate() {
                Err(error) => expect_readable(&error, &["setting "]),
                Ok(()) => {
                    let again = Config::from_toml(&config.to_toml().unwrap(), "again.toml").unwrap();
                    assert_eq!(again, config);
                }
            }
        }
    }

    #[test]
    fn answers_of_programs_are_accepted_or_rejected(changes in changes(JSON_PIECES, 0..24, 0..5)) {
        for line in altered(ANSWERS, &changes).lines() {
            let message = match read_answer(line.as_bytes()) {
                Err(message) => message,
                Ok(Answer::Refusal { error, .. }) => error,
                Ok(Answer::Malformed { message, .. }) => message,
                Ok(Answer::State(state)) => {
                    assert!(state.reward.is_none_or(f64::is_finite));
                    continue;
                }
                Ok(Answer::Description(_)) => continue,
            };
            assert!(message.chars().count() < 1_000 && !message.contains(char::is_control), "{message:?}");
        }
    }

    #[test]
    fn every_request_gets_one_answer_until_a_request_to_close(changes in changes(JSON_PIECES, 0..24, 0..5)) {
        let requests = altered(REQUESTS, &changes);
        let world = generate(&GeneratorConfig::default(), 7, 2).unwrap();
        let mut answers = Vec::new();
        serve(&world, requests.as_bytes(), &mut answers).unwrap();
        let answers = String::from_utf8(answers).unwrap();
        let answers: Vec<Value> =
            answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(answers.iter().all(Value::is_object));
        let requests: Vec<&str> = requests.split_terminator('\n').collect();
        assert!(answers.len() <= requests.len());
        if let Some(unanswered) = requests.get(answers.len()) {
            let request: Request = serde_json::from_str(unanswered).unwrap();
            assert_eq!(request.op, "close");
        }
    }
}
