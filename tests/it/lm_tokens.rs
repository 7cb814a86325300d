//! Texts and chats as tokens: agreement with reference models, and refusal of what is broken.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::shared::shared;
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use proxmo::lm::{Chat, ChatTemplate, Tokenizer};
use serde_json::{Value, json};

const MODELS: [&str; 4] = ["llama", "llama3-sharded-bf16", "qwen2", "qwen3"];

fn reference(folder: &Path) -> Value {
    let file = fs::File::open(folder.join("reference.json.xz")).unwrap();
    serde_json::from_reader(liblzma::read::XzDecoder::new(file)).unwrap()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a Vec<Value> {
    value[name].as_array().unwrap()
}

/// A JSON file with changes.
fn changed(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

/// A copy of a reference model.
fn copied(name: &str) -> Option<(tempfile::TempDir, PathBuf)> {
    let model = shared("lm/models")?.join(name);
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(model).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            let bytes = fs::read(entry.path()).unwrap();
            fs::write(folder.path().join(entry.file_name()), bytes).unwrap();
        }
    }
    let path = folder.path().to_path_buf();
    Some((folder, path))
}

fn lm(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("proxmo").unwrap();
    command.arg("lm").args(arguments);
    command
}

/// The lines that a command writes for lines on standard input.
fn answered(command: &str, model: &Path, lines: &[Value]) -> Vec<Value> {
    let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let mut command = lm(&[command, "--model", model.to_str().unwrap(), "--input", "-"]);
    let assert = command.write_stdin(input).assert().success().stderr("");
    let output = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Asserts one line on standard error, exit code 2 and nothing on standard output.
fn refused(command: &str, model: &Path, input: &str, says: &str) {
    let one_line = predicate::function(|text: &str| text.trim_end().lines().count() == 1);
    let mut command = lm(&[command, "--model", model.to_str().unwrap(), "--input", "-"]);
    let assert = command.write_stdin(input.to_string()).assert();
    assert.code(2).stdout("").stderr(contains(says).and(one_line));
}

#[test]
fn texts_and_chats_have_the_tokens_of_the_references() {
    let Some(models) = shared("lm/models") else { return };
    for name in MODELS {
        let folder = models.join(name);
        let reference = reference(&folder);
        let tokenizer = Tokenizer::open(&folder).unwrap();
        for text in list(&reference, "texts") {
            let ids = tokenizer.encode(text["text"].as_str().unwrap()).unwrap();
            assert_eq!(json!(ids), text["ids"], "{name}: {}", text["text"]);
            assert_eq!(json!(tokenizer.decode(&ids).unwrap()), text["decoded"], "{name}");
        }
        for expected in list(&reference, "chats") {
            let chat = Chat {
                messages: list(expected, "messages").clone(),
                add_generation_prompt: expected["add_generation_prompt"].as_bool().unwrap(),
                ..Chat::default()
            };
            let text = tokenizer.render(&chat).unwrap();
            assert_eq!(json!(text), expected["text"], "{name}");
            assert_eq!(json!(tokenizer.encode(&text).unwrap()), expected["ids"], "{name}");
        }
    }
}

#[test]
fn the_command_adds_text_ids_and_decoded_text_to_each_line() {
    let Some(models) = shared("lm/models") else { return };
    for name in MODELS {
        let reference = reference(&models.join(name));
        let texts = list(&reference, "texts");
        let chats = list(&reference, "chats");
        let mut lines: Vec<Value> =
            texts.iter().map(|one| json!({"text": one["text"], "n": 1})).collect();
        lines.extend(chats.iter().map(|one| {
            json!({
                "messages": one["messages"],
                "add_generation_prompt": one["add_generation_prompt"],
            })
        }));
        let answers = answered("tokens", &models.join(name), &lines);
        assert_eq!(answers.len(), lines.len());
        for (answer, expected) in answers.iter().zip(texts.iter().chain(chats)) {
            assert_eq!(answer["text"], expected["text"], "{name}");
            assert_eq!(answer["ids"], expected["ids"], "{name}");
            if !expected["decoded"].is_null() {
                assert_eq!((&answer["decoded"], &answer["n"]), (&expected["decoded"], &json!(1)));
            }
        }
        assert_eq!(answered("tokens", &models.join(name), &answers), answers);
    }
}
