//! GGUF files: the same models as their folders, and refusal of broken ones.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use proxmo::device::{Backend, open};
use proxmo::lm::{Chat, Decoder, ModelConfig, ModelFiles, Scores, Tokenizer, save, score};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::gguf::{Gguf, TEXT, encoded, of_folder, text};
use crate::support::shared::shared;

const MODELS: [&str; 4] = ["llama", "llama3-sharded-bf16", "qwen2", "qwen3"];
const Q2_K: u32 = 10;

fn scores(path: &Path) -> Vec<Scores> {
    let device = open(Backend::Flex, 0).unwrap().device;
    let model = Decoder::open(path, &device).unwrap();
    score(&model, &[&[5, 6, 7, 8, 9, 10, 11, 12], &[300, 20]], true).unwrap()
}

/// A file in a folder of its own.
fn written(file: &Gguf) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    file.write(&path);
    (folder, path)
}

#[test]
fn a_file_gives_the_configuration_and_the_scores_of_its_model() {
    let Some(models) = shared("lm/models") else { return };
    for name in MODELS {
        let folder = models.join(name);
        let (_kept, path) = written(&of_folder(&folder, 0));
        let config = ModelFiles::open(&path).unwrap().config;
        assert_eq!(config, ModelConfig::open(&folder).unwrap(), "{name}");
        assert_eq!(scores(&path), scores(&folder), "{name}");
    }
}

#[test]
fn a_file_gives_the_tokens_and_the_chats_of_its_model() {
    let Some(models) = shared("lm/models") else { return };
    for name in MODELS {
        let folder = models.join(name);
        let (_kept, path) = written(&of_folder(&folder, 0));
        let (of_file, of_folder) =
            (Tokenizer::open(&path).unwrap(), Tokenizer::open(&folder).unwrap());
        let reference = fs::File::open(folder.join("reference.json.xz")).unwrap();
        let reference: Value =
            serde_json::from_reader(liblzma::read::XzDecoder::new(reference)).unwrap();
        for text in reference["texts"].as_array().unwrap() {
            let ids = of_file.encode(text["text"].as_str().unwrap()).unwrap();
            assert_eq!(json!(ids), text["ids"], "{name}: {}", text["text"]);
            assert_eq!(json!(of_file.decode(&ids).unwrap()), text["decoded"], "{name}");
        }
        let chat = Chat::new([("user", "You see a book.\nAct."), ("assistant", "take book 1")]);
        let rendered = |tokenizer: &Tokenizer| tokenizer.render(&chat).unwrap();
        assert_eq!(rendered(&of_file), rendered(&of_folder), "{name}");
    }
}

#[test]
fn a_model_from_a_file_is_saved_as_a_folder_with_its_tokenizer() {
    let Some(models) = shared("lm/models") else { return };
    let device = open(Backend::Flex, 0).unwrap().device;
    for name in MODELS {
        let (_kept, path) = written(&of_folder(&models.join(name), 0));
        let folder = tempfile::tempdir().unwrap();
        save(&Decoder::open(&path, &device).unwrap(), folder.path(), Some(&path)).unwrap();
        assert_eq!(scores(folder.path()), scores(&path), "{name}");
        let (one, other) =
            (Tokenizer::open(folder.path()).unwrap(), Tokenizer::open(&path).unwrap());
        let text = "<|im_start|>user\nput 12 books — in/on shelf\t3<|im_end|>";
        assert_eq!(one.encode(text).unwrap(), other.encode(text).unwrap());
        assert_eq!((one.end_ids(), one.has_template()), (other.end_ids(), other.has_template()));
    }
}

