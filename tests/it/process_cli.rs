//! `--env process`: train on, evaluate and play the tasks of another program.

use std::fs;
use std::path::Path;

use crate::support::alfworld::{admissible, observation};
use crate::support::process::{Fake, python, python_name};
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use proxmo::env::alfworld::AlfWorldConfig;
use proxmo::env::household::HouseholdConfig;
use proxmo::env::process::{Process, ProcessConfig, command_line};
use proxmo::env::{Environment, pick_task};
use serde_json::Value;

fn proxmo(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("proxmo").unwrap();
    command.args(arguments);
    command
}

/// One line on standard error, exit code 2, nothing on standard output.
fn refused(arguments: &[&str], says: &str) {
    let one_line = predicate::function(|text: &str| text.trim_end().lines().count() == 1);
    let folder = tempfile::tempdir().unwrap();
    let mut command = proxmo(arguments);
    let done = command.current_dir(folder.path()).assert().code(2).stdout("");
    done.stderr(contains(says).and(one_line));
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "something was written");
}

/// The command that serves tasks of our own.
fn server(more: &str) -> String {
    let program = assert_cmd::cargo::cargo_bin("proxmo");
    let program = program.to_str().unwrap();
    format!("{} env serve {more}", command_line([program]))
}

const HOUSEHOLD: &str = "--train-tasks 40 --held-out 10 --difficulty easy --max-steps 40";

fn train(run: &Path, more: &[&str]) -> assert_cmd::assert::Assert {
    let mut command = proxmo(&["train", "--backend", "flex", "--groups", "4", "--group-size", "4"]);
    command.args(["--policy-embedding", "8", "--hidden", "8", "--eval-every", "2", "--quiet"]);
    command.args(["--entropy-weight", "0.01", "--seed", "10"]);
    command.args(["--learning-rate", "0.02", "--checkpoint-every", "2", "--eval-temperature", "1"]);
    command.args(more).arg("--run").arg(run).assert()
}

fn metrics(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let timeless = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("seconds").unwrap();
        line
    };
    text.lines().map(timeless).collect()
}

#[track_caller]
fn assert_same(one: &Path, other: &Path, iteration: u64) {
    assert_eq!(metrics(one), metrics(other));
    for name in ["weights.safetensors", "reference.safetensors", "optimizer.bpk", "policy.json"] {
        let read = |run: &Path| {
            fs::read(run.join(format!("checkpoints/{iteration:06}")).join(name)).unwrap()
        };
        assert!(read(one) == read(other), "{name} differs");
    }
}

#[test]
fn a_served_environment_plays_like_the_original() {
    let rules = AlfWorldConfig { max_steps: 20, ..AlfWorldConfig::default() };
    let config = HouseholdConfig { tasks: 30, held_out: 10, rules, ..HouseholdConfig::default() };
    let command = server("--train-tasks 30 --held-out 10 --max-steps 20");
    let program =
        ProcessConfig { command, answer_timeout: 120.0, processes: 2, ..ProcessConfig::default() };
    for split in ["train", "valid"] {
        let here = config.generate(Some(split)).unwrap();
        let there = Process::open(&program, Some(split)).unwrap();
        assert_eq!(there.name(), here.name());
        assert_eq!((there.tasks(), there.max_steps()), (here.tasks(), here.max_steps()));
        assert_eq!(there.kinds(), here.kinds());
        for task in 0..here.tasks() {
            let (mut a, mut b) = (here.start(task, 0).unwrap(), there.start(task, 0).unwrap());
            assert_eq!(a.goal(), b.goal());
            assert_eq!(here.task_kind(task), there.task_kind(task));
            let solution = here.walkthrough(task).iter().cloned();
            let wander = (0..25).map(|step| {
                let actions = admissible(&*here.start(task, 0).unwrap());
                actions[pick_task(actions.len(), step)].clone()
            });
            let odd = ["nonsense".to_string(), String::new(), "look\n\"at\" \u{e9}".to_string()];
            let actions: Vec<String> = match task % 2 {
                0 => solution.collect(),
                _ => odd.into_iter().chain(wander).collect(),
            };
            for action in actions {
                assert_eq!(observation(&*a), observation(&*b));
                assert_eq!(admissible(&*a), admissible(&*b));
                let (done, told) = (a.step(&action).unwrap(), b.step(&action).unwrap());
                assert_eq!(done, told, "{action}");
            }
            assert_eq!(observation(&*a), observation(&*b));
        }
    }
    let all = Process::open(&program, None).unwrap();
    assert_eq!(all.splits(), config.generate(None).unwrap().splits());
    assert_eq!((all.tasks(), all.task_name(29), all.task_name(30)), (40, "train/29", "valid/0"));
    assert_eq!(
        all.start(30, 0).unwrap().goal(),
        Process::open(&program, Some("valid")).unwrap().start(0, 0).unwrap().goal()
    );
    let no_split = Process::open(&program, Some("valid_seen")).err().unwrap().to_string();
    assert!(
        no_split.contains("'valid_seen' is unknown, expected 'train' or 'valid'"),
        "{no_split}"
    );
}

