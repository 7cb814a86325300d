//! `proxmo act`: the actions of an evaluation, several episodes at once, and refusals.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use assert_cmd::Command;
use assert_cmd::cargo::CommandCargoExt;
use serde_json::{Value, json};

use crate::support::process::{python, python_name};

/// A process that answers each line with a line.
struct Talk {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Talk {
    fn begin(arguments: &[&str]) -> Self {
        let mut command = std::process::Command::cargo_bin("proxmo").unwrap();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output) }
    }

    fn ask(&mut self, line: &Value) -> Value {
        writeln!(self.input, "{line}").unwrap();
        self.read()
    }

    fn read(&mut self) -> Value {
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{answer:?}"))
    }

    fn end(self) {
        let Self { mut child, input, output } = self;
        drop((input, output));
        assert!(child.wait().unwrap().success());
    }
}

/// A run that was trained for a moment.
fn trained(folder: &Path) -> PathBuf {
    let run = folder.join("run");
    let mut train = Command::cargo_bin("proxmo").unwrap();
    train.args(["train", "--backend", "flex", "--train-tasks", "20", "--held-out", "6"]);
    train.args(["--groups", "2", "--group-size", "2", "--iterations", "2", "--max-steps", "10"]);
    train.args(["--quiet", "--run"]).arg(&run).assert().success();
    run
}

/// The actions of an evaluation, by task.
fn evaluated(run: &Path, arguments: &[&str]) -> BTreeMap<String, Vec<String>> {
    let file = run.with_extension("jsonl");
    let mut eval = Command::cargo_bin("proxmo").unwrap();
    eval.args(["eval", "--backend", "flex", "--run"]).arg(run).args(arguments);
    eval.arg("--episode-file").arg(&file).assert().success();
    let text = fs::read_to_string(&file).unwrap();
    let episode = |line: &str| {
        let episode: Value = serde_json::from_str(line).unwrap();
        let steps = episode["steps"].as_array().unwrap();
        let action = |step: &Value| step["action"].as_str().unwrap().to_string();
        let name = episode["group"].as_str().unwrap().to_string();
        (name, steps.iter().map(action).collect())
    };
    text.lines().map(episode).collect()
}

/// The actions of `proxmo act` on the tasks of `proxmo env serve`, in the order of the tasks' numbers, all
/// episodes at the same time.
fn acted(run: &Path, names: &[String], arguments: &[&str]) -> BTreeMap<String, Vec<String>> {
    let config = run.join("config.toml");
    let config = config.to_str().unwrap();
    let mut environment = Talk::begin(&["env", "serve", "--config", config, "--split", "valid"]);
    let act = ["act", "--backend", "flex", "--run", run.to_str().unwrap()];
    let mut agent = Talk::begin(&[&act, arguments].concat());
    let mut states: Vec<Option<Value>> = (0..names.len())
        .map(|session| {
            let reset = json!({ "op": "reset", "session": session, "task": names[session] });
            Some(environment.ask(&reset))
        })
        .collect();
    let mut actions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    while states.iter().any(Option::is_some) {
        for (session, state) in states.iter_mut().enumerate() {
            let Some(last) = state.take() else { continue };
            let answer = agent.ask(&last);
            assert_eq!(answer["id"], session);
            if answer["ended"] == true {
                continue;
            }
            let action = answer["action"].as_str().unwrap_or_else(|| panic!("{answer}"));
            let index = answer["index"].as_u64().unwrap() as usize;
            assert_eq!(last["admissible"][index], action);
            assert!((0.0..=1.0).contains(&answer["probability"].as_f64().unwrap()));
            actions.entry(names[session].clone()).or_default().push(action.to_string());
            let step = json!({ "op": "step", "session": session, "action": action });
            *state = Some(environment.ask(&step));
        }
    }
    agent.end();
    actions
}

#[test]
fn a_policy_acts_as_in_an_evaluation_greedily_and_by_drawing() {
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path());
    let greedy = evaluated(&run, &[]);
    assert_eq!(greedy.len(), 6);
    // The tasks of the split, in their order.
    let config = run.join("config.toml");
    let mut environment =
        Talk::begin(&["env", "serve", "--config", config.to_str().unwrap(), "--split", "valid"]);
    let name = |number: usize| {
        let reset = json!({ "op": "reset", "session": 0, "number": number, "seed": 0 });
        environment.ask(&reset)["task"].as_str().unwrap().to_string()
    };
    let names: Vec<String> = (0..6).map(name).collect();
    assert_eq!(acted(&run, &names, &[]), greedy);
    let drawn = evaluated(&run, &["--eval-temperature", "0.7", "--seed", "5"]);
    assert_ne!(drawn, greedy);
    assert_eq!(acted(&run, &names, &["--temperature", "0.7", "--seed", "5"]), drawn);
}

#[test]
fn lines_that_cannot_be_answered_are_refused_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path());
    let mut agent = Talk::begin(&["act", "--backend", "flex", "--run", run.to_str().unwrap()]);
    let step =
        json!({ "id": "a", "observation": "a room", "admissible": ["look", "go to shelf 1"] });
    let mut begin = step.clone();
    begin["goal"] = "put a mug on shelf 1".into();
    let refused = |answer: Value, says: &str| {
        let error = answer["error"].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert!(error.contains(says), "{error}");
    };
    refused(agent.ask(&step), "there is no episode of this id");
    assert!(agent.ask(&begin)["action"].is_string());
    writeln!(agent.input, "nonsense").unwrap();
    refused(agent.read(), "standard input:3");
    for (member, value, says) in [
        ("observation", Value::Null, "observation: is missing"),
        ("admissible", Value::Null, "admissible: is missing"),
        ("admissible", json!([]), "admissible: is empty"),
        ("id", json!([1]), "expected a text or a number"),
        ("reset", json!(true), "goal: is missing"),
    ] {
        let mut wrong = step.clone();
        wrong[member] = value;
        refused(agent.ask(&wrong), says);
    }
    // The episode went on, and another has a memory of its own.
    assert!(agent.ask(&step)["action"].is_string());
    let mut other = begin.clone();
    other["id"] = 7.into();
    assert_eq!(agent.ask(&other)["id"], 7);
    assert_eq!(agent.ask(&json!({ "id": "a", "end": true })), json!({ "id": "a", "ended": true }));
    refused(agent.ask(&step), "there is no episode of this id");
    agent.end();
}

#[test]
fn the_python_example_plays_an_episode() {
    if !python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path());
    let mut example = Command::new(python_name());
    example.arg("examples/acting_agent.py").arg("--run").arg(&run);
    example.args(["--episodes", "3", "--backend", "flex", "--proxmo"]);
    example.arg(assert_cmd::cargo::cargo_bin("proxmo"));
    let assert = example.current_dir(env!("CARGO_MANIFEST_DIR")).assert().success();
    let told = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    assert_eq!(told.matches(" after ").count(), 3, "{told}");
    assert!(told.contains("\n> "), "{told}");
}
