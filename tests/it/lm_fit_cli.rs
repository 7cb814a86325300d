//! `proxmo lm fit` and `proxmo lm export`: numbers, files and errors.

use std::fs;
use std::path::Path;

use crate::support::shared::shared;
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json};

fn lm(command: &str, model: &Path) -> Command {
    let mut proxmo = Command::cargo_bin("proxmo").unwrap();
    proxmo.args(["lm", command, "--backend", "flex", "--model"]).arg(model);
    proxmo
}

fn lines(output: &[u8]) -> Vec<Value> {
    std::str::from_utf8(output)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Asserts one line on standard error, the exit code, and nothing on standard output.
fn refused(command: &mut Command, code: i32, says: &str) {
    let one_line = predicate::function(|text: &str| text.trim_end().lines().count() == 1);
    command.assert().code(code).stdout("").stderr(contains(says).and(one_line));
}

/// The reference training of a model as JSON lines, with its losses and gradient norms.
fn reference(folder: &Path) -> (String, Vec<f64>, Vec<f64>) {
    let file = fs::File::open(folder.join("reference.json.xz")).unwrap();
    let all: Value = serde_json::from_reader(liblzma::read::XzDecoder::new(file)).unwrap();
    let training = &all["training"];
    let rows = training["ids"].as_array().unwrap().iter().zip(training["mask"].as_array().unwrap());
    let lines: Vec<String> =
        rows.map(|(ids, mask)| json!({ "ids": ids, "mask": mask }).to_string()).collect();
    let floats = |name: &str| -> Vec<f64> {
        training[name].as_array().unwrap().iter().map(|one| one.as_f64().unwrap()).collect()
    };
    (lines.join("\n"), floats("losses"), floats("gradient_norms"))
}

const REFERENCE_SETTINGS: [&str; 13] = [
    "--steps",
    "5",
    "--batch",
    "3",
    "--learning-rate",
    "3e-3",
    "--weight-decay",
    "0.01",
    "--schedule",
    "constant",
    "--max-gradient-norm",
    "0",
    "--no-shuffle",
];

fn entries(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn fitting_prints_the_losses_and_gradient_norms_of_pytorch_and_writes_a_model() {
    let Some(models) = shared("lm/models") else { return };
    let root = tempfile::tempdir().unwrap();
    for name in ["qwen2", "llama3-sharded-bf16"] {
        let (input, losses, norms) = reference(&models.join(name));
        let output = root.path().join(name);
        let mut command = lm("fit", &models.join(name));
        command.args(["--input", "-", "--json", "--output"]).arg(&output).args(REFERENCE_SETTINGS);
        let assert = command.write_stdin(input).assert().success().stderr(contains("wrote"));
        let steps = lines(&assert.get_output().stdout);
        assert_eq!(steps.len(), 5);
        for (step, (loss, norm)) in steps.iter().zip(losses.iter().zip(&norms)) {
            assert!((step["loss"].as_f64().unwrap() / loss - 1.0).abs() < 1e-3, "{step}");
            assert!((step["gradient_norm"].as_f64().unwrap() / norm - 1.0).abs() < 1e-3, "{step}");
        }
        for file in ["config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"] {
            assert!(output.join(file).exists(), "{file}");
        }
        lm("score", &output)
            .args(["--input", "-"])
            .write_stdin("{\"ids\":[5,6]}")
            .assert()
            .success();
    }
    assert_eq!(entries(root.path()), ["llama3-sharded-bf16", "qwen2"]);
}

#[test]
fn the_lines_for_people_have_the_same_numbers() {
    let Some(model) = shared("lm/models/qwen2") else { return };
    let root = tempfile::tempdir().unwrap();
    let (input, losses, _) = reference(&model);
    let mut command = lm("fit", &model);
    command.args(["--input", "-", "--output"]).arg(root.path().join("x"));
    command.args(REFERENCE_SETTINGS).write_stdin(input);
    command.assert().success().stdout(contains(format!("step 1/5: loss {:.2}", losses[0])));
}

#[test]
fn an_adapter_is_fitted_continued_scored_and_merged() {
    let Some(model) = shared("lm/models/qwen2") else { return };
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    let (input, ..) = reference(&model);
    let fit = |more: &[&str], output: &str| {
        let mut command = lm("fit", &model);
        command.args(["--input", "-", "--json", "--batch", "3", "--no-shuffle", "--steps", "4"]);
        command.args(["--learning-rate", "1e-2"]).args(more).arg("--output").arg(path(output));
        let assert = command.write_stdin(input.clone()).assert().success();
        let steps = lines(&assert.get_output().stdout);
        [&steps[0], &steps[3]].map(|step| step["loss"].as_f64().unwrap())
    };
    let first = fit(&["--lora", "4", "--lora-targets", "q_proj,down_proj", "--recompute"], "first");
    assert!(first[1] < first[0], "{first:?}");
    assert_eq!(entries(&path("first")), ["adapter_config.json", "adapter_model.safetensors"]);
    let second =
        fit(&["--adapter", path("first").to_str().unwrap(), "--accumulate", "2"], "second");
    assert!(second[0] < first[1] && second[1] < second[0], "{first:?}, then {second:?}");

    let adapter = path("second").display().to_string();
    let export = |more: &[&str], output: &str| {
        let mut command = lm("export", &model);
        command.args(["--adapter", &adapter]).args(more).arg("--output").arg(path(output));
        command.assert().success().stdout("");
    };
    export(&["--merge"], "merged");
    export(&["--merge", "--dtype", "bf16", "--shard-size", "0.00005"], "small");
    export(&[], "copied");
    let mode = |name: &str| fs::metadata(path("copied").join(name)).unwrap().permissions();
    assert_eq!(mode("adapter_model.safetensors"), mode("adapter_config.json"));
    let score = |model: &Path, more: &[&str]| {
        let mut command = lm("score", model);
        let assert =
            command.args(["--input", "-"]).args(more).write_stdin("{\"ids\":[5,6,7]}").assert();
        let line = &lines(&assert.success().get_output().stdout)[0];
        line["log_probs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one.as_f64().unwrap())
            .collect::<Vec<_>>()
    };
    let expected = score(&model, &["--adapter", &adapter]);
    assert_ne!(score(&model, &[]), expected);
    assert_eq!(score(&model, &["--adapter", path("copied").to_str().unwrap()]), expected);
    for (name, tolerance) in [("merged", 1e-5), ("small", 0.05)] {
        for (found, expected) in score(&path(name), &[]).iter().zip(&expected) {
            assert!((found - expected).abs() < tolerance, "{name}: {found}, expected {expected}");
        }
    }
    assert!(path("small").join("model.safetensors.index.json").exists());
    let config = fs::read_to_string(path("small").join("config.json")).unwrap();
    assert!(config.contains("bfloat16"), "{config}");
}

#[test]
fn texts_prompts_and_chats_are_fitted_to() {
    let Some(model) = shared("lm/models/qwen2") else { return };
    let root = tempfile::tempdir().unwrap();
    let chat = json!({ "messages": [
        { "role": "user", "content": "where is the mug" },
        { "role": "assistant", "content": "on the shelf" },
    ]});
    let counted = |line: Value, output: &str| {
        let mut command = lm("fit", &model);
        command.args(["--input", "-", "--json", "--steps", "1", "--output"]);
        let assert = command.arg(root.path().join(output)).write_stdin(line.to_string()).assert();
        lines(&assert.success().get_output().stdout)[0]["tokens"].as_u64().unwrap()
    };
    let tokens = |line: Value| {
        let mut command = Command::cargo_bin("proxmo").unwrap();
        command.args(["lm", "tokens", "--input", "-", "--model"]).arg(&model);
        let assert = command.write_stdin(line.to_string()).assert().success();
        lines(&assert.get_output().stdout)[0]["ids"].as_array().unwrap().len() as u64
    };
    let text = json!({ "text": "go to shelf 1" });
    assert_eq!(counted(text.clone(), "text"), tokens(text) - 1);
    let prompt = json!({ "prompt": "go to", "completion": " shelf 1" });
    assert_eq!(counted(prompt, "prompt"), tokens(json!({ "text": " shelf 1" })));
    let mut before = chat.clone();
    before["messages"].as_array_mut().unwrap().pop();
    before["add_generation_prompt"] = true.into();
    assert_eq!(counted(chat.clone(), "chat"), tokens(chat) - tokens(before));
}

#[test]
fn bad_input_is_one_line_with_the_place_and_nothing_is_written() {
    let Some(models) = shared("lm/models") else { return };
    let root = tempfile::tempdir().unwrap();
    let output = root.path().join("output");
    let model = models.join("qwen2");
    let fit = |input: &str, more: &[&str]| {
        let mut command = lm("fit", &model);
        command.args(["--input", "-", "--output"]).arg(&output).args(more).write_stdin(input);
        command
    };
    let good = "{\"ids\":[5,6,7]}\n";
    let long = format!("{{\"ids\":{:?}}}", vec![5; 513]);
    for (line, says) in [
        (
            "{\"ids\":[5,700]}",
            "standard input:2: ids: id 700 is out of range, the vocabulary is 700",
        ),
        (&long, "standard input:2: ids: 513 tokens, expected 1 to 512"),
        ("{\"ids\":[5,6],\"mask\":[1,1]}", "standard input:2: mask: 2 entries, expected 1"),
        ("{\"ids\":[5,6],\"mask\":[0]}", "standard input:2: mask: no token counts"),
        ("{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", "of the role \"assistant\""),
        ("[]", "standard input:2: "),
    ] {
        refused(&mut fit(&format!("{good}{line}\n"), &[]), 2, says);
    }
    refused(&mut fit("\n", &[]), 2, "holds no line");
    for (more, says) in [
        (
            &["--lora", "4", "--lora-targets", "wq"][..],
            "(--lora-targets): 'wq' names no linear map",
        ),
        (&["--lora-alpha", "4"], "(--lora-alpha): is a setting of a new adapter"),
        (&["--adapter", "none", "--lora", "4"], "(--lora): starts a new adapter, but --adapter"),
        (&["--adapter", "none"], "none/adapter_config.json"),
        (&["--learning-rate", "0"], "(--learning-rate): is 0, expected"),
        (&["--batch", "0"], "(--batch): is 0, expected"),
    ] {
        refused(&mut fit(good, more), 2, says);
    }
    assert!(!output.exists());
    assert_eq!(entries(root.path()), [""; 0]);
    fs::create_dir(&output).unwrap();
    fs::write(output.join("x"), "").unwrap();
    refused(&mut fit(good, &[]), 2, "is not empty, expected a new or an empty folder");
    let mut export = lm("export", &model);
    export.args(["--dtype", "f16", "--adapter"]).arg(model.join("adapter"));
    refused(export.arg("--output").arg(root.path().join("y")), 2, "adapters are written as f32");
}

#[test]
fn a_loss_or_gradient_that_is_not_finite_ends_the_training_and_writes_nothing() {
    let Some(model) = shared("lm/models/qwen2") else { return };
    let root = tempfile::tempdir().unwrap();
    let mut command = lm("fit", &model);
    command.args(["--input", "-", "--output"]).arg(root.path().join("x"));
    command.args(["--steps", "9", "--learning-rate", "10", "--weight-decay", "10"]);
    command.args(["--schedule", "constant", "--max-gradient-norm", "0"]);
    let assert = command.write_stdin("{\"ids\":[5,6,7,8]}").assert();
    assert.code(1).stderr(contains("expected a finite number; lower the learning rate"));
    assert_eq!(entries(root.path()), [""; 0]);
}
