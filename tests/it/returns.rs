//! Tasks that pay, without a notion of success: return, score and further numbers everywhere that results
//! are shown.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use proxmo::env::process::command_line;
use serde_json::Value;

use crate::support::process::{one_step, python, python_name};

/// Four levers; the one that the goal names pays 3, the others 0.5. An episode is one step. With the
/// argument `score`, the program also scores.
const LEVERS: &str = r#"
import json, sys
NAME = "levers"
names = ["red", "green", "blue", "grey"]

def begin(number):
    return {"task": f"lever {number % 4}", "goal": f"pull {names[number % 4]}",
            "observation": "four levers", "admissible": [f"pull {name}" for name in names]}

def end(number, action):
    right = action == f"pull {names[number % 4]}"
    answer = {"observation": "done", "reward": 3.0 if right else 0.5,
              "metrics": {"pulls": 1, "noise/level": 0.25 if right else 0.75}}
    if "score" in sys.argv:
        answer["score"] = 1.0 if right else 0.2
    return answer
"#;

fn proxmo(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("proxmo").unwrap();
    command.args(arguments);
    command
}

/// The program, and a command that runs it.
fn program(folder: &Path, more: &str) -> Option<String> {
    if !python() {
        return None;
    }
    let path = folder.join("levers.py");
    fs::write(&path, one_step(LEVERS)).unwrap();
    Some(format!("{} {more}", command_line([python_name(), path.to_str()?])))
}

/// A run of few iterations on the program, and what it printed.
fn trained(folder: &Path, more: &str, flags: &[&str]) -> Option<(PathBuf, String)> {
    let command = program(folder, more)?;
    let run = folder.join("run");
    let mut train = proxmo(&["train", "--env", "process", "--command", &command]);
    train.args(["--backend", "flex", "--groups", "8", "--iterations", "40", "--eval-every", "5"]);
    train.args(["--checkpoint-every", "40", "--learning-rate", "0.01"]);
    let done = train.args(flags).arg("--run").arg(&run).assert().success();
    Some((run, String::from_utf8(done.get_output().stdout.clone()).unwrap()))
}

fn lines(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_program_without_success_is_trained_and_judged_by_its_return() {
    let folder = tempfile::tempdir().unwrap();
    let Some((run, shown)) = trained(folder.path(), "", &[]) else { return };
    let lines = lines(&run);
    let last = lines.last().unwrap();
    assert!(last.get("success").is_none() && last.get("score").is_none(), "{last}");
    assert!(last["return"].as_f64() > Some(2.5), "{last}");
    assert_eq!(last["metrics"]["pulls"], 1.0);
    let noise = last["metrics"]["noise/level"].as_f64().unwrap();
    let right = (last["return"].as_f64().unwrap() - 0.5) / 2.5;
    assert!((noise - (0.75 - 0.5 * right)).abs() < 1e-9, "{last}");
    // Nothing is modulated by a success that is not known.
    assert_eq!(last["credit"]["modulation"].as_array().map(Vec::len), Some(0), "{last}");

    let evaluation = &last["evaluation"];
    assert!(evaluation.get("success").is_none(), "{evaluation}");
    let [mean, low, high] = [
        &evaluation["return"],
        &evaluation["return_interval"][0],
        &evaluation["return_interval"][1],
    ]
    .map(|number| number.as_f64().unwrap());
    assert!(low <= mean && mean <= high && mean > 2.5, "{evaluation}");

    let head = shown.lines().find(|line| line.contains("mean steps")).unwrap();
    assert!(head.contains("return") && head.contains("pulls"), "{head}");
    assert!(!head.contains("success") && !head.contains("won"), "{head}");

    // The best checkpoint is the latest of those with the largest held-out return.
    let evaluated = lines.iter().filter(|line| line.get("evaluation").is_some());
    let value = |line: &&Value| line["evaluation"]["return"].as_f64().unwrap();
    let best = evaluated.max_by(|a, b| value(a).total_cmp(&value(b))).unwrap();
    let run_folder = run.to_str().unwrap();
    let eval = ["eval", "--run", run_folder, "--checkpoint", "best", "--json", "--backend", "flex"];
    let done = proxmo(&eval).assert().success();
    let found: Value = serde_json::from_slice(&done.get_output().stdout).unwrap();
    assert_eq!(found["iteration"], best["iteration"]);
    assert!(found["success"].is_null() && found["overall"].get("success").is_none(), "{found}");
    assert!((found["overall"]["return"].as_f64().unwrap() - value(&best)).abs() < 1e-12, "{found}");

    let page = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("Return on held-out tasks") && !page.contains("Success on"), "{page}");
    let curve = fs::read_to_string(run.join("curve.svg")).unwrap();
    assert!(curve.contains("Return over environment steps"), "{curve}");
}

#[test]
fn a_score_has_a_column_of_its_own_and_decides_which_checkpoint_is_best() {
    let folder = tempfile::tempdir().unwrap();
    let more = ["--eval-metric", "score"];
    let Some((run, shown)) = trained(folder.path(), "score", &more) else { return };
    let last = lines(&run).pop().unwrap();
    assert!(last["score"].as_f64() > Some(0.7), "{last}");
    assert!(last["evaluation"]["score"].as_f64() > Some(0.7), "{last}");
    let head = shown.lines().find(|line| line.contains("mean steps")).unwrap();
    assert!(head.contains("score") && head.contains("return"), "{head}");
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("Score on held-out tasks"), "{page}");
    assert!(page.contains("Return on held-out tasks"), "{page}");
}

#[test]
fn a_metric_that_the_environment_does_not_report_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let Some(command) = program(folder.path(), "") else { return };
    let mut train = proxmo(&["train", "--env", "process", "--command", &command]);
    train.args(["--backend", "flex", "--iterations", "2", "--eval-metric", "success", "--quiet"]);
    let done = train.arg("--run").arg(folder.path().join("run")).assert().failure();
    let one_line = predicate::function(|text: &str| text.trim_end().lines().count() == 1);
    done.stderr(contains("eval.metric").and(contains("does not report")).and(one_line));
}
