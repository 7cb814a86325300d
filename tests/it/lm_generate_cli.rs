//! `proxmo lm generate` and `proxmo lm chat`: output, choices, stops and refusals.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::shared::shared;
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json};

fn lm(command: &str, model: &Path, arguments: &[&str]) -> Command {
    let mut process = Command::cargo_bin("proxmo").unwrap();
    process.args(["lm", command, "--model", model.to_str().unwrap()]).args(arguments);
    process.args(["--backend", "flex"]);
    process
}

fn model(name: &str) -> Option<PathBuf> {
    shared(&format!("lm/models/{name}"))
}

/// The lines that a command writes for lines on standard input.
fn answered(command: &str, model: &Path, arguments: &[&str], lines: &[Value]) -> Vec<Value> {
    let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let mut process = lm(command, model, &[&["--input", "-"], arguments].concat());
    let assert = process.write_stdin(input).assert().success().stderr("");
    let output = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Asserts one line on standard error, an exit code and nothing on standard output.
fn refused(model: &Path, arguments: &[&str], input: &str, code: i32, says: &str) {
    let one_line = predicate::function(|text: &str| text.trim_end().lines().count() == 1);
    let mut process = lm("generate", model, &[&["--input", "-"], arguments].concat());
    let assert = process.write_stdin(input.to_string()).assert();
    assert.code(code).stdout("").stderr(contains(says).and(one_line));
}

/// A copy of a model without its tokenizer.
fn without_tokenizer(model: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["config.json", "model.safetensors"] {
        fs::copy(model.join(name), folder.path().join(name)).unwrap();
    }
    folder
}

#[test]
fn a_line_gets_its_continuation_and_keeps_its_other_members() {
    let Some(model) = model("qwen2") else { return };
    let lines = [
        json!({"ids": [5, 6, 7], "name": "a"}),
        json!({"text": "go to sinkbasin 1"}),
        json!({"messages": [{"role": "user", "content": "go"}]}),
    ];
    let found = answered("generate", &model, &["--max-tokens", "6"], &lines);
    assert_eq!(found[0]["name"], "a");
    for line in &found {
        let count = line["ids"].as_array().unwrap().len();
        assert!((1..=6).contains(&count));
        for member in ["log_probs", "entropy"] {
            assert_eq!(line[member].as_array().unwrap().len(), count);
        }
        assert!(line["text"].is_string() && line["end"].is_string());
    }
    let one = answered("generate", &model, &["--max-tokens", "6", "--batch", "1"], &lines);
    let ids = |lines: &[Value]| lines.iter().map(|line| line["ids"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&found), ids(&one));
    let other = answered("generate", &model, &["--max-tokens", "6", "--seed", "1"], &lines);
    assert_ne!(ids(&found), ids(&other));
}

#[test]
fn greedy_log_probabilities_are_those_of_lm_score() {
    let Some(model) = model("llama") else { return };
    let prompt = vec![5u64, 6, 7];
    let arguments = ["--max-tokens", "5", "--temperature", "0"];
    let found = &answered("generate", &model, &arguments, &[json!({"ids": prompt})])[0];
    let continuation = found["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap());
    let whole: Vec<u64> = prompt.iter().copied().chain(continuation).collect();
    let scores = &answered("score", &model, &[], &[json!({"ids": whole})])[0];
    let numbers = |value: &Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|one| one.as_f64().unwrap()).collect()
    };
    let scored = &numbers(&scores["log_probs"])[prompt.len() - 1..];
    for (found, scored) in numbers(&found["log_probs"]).iter().zip(scored) {
        assert!((found - scored).abs() < 1e-4);
    }
}

#[test]
fn choices_of_a_line_or_a_file_constrain_the_continuation() {
    let Some(model) = model("qwen2") else { return };
    let choices = ["go to shelf 1", "go to shelf 12", "go to shelf 2", "look"];
    let line = json!({"text": "> ", "choices": choices});
    let found = &answered("generate", &model, &[], std::slice::from_ref(&line))[0];
    let choice = found["choice"].as_u64().unwrap() as usize;
    assert_eq!((&found["text"], &found["end"]), (&json!(choices[choice]), &json!("choice")));
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), choices.join("\n") + "\n\n").unwrap();
    let path = file.path().to_str().unwrap();
    let prompt = json!({"text": "> "});
    let by_file = &answered("generate", &model, &["--choices", path], &[prompt])[0];
    assert_eq!((&by_file["ids"], &by_file["choice"]), (&found["ids"], &found["choice"]));

    let bare = without_tokenizer(&model);
    let line = json!({"ids": [3], "choices": [[5, 6], [5, 7, 8]]});
    let found = &answered("generate", bare.path(), &[], &[line])[0];
    let choice = found["choice"].as_u64().unwrap();
    assert_eq!(found["ids"], [json!([5, 6]), json!([5, 7, 8])][choice as usize]);
    assert_eq!(found["log_probs"][0], 0.0);
}

