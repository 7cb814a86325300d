//! A run that is stopped and resumed ends as one that never stopped.

#![cfg(feature = "cli")]

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

fn train(run: &Path, more: &[&str]) {
    let mut command = Command::cargo_bin("proxmo").unwrap();
    command.args(["train", "--quiet", "--run"]).arg(run).args(more).assert().success();
}

fn begin(run: &Path, iterations: &str) {
    let settings = [
        "--backend",
        "flex",
        "--tasks",
        "40",
        "--held-out",
        "6",
        "--groups",
        "4",
        "--episodes",
        "4",
        "--max-steps",
        "15",
        "--policy-embedding",
        "8",
        "--hidden",
        "8",
        "--eval-every",
        "2",
        "--checkpoint-every",
        "1",
        "--schedule",
        "constant",
        "--iterations",
        iterations,
    ];
    train(run, &settings);
}

/// The metrics without the times.
fn metrics(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let timeless = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("seconds");
        line
    };
    text.lines().map(timeless).collect()
}

fn file(run: &Path, name: &str) -> Vec<u8> {
    fs::read(run.join("checkpoints/000005").join(name)).unwrap()
}

#[test]
fn stopping_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    begin(&whole, "5");
    begin(&parts, "2");
    // As if the process had died after iterations that no checkpoint holds.
    let lines = fs::read_to_string(parts.join("metrics.jsonl")).unwrap();
    let last = lines.lines().last().unwrap().replacen("\"iteration\":2", "\"iteration\":3", 1);
    fs::write(parts.join("metrics.jsonl"), format!("{lines}{last}\n")).unwrap();
    train(&parts, &["--resume", "--iterations", "4"]);
    train(&parts, &["--resume", "--iterations", "5"]);

    // Each part ends with an evaluation of its own, which the whole run has not.
    let drop_evaluation = |mut line: Value| {
        line.as_object_mut().unwrap().remove("evaluation");
        line
    };
    let strip = |run: &Path| metrics(run).into_iter().map(drop_evaluation).collect::<Vec<_>>();
    assert_eq!(strip(&whole), strip(&parts));
    assert_eq!(metrics(&whole).last(), metrics(&parts).last());
    assert!(
        file(&whole, "weights.safetensors") == file(&parts, "weights.safetensors"),
        "weights differ"
    );
}

#[test]
#[cfg(unix)]
fn an_interrupt_finishes_the_iteration_and_saves() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("proxmo"))
        .args([
            "train",
            "--backend",
            "flex",
            "--tasks",
            "40",
            "--held-out",
            "4",
            "--iterations",
            "100000",
        ])
        .args([
            "--groups",
            "4",
            "--episodes",
            "4",
            "--eval-every",
            "0",
            "--checkpoint-every",
            "100000",
            "--run",
        ])
        .arg(&run)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let lines =
        || fs::read_to_string(run.join("metrics.jsonl")).map_or(0, |text| text.lines().count());
    while lines() < 3 {
        assert!(child.try_wait().unwrap().is_none(), "the run ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let interrupt =
        std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("--resume"), "{said}");
    let done = metrics(&run).last().unwrap()["iteration"].as_u64().unwrap();
    assert!(run.join(format!("checkpoints/{done:06}/state.json")).is_file());
}