#[test]
fn training_on_a_program_equals_training_in_process_and_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let [here, there, parts] = ["here", "there", "parts"].map(|name| folder.path().join(name));
    let household: Vec<&str> = HOUSEHOLD.split(' ').collect();
    train(&here, &[&household[..], &["--iterations", "6"]].concat()).success();
    let command = server(HOUSEHOLD);
    let program = ["--env", "process", "--command", &command, "--processes", "2"];
    train(&there, &[&program[..], &["--iterations", "6"]].concat()).success();
    assert_same(&here, &there, 6);

    assert!(metrics(&here).iter().any(|line| line["success"].as_f64() > Some(0.0)), "dull");

    let first = ["--iterations", "4", "--schedule-iterations", "6"];
    train(&parts, &[&program[..], &first].concat()).success();
    let mut resume = proxmo(&["train", "--resume", "--quiet", "--iterations", "6", "--run"]);
    resume.arg(&parts).assert().success();
    assert_same(&there, &parts, 6);

    // The run is evaluated, and a policy imitates its episodes.
    let run = parts.to_str().unwrap();
    let episodes = folder.path().join("demos.jsonl");
    let episodes = episodes.to_str().unwrap();
    let evaluated = proxmo(&["eval", "--json", "--run", run]).assert().success();
    let evaluated: Value = serde_json::from_slice(&evaluated.get_output().stdout).unwrap();
    assert_eq!(
        (&evaluated["overall"]["tasks"], &evaluated["split"]),
        (&10.into(), &"valid".into())
    );
    let expert = ["eval", "--player", "expert", "--split", "train", "--episode-file", episodes];
    proxmo(&expert).args(&household[2..]).args(["--train-tasks", "40"]).assert().success();
    // Tasks are named by their numbers there.
    let text = fs::read_to_string(episodes).unwrap();
    let renamed = text.lines().enumerate().map(|(task, line)| {
        let mut episode: Value = serde_json::from_str(line).unwrap();
        episode["group"] = format!("train/{task}").into();
        format!("{episode}\n")
    });
    fs::write(episodes, renamed.collect::<String>()).unwrap();
    let clone =
        ["clone", "--imitate", episodes, "--iterations", "2", "--quiet", "--backend", "flex"];
    let cloned = folder.path().join("cloned");
    proxmo(&clone).args(program).arg("--run").arg(&cloned).assert().success();
    let lines = metrics(&cloned);
    assert!(lines[2]["loss"].as_f64() < lines[1]["loss"].as_f64(), "{lines:?}");
}

#[test]
fn a_run_survives_the_death_of_its_program_without_a_loss() {
    if !python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = |fault: &str| {
        let (fake, path) = (Fake::new(fault), folder.path().join(fault));
        let program = ["--env", "process", "--command", &fake.command(), "--processes", "4"];
        let more = ["--iterations", "6"];
        let done = train(&path, &[&program[..], &more].concat()).success();
        let said = String::from_utf8(done.get_output().stderr.clone()).unwrap();
        let lost = |line: &Value| line["environment_errors"].as_u64().unwrap();
        let lines = metrics(&path);
        let lost: u64 = lines.iter().map(lost).sum();
        (fake, lines, lost, said)
    };
    // Four copies play training tasks. The three held-out tasks need three copies.
    let (fake, sound, lost, said) = run("none");
    assert_eq!((fake.pids().len(), lost, said.as_str()), (7, 0, ""));
    // A copy dies while the vocabulary is read, which is retried.
    let (fake, struck, lost, said) = run("kill");
    assert_eq!((fake.pids().len(), lost, said.as_str()), (8, 0, ""));
    assert_eq!(sound, struck);
    // A copy dies in training. The episodes that it played are played again.
    let (fake, late, lost, said) = run("kill late");
    assert_eq!((fake.pids().len(), lost), (8, 0));
    assert!(said.contains("played again") && said.contains("ended with signal: 9"), "{said}");
    assert_eq!(sound, late);
}