/// The folder of an untrained model whose rows are whole blocks of 32.
fn untrained() -> TempDir {
    let config = json!({
        "model_type": "llama", "vocab_size": 320, "hidden_size": 64, "intermediate_size": 96,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
        "max_position_embeddings": 64, "tie_word_embeddings": false,
    });
    let config = ModelConfig::parse(&config.to_string()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let device = open(Backend::Flex, 0).unwrap().device;
    let model = Decoder::untrained(&config, 3, &device).unwrap();
    save(&model, folder.path(), None).unwrap();
    folder
}

#[test]
fn a_file_of_8_bit_blocks_scores_as_its_model_within_their_precision() {
    let folder = untrained();
    let (_kept, path) = written(&of_folder(folder.path(), 8));
    let types = ModelFiles::open(&path).unwrap().weights.encodings();
    assert_eq!(types.keys().collect::<Vec<_>>(), ["F32", "Q8_0"]);
    for (one, other) in scores(&path).iter().zip(scores(folder.path())) {
        let (one, other) = (one.logits_last.as_ref().unwrap(), other.logits_last.unwrap());
        let largest = other.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
        let far = one.iter().zip(&other).find(|(a, b)| (*a - *b).abs() > 0.03 * largest);
        assert!(far.is_none() && *one != other, "{far:?}, largest {largest}");
    }
}

fn lm(arguments: &[&str], path: &Path, input: &str) -> assert_cmd::assert::Assert {
    let mut command = Command::cargo_bin("proxmo").unwrap();
    command.arg("lm").args(arguments).arg("--model").arg(path).args(["--input", "-"]);
    command.write_stdin(input.to_string()).assert()
}

#[test]
fn the_commands_take_a_file_as_a_model() {
    let Some(folder) = shared("lm/models/qwen2") else { return };
    let (_kept, path) = written(&of_folder(&folder, 0));
    for (command, input) in
        [("score", "{\"ids\":[1,2,3]}\n"), ("tokens", "{\"text\":\"open fridge 1\"}\n")]
    {
        let answer = |path: &Path| {
            let assert = lm(&[command], path, input).success().stderr("");
            String::from_utf8(assert.get_output().stdout.clone()).unwrap()
        };
        assert_eq!(answer(&path), answer(&folder));
    }
}

/// The error that a file's bytes give. Every such error is one of the input, and one line.
fn refusal(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    fs::write(&path, bytes).unwrap();
    let device = open(Backend::Flex, 0).unwrap().device;
    let error = match Decoder::open(&path, &device) {
        Err(error) => error,
        Ok(_) => Tokenizer::open(&path).unwrap_err(),
    };
    assert_eq!(error.exit_code(), 2, "{error}");
    assert!(!error.to_string().contains('\n'));
    error.to_string()
}

fn assert_refused(bytes: &[u8], says: &str) {
    let message = refusal(bytes);
    assert!(message.contains(says), "{message} does not contain {says}");
}

#[test]
fn a_file_that_ends_early_is_refused_wherever_it_ends() {
    let folder = untrained();
    let mut file = of_folder(folder.path(), 8);
    file.text("tokenizer.ggml.model", "gpt2");
    let bytes = file.bytes();
    for end in (0..bytes.len() - 32).step_by(97).chain(0..64) {
        let message = refusal(&bytes[..end]);
        let is_known = message.contains("truncated") || message.contains("nor a GGUF file");
        assert!(is_known, "{message}");
    }
}

#[test]
fn a_header_of_another_format_or_version_is_refused() {
    let folder = untrained();
    let bytes = of_folder(folder.path(), 0).bytes();
    let with = |place: usize, value: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[place..place + value.len()].copy_from_slice(value);
        bytes
    };
    assert_refused(&with(0, b"GGML"), "is neither a folder nor a GGUF file");
    assert_refused(&with(4, &1u32.to_le_bytes()), "GGUF version is 1, expected 2 or 3");
    assert_refused(&with(4, &3u32.to_be_bytes()), "GGUF version is 50331648, expected 2 or 3");
    // Counts beyond the file end the reading, not the memory.
    assert_refused(&with(8, &u64::MAX.to_le_bytes()), "weight '");
    assert_refused(&with(16, &u64::MAX.to_le_bytes()), "expected at most 65536");
    assert_refused(&with(24, &u64::MAX.to_le_bytes()), "expected at most 65536");
}