#[test]
fn a_stop_string_cuts_the_text() {
    let Some(model) = model("llama") else { return };
    let line = [json!({"text": "go to"})];
    let greedy = ["--temperature", "0", "--max-tokens", "12"];
    let free = &answered("generate", &model, &greedy, &line)[0];
    let text = free["text"].as_str().unwrap();
    let stop: String = text.chars().skip(3).take(2).collect();
    let arguments = [&greedy[..], &["--stop", &stop]].concat();
    let found = &answered("generate", &model, &arguments, &line)[0];
    assert_eq!(found["end"], "stop-string");
    assert_eq!(found["text"], text[..text.find(&stop).unwrap()]);
}

#[test]
fn bad_input_is_refused_with_its_line_and_the_fix() {
    let Some(model) = model("llama") else { return };
    let long = json!({"ids": vec![1; 5000]}).to_string();
    for (input, says) in [
        (long.as_str(), "standard input:1: ids: 5000 tokens, expected 1 to "),
        (r#"{"ids":[100000]}"#, "standard input:1: ids: id 100000 is out of range"),
        (r#"{"ids":[]}"#, "0 tokens, expected 1 to "),
        (r#"{"ids":[1],"choices":[]}"#, "choices: there are none"),
        (r#"{"ids":[1],"choices":[""]}"#, "choice 1 has no tokens"),
        (r#"{"ids":[1],"choices":["go","go"]}"#, "choice 2 has the tokens of choice 1"),
        (r#"{"ids":[1],"choices":[[100000]]}"#, "id 100000 is out of range"),
        (r#"{"ids":[1],"choices":7}"#, "\"choices\": expected a list of texts"),
        (r#"{}"#, "expected the member \"ids\", \"text\" or \"messages\""),
    ] {
        refused(&model, &[], input, 2, says);
    }
    for (arguments, says) in [
        (["--temperature=-1", "--top-k=0"], "--temperature"),
        (["--top-p=0", "--top-k=0"], "--top-p"),
        (["--choices=/absent", "--top-k=0"], "cannot read /absent"),
    ] {
        refused(&model, &arguments, r#"{"ids":[1]}"#, 2, says);
    }
    let bare = without_tokenizer(&model);
    let choices = r#"{"ids":[1],"choices":["go"]}"#;
    refused(bare.path(), &[], choices, 2, "the model has no tokenizer");
    refused(bare.path(), &["--stop", "x"], r#"{"ids":[1]}"#, 2, "--stop");
    let prefix = r#"{"ids":[1],"choices":[[5],[5,6]]}"#;
    refused(bare.path(), &[], prefix, 2, "choice 1 is the beginning of another");
}

#[test]
fn logits_that_are_not_finite_end_the_run_with_the_line() {
    let Some(model) = model("qwen2") else { return };
    // Finite weights whose products overflow.
    let folder = without_tokenizer(&model);
    let path = folder.path().join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let names: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let offsets = &names["model.norm.weight"]["data_offsets"];
    let [start, end] = [0, 1].map(|at| 8 + header + offsets[at].as_u64().unwrap() as usize);
    let width = match names["model.norm.weight"]["dtype"].as_str() {
        Some("F32") => 4,
        _ => 2,
    };
    for weight in bytes[start..end].chunks_exact_mut(width) {
        // The greatest finite numbers of f32, and of bf16.
        weight.copy_from_slice(&f32::MAX.to_le_bytes()[4 - width..]);
        weight[width - 1] = 0x7f;
        weight[width - 2] = 0x7f;
    }
    fs::write(&path, bytes).unwrap();
    refused(folder.path(), &[], r#"{"ids":[1, 2]}"#, 1, "standard input:1: the model's logits");
}

#[test]
fn a_chat_answers_each_line_of_its_input_and_ends_with_it() {
    let Some(model) = model("qwen2") else { return };
    let arguments = ["--max-tokens", "8", "--temperature", "0", "--system", "Be brief."];
    let talk = |input: &str| {
        let mut process = lm("chat", &model, &arguments);
        let assert = process.write_stdin(input.to_string()).assert().success();
        String::from_utf8(assert.get_output().stdout.clone()).unwrap()
    };
    let once = talk("go\n");
    assert!(once.ends_with('\n') && once.len() > 1);
    assert_eq!(talk("go\n/reset\ngo\n/quit\nlook\n"), once.repeat(2));
    assert_eq!(talk(""), "");
}

#[test]
fn a_chat_needs_a_template() {
    let Some(model) = model("qwen2") else { return };
    let bare = without_tokenizer(&model);
    let assert = lm("chat", bare.path(), &[]).write_stdin("go\n").assert();
    assert.code(2).stderr(contains("has no chat template"));
}
