//! An episode file: read, written back, and credited by an estimator that the first two bytes choose.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxmo::credit::{CreditConfig, Embedding, Estimator, Temperature};
use proxmo::episodes::{read_episodes, write_episodes};
use proxmo::fuzzing::expect_readable;
use proxmo_fuzz::with_memory_limit;

/// What every input may take in memory.
const MEMORY: usize = 256 << 20;

fuzz_target!(|bytes: &[u8]| {
    if let [first, second, text @ ..] = bytes {
        with_memory_limit(MEMORY, || credit(&config(*first, *second), text));
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
    write_episodes(&mut written, &episodes).expect("memory takes everything");
    let again = read_episodes(&mut &*written, "written.jsonl").expect("what was written is sound");
    assert_eq!(again.len(), episodes.len());

    match proxmo::fuzzing::with_credit(text, config) {
        Err(error) => expect_readable(&error, &["episodes.jsonl:", "setting "]),
        Ok(credited) => {
            let lines: Vec<&str> = credited.lines().collect();
            assert_eq!(lines.len(), episodes.len());
            for (line, episode) in lines.iter().zip(&episodes) {
                // Fields that are not known may hold any JSON, so only the added ones are parsed.
                let record = proxmo::episodes::read_episode(line, "credited.jsonl:1");
                let record = record.expect("a line is an episode");
                for name in ["returns", "episode_advantages", "step_advantages", "advantages"] {
                    let values = record.other.get(name).expect("numbers were added");
                    let values: Vec<f32> =
                        serde_json::from_str(values).expect("numbers are finite");
                    assert_eq!(values.len(), episode.steps.len());
                }
            }
        }
    }
}
