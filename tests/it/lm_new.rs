//! `proxmo lm new`: new models of a user's texts.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use proxmo::device::{Backend, open};
use proxmo::lm::{Chat, Decoder, Tokenizer, score};

const TEXTS: &str =
    "go to shelf 1\ngo to shelf 2\n\ntake mug 1 from shelf 1\nYou arrive at shelf 2.\n";

fn new(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("proxmo").unwrap();
    command.args(["lm", "new", "--texts", "-", "--layers", "1", "--width", "16"]).args(arguments);
    command.write_stdin(TEXTS);
    command
}

/// Names and contents of a folder's files.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> =
        entries.map(|entry| (entry.file_name().into(), fs::read(entry.path()).unwrap())).collect();
    files.sort();
    files
}

#[test]
fn the_same_texts_options_and_seed_give_the_same_bytes() {
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, seed: &str| {
        let folder = root.path().join(name);
        let assert = new(&["--output", folder.to_str().unwrap(), "--seed", seed]).assert();
        assert.success().stderr("").stdout(contains("parameters, vocabulary of 2"));
        files(&folder)
    };
    let (first, other) = (write("a", "7"), write("c", "8"));
    assert_eq!(first, write("b", "7"));
    let names: Vec<&str> = first.iter().map(|(name, _)| name.to_str().unwrap()).collect();
    let expected = [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ];
    assert_eq!(names, expected);
    let differs = |index: usize| first[index] != other[index];
    assert_eq!((0..6).filter(|&index| differs(index)).collect::<Vec<_>>(), [3], "the weights");
}

#[test]
fn a_new_model_scores_texts_and_chats_of_its_tokenizer() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("parents/are/created");
    let path = folder.to_str().unwrap();
    new(&["--output", path, "--special-token", "<tool>", "--heads", "2", "--untied"])
        .assert()
        .success();
    let model = Decoder::open(&folder, &open(Backend::Flex, 0).unwrap().device).unwrap();
    let tokenizer = Tokenizer::open(&folder).unwrap();
    tokenizer.check_vocabulary(model.config().vocabulary).unwrap();
    assert_eq!(tokenizer.size(), model.config().vocabulary);
    assert_eq!(tokenizer.end_ids(), [1, 0]);
    let chat = Chat { add_generation_prompt: true, ..Chat::new([("user", "look")]) };
    let text = tokenizer.render(&chat).unwrap();
    assert_eq!(text, "<|user|>look<|end|><|assistant|>");
    let ids = tokenizer.encode(&(text + "<tool>")).unwrap();
    assert_eq!((ids[0], &ids[ids.len() - 3..]), (3, &[1, 4, 5][..]));
    assert_eq!(score(&model, &[&ids], false).unwrap()[0].entropy.len(), ids.len());
    let error = tokenizer.render(&Chat::new([("tool", "3")])).unwrap_err().to_string();
    assert!(error.contains("the role is 'tool', expected system, user or assistant"), "{error}");
}

#[test]
fn json_lines_give_the_tokenizer_of_their_texts() {
    let root = tempfile::tempdir().unwrap();
    let (plain, json) = (root.path().join("plain"), root.path().join("json"));
    new(&["--output", plain.to_str().unwrap()]).assert().success();
    let lines: Vec<String> =
        TEXTS.lines().map(|text| serde_json::json!({"n": 1, "text": text}).to_string()).collect();
    let arguments = ["--output", json.to_str().unwrap()];
    new(&arguments).write_stdin(lines.join("\n")).assert().success();
    assert_eq!(files(&plain), files(&json));
}

#[test]
fn what_does_not_fit_is_refused_in_one_line_and_nothing_is_written() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("new");
    let template = root.path().join("broken.jinja");
    fs::write(&template, "{% if %}").unwrap();
    for (arguments, input, says) in [
        (vec!["--vocabulary", "100"], TEXTS, "vocabulary': is 100, expected at least 261"),
        (vec!["--heads", "3"], TEXTS, "3 heads do not divide a width of 16"),
        (vec!["--layers", "0"], TEXTS, "layers"),
        (vec!["--kv-heads", "3"], TEXTS, "is 3, which does not divide 4 heads"),
        (vec!["--special-token", "<|end|>"], TEXTS, "'<|end|>' is there already"),
        (vec!["--chat-template", template.to_str().unwrap()], TEXTS, "chat template is invalid"),
        (vec![], "\n\n", "there is no text"),
        (vec![], "{\"text\":\"a\"}\n{\"txt\":\"b\"}\n", "standard input:2: expected an object"),
        (vec!["--texts", "no/such/file"], TEXTS, "cannot read no/such/file"),
    ] {
        let mut command = new(&["--output", folder.to_str().unwrap()]);
        let assert = command.args(&arguments).write_stdin(input).assert();
        let one_line = predicate::function(|text: &str| text.trim_end().lines().count() == 1);
        assert.code(2).stdout("").stderr(contains(says).and(one_line));
        assert!(!folder.exists(), "{says}");
    }
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("kept"), "x").unwrap();
    let assert = new(&["--output", folder.to_str().unwrap()]).assert();
    assert.code(2).stdout("").stderr(contains("new: is not empty"));
    assert_eq!(files(&folder), [("kept".into(), b"x".to_vec())]);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
}

#[test]
fn a_model_with_norms_of_queries_and_keys_has_qwen3s_form() {
    let root = tempfile::tempdir().unwrap();
    for (name, flags, form) in [("plain", &[][..], "llama"), ("normed", &["--qk-norm"], "qwen3")] {
        let folder = root.path().join(name);
        new(&["--output", folder.to_str().unwrap()]).args(flags).assert().success();
        let config: serde_json::Value =
            serde_json::from_slice(&fs::read(folder.join("config.json")).unwrap()).unwrap();
        assert_eq!(config["model_type"], form);
        let model = Decoder::open(&folder, &open(Backend::Flex, 0).unwrap().device).unwrap();
        assert!(score(&model, &[&[1, 2, 3]], false).unwrap()[0].log_probs[0].is_finite());
    }
}
