//! The environment protocol, as the server reads it: every line is answered by one line.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use proxmo::env::alfworld::{AlfWorld, GeneratorConfig, generate};
use proxmo::env::process::{Answer, read_answer};
use proxmo::env::protocol::serve;
use proxmo_fuzz::within;
use serde::Deserialize;
use serde_json::Value;

/// What counts of a request. Its other fields may hold anything, numbers out of range included.
#[derive(Deserialize)]
struct Request {
    op: String,
}

/// What every input may take in memory.
const MEMORY: usize = 256 << 20;

fn world() -> &'static AlfWorld {
    static WORLD: OnceLock<AlfWorld> = OnceLock::new();
    WORLD.get_or_init(|| generate(&GeneratorConfig::default(), 7, 10).expect("tasks are made"))
}

fuzz_target!(|bytes: &[u8]| {
    let world = world();
    within(MEMORY, || answer(world, bytes));
});

fn answer(world: &AlfWorld, requests: &[u8]) {
    let mut answers = Vec::new();
    serve(world, requests, &mut answers).expect("memory can be read and written");
    let answers = String::from_utf8(answers).expect("answers are UTF-8");
    assert!(answers.is_empty() || answers.ends_with('\n'));
    let answers: Vec<&str> = answers.lines().collect();
    for answer in &answers {
        let answer: Value = serde_json::from_str(answer).expect("an answer is JSON");
        assert!(answer.is_object());
    }
    for answer in &answers {
        // What the server says, whoever plays another's environment understands.
        let read = read_answer(answer.as_bytes()).expect("an answer is one");
        assert!(!matches!(read, Answer::Malformed { .. }), "{answer}");
    }
    let mut requests: Vec<&[u8]> = requests.split(|&byte| byte == b'\n').collect();
    // What follows the last line's end is a line only where something stands there.
    requests.pop_if(|last| last.is_empty());
    // Where there are fewer answers, the next line must have asked to close.
    assert!(answers.len() <= requests.len());
    if let Some(unanswered) = requests.get(answers.len()) {
        let request: Request = serde_json::from_slice(unanswered).expect("only requests may close");
        assert_eq!(request.op, "close");
    }
}
