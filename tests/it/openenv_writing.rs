//! OpenEnv servers whose actions a policy writes, and demonstrations on OpenEnv servers.

use std::path::Path;

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json};

use crate::support::fake_openenv::{Fake, Fault};

/// A command in a folder, on a server.
fn proxmo(folder: &Path, fake: &Fake, command: &str) -> Command {
    let mut all = Command::cargo_bin("proxmo").unwrap();
    all.current_dir(folder).args(command.split_whitespace());
    all.args(["--env", "openenv", "--success-above", "0.5", "--url", &fake.url()]);
    all
}

/// A small language model that writes its actions.
const WRITER: &str = "--policy lm --response free --lm-layers 1 --lm-width 32 --lm-heads 2 \
                      --lm-vocabulary 300 --max-response-tokens 8";

/// An episode file with the solutions of the first three tasks, which are all that there are.
fn write_demonstrations(file: &Path) {
    let episode = |(task, colour): (usize, &&str)| {
        let step = json!({
            "observation": format!("press {colour}"), "action": colour, "reward": 1.0,
        });
        let group = format!("train/{task}");
        json!({ "group": group, "trajectory": group, "success": true, "steps": [step] })
    };
    let lines: Vec<String> =
        ["red", "green", "blue"].iter().enumerate().map(|one| episode(one).to_string()).collect();
    std::fs::write(file, lines.join("\n") + "\n").unwrap();
}

/// The success of the newest policy of a run on all held-out tasks.
fn success(folder: &Path, run: &str) -> f64 {
    let mut command = Command::cargo_bin("proxmo").unwrap();
    command.current_dir(folder).args(["eval", "--json", "--split", "train", "--run", run]);
    let assert = command.assert().success();
    let result: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    assert_eq!(result["overall"]["tasks"], 80, "{result}");
    result["success"].as_f64().unwrap()
}

/// The mean success of five iterations of a training, which draws its actions.
fn drawn_success(run: &Path, iterations: std::ops::RangeInclusive<u64>) -> f64 {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines = lines.filter(|line| iterations.contains(&line["iteration"].as_u64().unwrap()));
    let all: Vec<f64> = lines.map(|line| line["success"].as_f64().unwrap()).collect();
    assert_eq!(all.len(), 5);
    all.iter().sum::<f64>() / 5.0
}

#[test]
fn a_writing_policy_learns_from_demonstrations_and_then_from_the_rewards_of_a_server_without_a_list()
 {
    let fake = Fake::new(Fault::ListsNothing, 4);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_demonstrations(&folder.join("solutions.jsonl"));
    let small = "--backend flex --quiet --eval-every 0 --eval-tasks 3 --learning-rate 0.003";
    let clone =
        format!("clone {WRITER} {small} --imitate solutions.jsonl --iterations 120 --run cloned");
    proxmo(folder, &fake, &clone).assert().success();
    // The demonstrations are too few for a policy that writes without mistakes.
    let train = format!(
        "train {WRITER} {small} --init cloned --groups 6 --group-size 8 --iterations 40 --run trained"
    );
    proxmo(folder, &fake, &train).assert().success();
    let run = folder.join("trained");
    let (first, last) = (drawn_success(&run, 1..=5), drawn_success(&run, 36..=40));
    assert!(first > 0.1 && first < 0.7, "after the demonstrations it wins {first}");
    assert!(last > first + 0.2, "rewards lead from {first} to {last}");
}

#[test]
fn a_policy_that_chooses_is_refused_where_no_actions_are_listed() {
    let fake = Fake::new(Fault::ListsNothing, 4);
    let folder = tempfile::tempdir().unwrap();
    write_demonstrations(&folder.path().join("solutions.jsonl"));
    for (command, says) in [
        ("train", "(--policy): is 'scorer', which chooses from a list"),
        ("train --policy lm", "(--response): is 'choice', and the environment lists no actions"),
        ("clone --imitate solutions.jsonl", "(--policy): is 'scorer', which chooses from a list"),
    ] {
        let assert = proxmo(folder.path(), &fake, command).args(["--run", "run"]).assert().code(2);
        assert.stderr(contains(says));
        assert!(!folder.path().join("run").exists(), "{command}");
    }
}

#[test]
fn demonstrations_on_a_server_come_from_an_episode_file() {
    let fake = Fake::new(Fault::None, 4);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_demonstrations(&folder.join("solutions.jsonl"));
    let clone =
        "clone --backend flex --quiet --iterations 60 --eval-every 0 --eval-tasks 3 --run cloned";
    proxmo(folder, &fake, clone).args(["--imitate", "solutions.jsonl"]).assert().success();
    assert!(success(folder, "cloned") > 0.9);
    // No server plays itself.
    let says = "(--imitate): environment 'openenv' has no expert; name an episode file instead";
    proxmo(folder, &fake, "clone --run other").assert().code(2).stderr(contains(says));
    let elsewhere = std::fs::read_to_string(folder.join("solutions.jsonl")).unwrap();
    std::fs::write(folder.join("others.jsonl"), elsewhere.replace("train/", "test/")).unwrap();
    proxmo(folder, &fake, "clone --run other --imitate others.jsonl")
        .assert()
        .code(2)
        .stderr(contains("others.jsonl:1").and(contains("such as 'train/0'")));
}
