//! Language models: agreement with reference models, and refusal of broken ones.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::shared::shared;
use proxmo::device::{Backend, open};
use proxmo::lm::{Decoder, ModelConfig, save, score};
use serde_json::Value;

const MODELS: [&str; 4] = ["llama", "llama3-sharded-bf16", "qwen2", "qwen3"];
const TOLERANCE: f32 = 1e-4;

fn reference(folder: &Path) -> Value {
    let file = fs::File::open(folder.join("reference.json.xz")).unwrap();
    serde_json::from_reader(liblzma::read::XzDecoder::new(file)).unwrap()
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|one| one.as_f64().unwrap() as f32).collect()
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|one| one.as_u64().unwrap() as u32).collect()
}

fn assert_close(found: &[f32], expected: &[f32], subject: &str) {
    assert_eq!(found.len(), expected.len(), "{subject}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= TOLERANCE, "{subject}: {found}, expected {expected}");
    }
}

/// Scores the sequences of every reference model in one ragged batch and compares all numbers.
fn agrees_on(backend: Backend) {
    let Some(models) = shared("lm/models") else { return };
    let Ok(opened) = open(backend, 0) else {
        println!("SKIPPED: no device for {backend:?}");
        return;
    };
    for name in MODELS {
        let folder = models.join(name);
        let model = Decoder::open(&folder, &opened.device).unwrap();
        let reference = reference(&folder);
        let sequences = reference["sequences"].as_array().unwrap();
        let rows: Vec<Vec<u32>> = sequences.iter().map(|one| ids(&one["ids"])).collect();
        let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let scores = score(&model, &rows, true).unwrap();
        for (index, sequence) in sequences.iter().enumerate() {
            let scores = &scores[index];
            let logits = scores.logits_last.as_ref().unwrap();
            assert_close(&scores.log_probs, &floats(&sequence["log_probs"]), name);
            assert_close(&scores.entropy, &floats(&sequence["entropy"]), name);
            assert_close(logits, &floats(&sequence["logits_last"]), name);
        }
    }
}

#[test]
fn reference_models_give_the_same_logits_log_probabilities_and_entropies_on_the_cpu() {
    agrees_on(Backend::Flex);
}

#[cfg(feature = "wgpu")]
#[test]
fn reference_models_give_the_same_logits_log_probabilities_and_entropies_on_vulkan() {
    agrees_on(Backend::Vulkan);
}

#[test]
fn a_row_scores_the_same_alone_and_in_a_ragged_batch() {
    let Some(folder) = shared("lm/models/qwen3") else { return };
    let model = Decoder::open(&folder, &open(Backend::Flex, 0).unwrap().device).unwrap();
    let rows: [&[u32]; 3] = [&[5, 6, 7], &[9], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]];
    for (together, row) in score(&model, &rows, true).unwrap().iter().zip(rows) {
        let alone = &score(&model, &[row], false).unwrap()[0];
        assert_close(&together.log_probs, &alone.log_probs, "log-probabilities");
        assert_close(&together.entropy, &alone.entropy, "entropies");
    }
}

/// A copy of a reference model without its reference values.
fn copied(model: &Path) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(model).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
    }
    let path = folder.path().to_path_buf();
    (folder, path)
}

/// The message of the error that a model's folder gives. Every such error is one of the input.
fn refusal(folder: &Path) -> String {
    let device = open(Backend::Flex, 0).unwrap().device;
    let error = Decoder::open(folder, &device).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

#[test]
fn broken_weights_are_refused_with_their_file_and_name() {
    let Some(models) = shared("lm/models") else { return };
    let (_kept, folder) = copied(&models.join("llama3-sharded-bf16"));
    fs::remove_file(folder.join("model-00002-of-00003.safetensors")).unwrap();
    let message = refusal(&folder);
    assert!(message.contains("shard 'model-00002-of-00003.safetensors' does not exist"));

    let (_kept, folder) = copied(&models.join("qwen2"));
    let path = folder.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 4]).unwrap();
    assert!(refusal(&folder).contains("model.safetensors: "));

    let mut spoiled = bytes.clone();
    let end = spoiled.len();
    spoiled[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, &spoiled).unwrap();
    assert!(refusal(&folder).contains("holds NaN, expected finite values"));

    fs::write(&path, &bytes).unwrap();
    let config = fs::read_to_string(folder.join("config.json")).unwrap();
    let config = config.replace("\"vocab_size\": 700", "\"vocab_size\": 701");
    fs::write(folder.join("config.json"), config).unwrap();
    let message = refusal(&folder);
    assert!(message.contains("embed_tokens.weight' has shape [700, 48], expected [701, 48]"));
}

#[test]
fn ids_out_of_range_and_sequences_beyond_the_context_are_refused() {
    let Some(folder) = shared("lm/models/qwen2") else { return };
    let model = Decoder::open(&folder, &open(Backend::Flex, 0).unwrap().device).unwrap();
    for (row, says) in [
        (vec![700], "id 700 is out of range, the vocabulary is 700"),
        (vec![0; 513], "513 tokens, expected 1 to 512"),
        (vec![], "0 tokens, expected 1 to 512"),
    ] {
        let message = score(&model, &[&row], false).unwrap_err().to_string();
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn a_saved_model_loads_with_the_same_weights() {
    let Some(models) = shared("lm/models") else { return };
    let device = open(Backend::Flex, 0).unwrap().device;
    for name in MODELS {
        let (folder, source) = (tempfile::tempdir().unwrap(), models.join(name));
        let model = Decoder::open(&source, &device).unwrap();
        save(&model, folder.path(), Some(&source)).unwrap();
        let again = Decoder::open(folder.path(), &device).unwrap();
        assert_eq!(again.config(), model.config());
        let rows: [&[u32]; 1] = [&[5, 6, 7]];
        assert_eq!(score(&model, &rows, true).unwrap(), score(&again, &rows, true).unwrap());
    }
}

#[test]
fn an_untrained_model_is_determined_by_its_seed_and_loads_with_its_configuration() {
    let Some(models) = shared("lm/models") else { return };
    let device = open(Backend::Flex, 0).unwrap().device;
    let rows: [&[u32]; 1] = [&[5, 6, 7]];
    for name in MODELS {
        let config = ModelConfig::open(&models.join(name)).unwrap();
        let of_seed = |seed| Decoder::untrained(&config, seed, &device).unwrap();
        let folder = tempfile::tempdir().unwrap();
        save(&of_seed(1), folder.path(), None).unwrap();
        let again = Decoder::open(folder.path(), &device).unwrap();
        assert_eq!(again.config(), &config);
        let scores = score(&of_seed(1), &rows, true).unwrap();
        assert_eq!(score(&again, &rows, true).unwrap(), scores);
        assert_ne!(score(&of_seed(2), &rows, true).unwrap(), scores);
    }
}
