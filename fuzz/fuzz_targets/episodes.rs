//! An episode file: parsed, written back, and credited by the estimator that the first two bytes select.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxmo::credit::{CreditConfig, Embedding, Estimator, Temperature};
use proxmo::episodes::{read_episodes, write_episodes};
use proxmo::fuzzing::expect_readable;
use proxmo_fuzz::with_memory_limit;
use serde_json::Value;

/// Memory limit for one input.
const MEMORY_LIMIT: usize = 256 << 20;

fuzz_target!(|bytes: &[u8]| {
    if let [first, second, text @ ..] = bytes {
        with_memory_limit(MEMORY_LIMIT, || credit(&config(*first, *second), text));
    }
});

fn config(first: u8, second: u8) -> CreditConfig {
    let estimator = Estimator::ALL[usize::from(first) % Estimator::ALL.len()];
    let embedding = [Embedding::Tfidf, Embedding::Hashed, Embedding::Given];
    let mut config = CreditConfig {
        embedding: embedding[usize::from(second) % embedding.len()],
        ..CreditConfig::of(estimator)
    };
    if second & 16 != 0 {
        config.temperature = Temperature::Auto;
    }
    if second & 32 != 0 {
        config.history = 2;
    }
    if second & 64 != 0 {
        config.similarity = Some(0.5);
    }
    config
}

fn credit(config: &CreditConfig, text: &[u8]) {
    let places = ["episodes.jsonl:"];
    let episodes = match read_episodes(&mut &*text, "episodes.jsonl") {
        Ok(episodes) => episodes,
        Err(error) => return expect_readable(&error, &places),
    };
    let mut written = Vec::new();
    write_episodes(&mut written, &episodes).expect("writing to memory cannot fail");
    let again = read_episodes(&mut &*written, "written.jsonl").expect("the written file is valid");
    assert_eq!(again.len(), episodes.len());

    match proxmo::fuzzing::with_credit(text, config) {
        Err(error) => expect_readable(&error, &["episodes.jsonl:", "setting "]),
        Ok(credited) => {
            let lines: Vec<&str> = credited.lines().collect();
            assert_eq!(lines.len(), episodes.len());
            for (line, episode) in lines.iter().zip(&episodes) {
                let line: Value = serde_json::from_str(line).expect("a line is JSON");
                for name in ["returns", "episode_advantages", "step_advantages", "advantages"] {
                    let values = line[name].as_array().expect("the field was added");
                    assert_eq!(values.len(), episode.steps.len());
                    assert!(values.iter().all(Value::is_number), "{name} is not finite");
                }
            }
        }
    }
}
