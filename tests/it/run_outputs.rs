//! What a run leaves for other programs and for people: event files, tables, and the episodes of its report.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;

use crate::support::SMALL_TRAINING;

/// A small training.
fn train(run: &Path, more: &[&str]) {
    let mut command = Command::cargo_bin("proxmo").unwrap();
    command
        .args(["train", "--quiet"])
        .args(SMALL_TRAINING)
        .args(more)
        .arg("--run")
        .arg(run)
        .assert()
        .success();
}

fn event_files(run: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(run).unwrap().map(|entry| entry.unwrap().path());
    let is_events = |path: &PathBuf| {
        path.file_name().unwrap().to_string_lossy().starts_with("events.out.tfevents.")
    };
    entries.filter(is_events).collect()
}

/// The records of an event file.
fn records(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut found, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        found.push(&rest[12..12 + length]);
        rest = &rest[12 + length + 4..];
    }
    found
}

/// Whether a record has a text in it.
fn has(record: &[u8], text: &str) -> bool {
    record.windows(text.len()).any(|window| window == text.as_bytes())
}

/// That TensorBoard itself reads these files is checked by hand with checks/tensorboard_events.py.
#[test]
fn a_run_writes_an_event_an_iteration_and_goes_on_when_it_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    train(&run, &["--tensorboard", "--iterations", "2"]);
    let files = event_files(&run);
    assert_eq!(files.len(), 1);
    let bytes = fs::read(&files[0]).unwrap();
    let events = records(&bytes);
    // The version, the start, the settings, and iterations 0 to 2.
    assert_eq!(events.len(), 6);
    assert!(has(events[0], "brain.Event:2") && has(events[2], "learning_rate = "));
    assert!(has(events[3], "evaluation/success") && has(events[4], "seconds/rollout"));
    train(&run, &["--resume", "--iterations", "3"]);
    let files = event_files(&run);
    assert_eq!(files.len(), 2, "a resumed run goes on without the flag");
    let plain = folder.path().join("plain");
    train(&plain, &["--iterations", "1"]);
    assert_eq!(event_files(&plain).len(), 0);
}

#[test]
fn a_table_has_the_numbers_of_the_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    train(&run, &["--iterations", "2"]);
    let table = folder.path().join("metrics.csv");
    let mut command = Command::cargo_bin("proxmo").unwrap();
    command.arg("report").arg(&run).arg("--csv").arg(&table).assert().success();
    let table = fs::read_to_string(table).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|row| row.split(',').collect()).collect();
    let lines = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((rows.len(), lines.len()), (4, 3));
    let column = |name: &str| rows[0].iter().position(|known| *known == name).unwrap();
    for (row, line) in rows[1..].iter().zip(&lines) {
        assert_eq!(row[0], "run");
        let loss: f64 = row[column("loss")].parse().unwrap();
        assert_eq!(Some(loss), line["loss"].as_f64());
        let success = row[column("evaluation/success")].parse::<f64>().ok();
        assert_eq!(success, line["evaluation"]["success"].as_f64());
    }
}

#[test]
fn a_report_shows_saved_episodes_with_the_credit_of_their_steps() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    train(&run, &["--iterations", "1", "--save-episodes"]);
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("Episodes of iteration 1"), "{page}");
    let episodes = fs::read_to_string(run.join("episodes/000001.jsonl")).unwrap();
    let first: Value = serde_json::from_str(episodes.lines().next().unwrap()).unwrap();
    let action = first["steps"][0]["action"].as_str().unwrap();
    assert!(page.contains(&format!("<b>{action}</b>")), "{action}");
    assert!(page.contains("class=\"less\"") || page.contains("class=\"more\""), "no credit");
    let plain = folder.path().join("plain");
    train(&plain, &["--iterations", "1"]);
    let page = fs::read_to_string(plain.join("report.html")).unwrap();
    assert!(!page.contains("Episodes of iteration") && page.contains("All metrics"));
}
