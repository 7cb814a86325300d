//! Requests to `proxmo env serve`: every line gets one line as the answer.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use proxmo::env::alfworld::{AlfWorld, GeneratorConfig, generate};
use proxmo::env::process::{Answer, read_answer};
use proxmo::env::protocol::serve;
use proxmo_fuzz::with_memory_limit;
use serde::Deserialize;
use serde_json::Value;

/// The relevant field of a request. Other fields can contain anything, such as numbers out of range.
#[derive(Deserialize)]
struct Request {
    op: String,
}

/// Memory limit for one input.
const MEMORY_LIMIT: usize = 256 << 20;

fn world() -> &'static AlfWorld {
    static WORLD: OnceLock<AlfWorld> = OnceLock::new();
    WORLD.get_or_init(|| {
        generate(&GeneratorConfig::default(), 7, 10).expect("tasks can be generated")
    })
}

fuzz_target!(|bytes: &[u8]| {
    let world = world();
    with_memory_limit(MEMORY_LIMIT, || answer(world, bytes));
});

fn answer(world: &AlfWorld, requests: &[u8]) {
    let mut answers = Vec::new();
    serve(world, requests, &mut answers).expect("reading and writing memory cannot fail");
    let answers = String::from_utf8(answers).expect("answers are UTF-8");
    assert!(answers.is_empty() || answers.ends_with('\n'));
    let answers: Vec<&str> = answers.lines().collect();
    for answer in &answers {
        let answer: Value = serde_json::from_str(answer).expect("an answer is JSON");
        assert!(answer.is_object());
    }
    for answer in &answers {
        // The client for environment programs accepts all answers of the server.
        let read = read_answer(answer.as_bytes()).expect("the client accepts the answer");
        assert!(!matches!(read, Answer::Malformed { .. }), "{answer}");
    }
    let mut requests: Vec<&[u8]> = requests.split(|&byte| byte == b'\n').collect();
    // An empty rest after the last line break is not a line.
    requests.pop_if(|last| last.is_empty());
    // If there are fewer answers, the next line must be a request to close.
    assert!(answers.len() <= requests.len());
    if let Some(unanswered) = requests.get(answers.len()) {
        let request: Request =
            serde_json::from_slice(unanswered).expect("only a request can close");
        assert_eq!(request.op, "close");
    }
}