#[test]
fn a_model_that_is_not_supported_is_refused_with_the_key_at_fault() {
    let folder = untrained();
    let plain = of_folder(folder.path(), 0);
    let with = |change: &dyn Fn(&mut Gguf)| {
        let mut file = plain.clone();
        change(&mut file);
        file.bytes()
    };
    type Change = &'static dyn Fn(&mut Gguf);
    let changes: [(Change, &str); 14] = [
        (&|file| file.text("general.architecture", "gemma3"), "is 'gemma3', expected llama"),
        (&|file| file.text("llama.block_count", "two"), "llama.block_count is not a whole number"),
        (&|file| file.number("llama.attention.head_count_kv", 3), "num_key_value_heads 3"),
        (&|file| file.number("llama.attention.head_count", 6), "has 64 rows, expected 6 × 16"),
        (&|file| file.number("llama.expert_count", 8), "experts are not supported"),
        (&|file| file.number("llama.rope.dimension_count", 8), "is 8, expected the head's 16"),
        (
            &|file| file.text("llama.rope.scaling.type", "yarn"),
            "is 'yarn', expected none or linear",
        ),
        (&|file| file.number("llama.attention.sliding_window", 16), "sliding_window is 16"),
        (&|file| file.float("llama.rope.freq_base", f32::NAN), "rope_theta is NaN"),
        (
            &|file| file.weights.retain(|one| one.0 != "blk.1.ffn_up.weight"),
            "up_proj.weight' is missing",
        ),
        (
            &|file| {
                let mut names = file.weights.iter_mut().map(|weight| &mut weight.0);
                *names.find(|name| *name == "blk.0.attn_q.weight").unwrap() =
                    "blk.0.attn_qkv.weight".into();
            },
            "attn_qkv.weight' is none of a llama",
        ),
        (&|file| file.weights[3].0 = file.weights[4].0.clone(), "appears twice"),
        (
            &|file| {
                let norm =
                    file.weights.iter_mut().find(|one| one.0 == "output_norm.weight").unwrap();
                norm.3[..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
            },
            "'model.norm.weight' holds inf, expected finite values",
        ),
        (
            &|file| file.weight("rope_freqs.weight", &[8], 0, encoded(&[2.0; 8], 0)),
            "holds other divisors than those of Llama 3",
        ),
    ];
    for (change, says) in changes {
        assert_refused(&with(change), says);
    }
    let of_kind = |kind: u32| {
        with(&|file| {
            let weight =
                file.weights.iter_mut().find(|one| one.0 == "blk.0.ffn_up.weight").unwrap();
            weight.2 = kind;
        })
    };
    assert_refused(
        &of_kind(Q2_K),
        "up_proj.weight' is of type Q2_K, expected F32, F16, BF16, Q8_0",
    );
    assert_refused(&of_kind(77), "up_proj.weight' is of type number 77, expected F32");
    assert_refused(&of_kind(14), "rows of 64 are not whole blocks of 256");
}

/// Recorded by `checks/lm_qwen2_tokens.py`.
const QWEN2_TOKENS: &str = include_str!("lm_qwen2_tokens.json");

#[test]
fn the_splitting_rules_of_qwen2_give_the_tokens_of_transformers() {
    let reference: Value = serde_json::from_str(QWEN2_TOKENS).unwrap();
    let mut file = Gguf::default();
    file.text("tokenizer.ggml.model", "gpt2");
    file.text("tokenizer.ggml.pre", "qwen2");
    for name in ["tokens", "merges"] {
        let texts = reference[name].as_array().unwrap().iter();
        let texts: Vec<Vec<u8>> = texts.map(|one| text(one.as_str().unwrap())).collect();
        file.array(&format!("tokenizer.ggml.{name}"), TEXT, &texts);
    }
    let (_kept, path) = written(&file);
    let tokenizer = Tokenizer::open(&path).unwrap();
    let texts = reference["texts"].as_array().unwrap();
    assert!(texts.len() > 15);
    for text in texts {
        let ids = tokenizer.encode(text["text"].as_str().unwrap()).unwrap();
        assert_eq!(json!(ids), text["ids"], "{}", text["text"]);
    }
}

#[test]
fn a_tokenizer_that_is_not_supported_is_refused_with_the_key_at_fault() {
    let Some(folder) = shared("lm/models/qwen2") else { return };
    let plain = of_folder(&folder, 0);
    let with = |change: &dyn Fn(&mut Gguf)| {
        let mut file = plain.clone();
        change(&mut file);
        file.bytes()
    };
    type Change = &'static dyn Fn(&mut Gguf);
    let changes: [(Change, &str); 6] = [
        (&|file| file.text("tokenizer.ggml.model", "bert"), "is 'bert', expected gpt2 or llama"),
        (&|file| file.text("tokenizer.ggml.pre", "gpt-4o"), "'gpt-4o', expected gpt-2, smollm"),
        (&|file| file.text("tokenizer.ggml.tokens", "all"), "tokens is missing or not a list"),
        (&|file| file.number("tokenizer.ggml.eos_token_id", 700), "is 700, of 700 tokens"),
        (&|file| file.text("tokenizer.ggml.token_type", "1"), "is not one number for each token"),
        (&|file| file.text("tokenizer.chat_template", "{% for %}"), "syntax error"),
    ];
    for (change, says) in changes {
        assert_refused(&with(change), says);
    }
}

#[test]
fn info_shows_a_file_as_its_folder_but_for_the_stored_types() {
    let folder = untrained();
    let (_kept, path) = written(&of_folder(folder.path(), 8));
    let info = |path: &Path| -> Value {
        let mut command = Command::cargo_bin("proxmo").unwrap();
        command
            .args(["lm", "info", "--json", "--batch", "2", "--tokens", "32", "--model"])
            .arg(path);
        let assert = command.assert().success().stderr("");
        serde_json::from_slice(&assert.get_output().stdout).unwrap()
    };
    let (mut of_file, mut of_folder) = (info(&path), info(folder.path()));
    let config = ModelConfig::open(folder.path()).unwrap();
    let parameters = config.parameters();
    assert_eq!(of_folder["stored"], json!({ "F32": parameters }));
    let norms = 5 * 64;
    assert_eq!(of_file["stored"], json!({ "F32": norms, "Q8_0": parameters - norms }));
    assert_eq!(of_file["memory"]["parameters"], parameters);
    assert_eq!(of_file["memory"]["weights"], 4 * parameters);
    assert!(of_file["memory"]["full"].as_u64().unwrap() > 16 * parameters);
    assert_eq!((&of_file["tokens"], &of_file["chat_template"]), (&json!(null), &json!(false)));
    let devices = of_file["devices"].as_array().unwrap();
    let flex = devices.iter().find(|one| one["backend"] == "flex").unwrap();
    assert_eq!((&flex["inference"], &flex["full"]), (&json!("fits"), &json!("fits")));
    for info in [&mut of_file, &mut of_folder] {
        let info = info.as_object_mut().unwrap();
        for key in ["stored", "host", "devices"] {
            info.remove(key);
        }
    }
    assert_eq!(of_file, of_folder);
}

#[test]
fn info_writes_sizes_and_devices_for_people() {
    let folder = untrained();
    let mut command = Command::cargo_bin("proxmo").unwrap();
    let assert = command.args(["lm", "info", "--model"]).arg(folder.path()).assert().success();
    let text = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    for part in [
        "llama: 2 layers of width 64, 4 heads of width 16 with 2 for keys and values",
        "parameters   102,720, of them 40,960 in the embedding and head",
        "stored as    F32 102,720",
        "vocabulary   320; no tokenizer",
        "training all weights",
        "| flex ",
    ] {
        assert!(text.contains(part), "{text} does not contain {part}");
    }
}
