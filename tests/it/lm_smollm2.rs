//! A published model: SmolLM2-135M-Instruct, from its GGUF file and from the folder that is made of it.
//!
//! `PROXMO_SMOLLM2` names the GGUF file; `checks/lm_smollm2` downloads it and runs these tests. The file is
//! too large for the repository and for CI, so without the variable they are skipped, with `CI` set too.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::{Value, json};

/// The file, or `None` and a line that says that the test is skipped.
fn file() -> Option<PathBuf> {
    let path = std::env::var_os("PROXMO_SMOLLM2").map(PathBuf::from);
    match path {
        Some(path) => {
            assert!(path.is_file(), "PROXMO_SMOLLM2: {} is no file", path.display());
            Some(path)
        }
        None => {
            println!("SKIPPED: PROXMO_SMOLLM2 names no GGUF file of SmolLM2-135M-Instruct");
            None
        }
    }
}

/// The answer of a command to some lines.
fn answers(command: &str, model: &Path, more: &[&str], lines: &[Value]) -> Vec<Value> {
    let input: Vec<String> = lines.iter().map(|line| format!("{line}\n")).collect();
    let mut proxmo = Command::cargo_bin("proxmo").unwrap();
    proxmo.args(["lm", command, "--input", "-", "--model"]).arg(model).args(more);
    let done = proxmo.write_stdin(input.concat()).assert().success();
    let text = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn questions() -> Vec<Value> {
    ["What is the capital of France?", "What is the opposite of hot?"]
        .map(|question| json!({ "messages": [{ "role": "user", "content": question }] }))
        .into()
}

/// Greedy answers to the questions.
fn greedy(model: &Path, backend: &str) -> Vec<String> {
    let more = ["--backend", backend, "--temperature", "0", "--max-tokens", "24"];
    let answers = answers("generate", model, &more, &questions());
    answers.iter().map(|answer| answer["text"].as_str().unwrap().to_string()).collect()
}

#[test]
fn the_file_and_the_folder_made_of_it_agree_in_tokens_scores_and_answers() {
    let Some(file) = file() else { return };
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("folder");
    let mut export = Command::cargo_bin("proxmo").unwrap();
    export.args(["lm", "export", "--backend", "flex", "--model"]).arg(&file);
    export.arg("--output").arg(&folder).assert().success();
    let lines = [
        json!({ "text": "In 2024, 12345 ünïcödé — 東京\n\n\tdef f(x): return x**2" }),
        json!({ "text": "<|im_start|>user\nYou see a mug 1.<|im_end|>\n" }),
        json!({ "messages": [{ "role": "user", "content": "open fridge 1" }],
                "add_generation_prompt": true }),
    ];
    let of_file = answers("tokens", &file, &[], &lines);
    assert_eq!(answers("tokens", &folder, &[], &lines), of_file);
    let scored = answers("score", &file, &["--backend", "flex"], &of_file);
    assert_eq!(answers("score", &folder, &["--backend", "flex"], &of_file), scored);
    assert_eq!(greedy(&folder, "flex"), greedy(&file, "flex"));
}

#[cfg(feature = "wgpu")]
#[test]
fn greedy_answers_are_sensible_and_the_same_on_the_cpu_and_on_vulkan() {
    let Some(file) = file() else { return };
    let answers = greedy(&file, "flex");
    for (answer, word) in answers.iter().zip(["Paris", "cold"]) {
        assert!(answer.contains(word), "{answer:?} should contain {word}");
    }
    assert_eq!(greedy(&file, "vulkan"), answers);
}