#[test]
fn settings_that_do_not_fit_a_program_are_refused() {
    let program = ["--env", "process", "--command", &server("")];
    let with = |arguments: &[&'static str]| -> Vec<String> {
        arguments.iter().chain(&program).map(ToString::to_string).collect()
    };
    for (arguments, says) in [
        (&["eval", "--player", "expert"][..], "environment 'household' has no expert"),
        (&["play", "--walkthrough"], "environment 'household' has none"),
        (&["clone"], "environment 'household' has no expert; name an episode file"),
        (&["clone", "--imitate", "walkthroughs"], "name an episode file"),
        (
            &["play", "--paraphrase", "0.3"],
            "(--paraphrase): is a setting of env.name = \"household\"",
        ),
        (
            &["train", "--max-steps", "20"],
            "(--max-steps): is a setting of env.name = \"household\"",
        ),
        (&["train", "--answer-timeout", "-1"], "env.answer_timeout"),
        (&["train", "--processes", "0"], "env.processes"),
        (&["train", "--train-split", "test"], "'test' is unknown, expected 'train' or 'valid'"),
    ] {
        let words = with(arguments);
        refused(&words.iter().map(String::as_str).collect::<Vec<_>>(), says);
    }
    refused(&["train", "--env", "process"], "setting 'env.command' (--command): is not set");
    refused(
        &["train", "--command", "x"],
        "setting 'env.command' (--command): is a setting of env.name = \"process\" only",
    );
    refused(&["train", "--env", "process", "--command", "./nowhere"], "'./nowhere' cannot be run");
}

#[cfg(unix)]
#[test]
fn a_program_on_another_machine_is_run_through_ssh() {
    use std::os::unix::fs::PermissionsExt;

    // A stand-in for ssh, which runs its command on this machine: as ssh does, it drops the host, joins the
    // other words and gives them to a shell.
    const SSH: &str = "#!/bin/sh\n[ \"$1\" = host ] || exit 255\nshift\nexec sh -c \"$*\"\n";
    if !python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let ssh = folder.path().join("ssh");
    fs::write(&ssh, SSH).unwrap();
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/keys_env.py");
    let command = |host: &str| {
        command_line([ssh.to_str().unwrap(), host, python_name(), example.to_str().unwrap()])
    };
    let run = folder.path().join("run");
    let train = ["train", "--env", "process", "--command", &command("host"), "--processes", "2"];
    let short = ["--backend", "flex", "--iterations", "2", "--eval-every", "0", "--quiet", "--run"];
    proxmo(&train).args(short).arg(&run).assert().success();
    let play = ["play", "--env", "process", "--command", &command("nowhere")];
    refused(&play, "ended with exit status: 255");
}

#[test]
fn the_python_example_is_learned_and_played() {
    if !python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/keys_env.py");
    let text = fs::read_to_string(&example).unwrap();
    let command = command_line([python_name(), example.to_str().unwrap()]);
    // The command of its header, with other paths.
    let (_, rest) = text.split_once("    proxmo train ").unwrap();
    let header = rest.lines().next().unwrap();
    let mut words = shlex::split(header).unwrap();
    for word in &mut words {
        match word.as_str() {
            "python3 examples/keys_env.py" => word.clone_from(&command),
            "runs/keys" => *word = run.display().to_string(),
            _ => {}
        }
    }
    proxmo(&["train", "--backend", "flex", "--quiet"]).args(&words).assert().success();
    let evaluated = proxmo(&["eval", "--json", "--run", run.to_str().unwrap()]).assert().success();
    let evaluated: Value = serde_json::from_slice(&evaluated.get_output().stdout).unwrap();
    assert_eq!(evaluated["overall"]["tasks"], 7);
    assert!(evaluated["success"].as_f64().unwrap() > 0.9, "{evaluated}");

    let mut play = proxmo(&["play", "--env", "process", "--command", &command, "--task", "3"]);
    let plays = contains("Goal: open the").and(contains("You hold the gold key."));
    play.write_stdin("take gold key\n").assert().success().stdout(plays);
}
