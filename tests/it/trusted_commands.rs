//! The command of a run folder runs only if this user started it there.

use std::fs;
use std::path::Path;

use crate::support::process::{Fake, python, python_name};
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;

/// The command line of a user whose state lies below `home`.
fn proxmo(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("proxmo").unwrap();
    command.env("HOME", home).env("XDG_STATE_HOME", home.join("state")).args(arguments);
    command
}

fn train(home: &Path, run: &str, command: &str) -> Command {
    let mut train =
        proxmo(home, &["train", "--env", "process", "--command", command, "--run", run]);
    train.args(["--backend", "flex", "--groups", "2", "--group-size", "2", "--iterations", "1"]);
    train.args(["--policy-embedding", "4", "--hidden", "4", "--quiet"]);
    train
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(fs::copy(&path, &target).unwrap()),
        }
    }
}

#[test]
fn the_command_of_a_folder_from_elsewhere_is_not_run() {
    if !python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [home, other] = ["home", "other"].map(|name| folder.path().join(name));
    let (run, copied) = (folder.path().join("run"), folder.path().join("copied"));
    let fake = Fake::new("none");
    let [run_name, copied_name] = [&run, &copied].map(|path| path.to_str().unwrap());
    train(&home, run_name, &fake.command()).assert().success();
    // The user who started it goes on without further flags.
    let eval = |home: &Path, run: &str, more: &[&str]| {
        let mut eval = proxmo(home, &["eval", "--run", run, "--json"]);
        eval.args(more).assert()
    };
    eval(&home, run_name, &[]).success();
    let resume = ["train", "--run", run_name, "--resume", "--quiet", "--iterations", "2"];
    proxmo(&home, &resume).assert().success();

    // Neither another user, nor a copy, nor another command is trusted.
    copy(&run, &copied);
    let elsewhere = [(&other, run_name), (&home, copied_name)];
    let one_line = || predicate::function(|text: &str| text.trim_end().lines().count() == 1);
    let ran = fake.pids().len();
    for (home, run) in elsewhere {
        let refused = eval(home, run, &[]).code(2).stdout("");
        let says = contains("--trust-command").and(contains("--command")).and(one_line());
        refused.stderr(says.and(contains(python_name()).and(contains("program.py"))));
        let mut resume = proxmo(home, &["train", "--run", run, "--resume", "--quiet"]);
        resume.assert().code(2).stderr(contains("--trust-command"));
        let mut expert = proxmo(home, &["eval", "--player", "random", "--run", run]);
        expert.assert().code(2).stderr(contains("--trust-command"));
        // A report runs nothing.
        proxmo(home, &["report", run]).assert().success();
    }
    assert_eq!(fake.pids().len(), ran, "nothing was run");
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    fs::write(run.join("config.toml"), config.replace("program.py", "./program.py")).unwrap();
    eval(&home, run_name, &[]).code(2).stderr(contains("--trust-command"));
    fs::write(run.join("config.toml"), config).unwrap();
    eval(&home, run_name, &[]).success();

    // With the command given again, or with trust, it runs; a resume then counts as a start.
    for (home, run) in elsewhere {
        eval(home, run, &["--command", &fake.command()]).success();
        eval(home, run, &["--trust-command"]).success();
        eval(home, run, &[]).code(2);
        let resume = ["train", "--run", run, "--resume", "--quiet", "--iterations", "3"];
        proxmo(home, &resume).arg("--trust-command").assert().success();
        eval(home, run, &[]).success();
    }
}

#[test]
fn a_program_runs_in_the_folder_in_which_its_run_was_started() {
    if !python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let fake = Fake::new("none");
    let there = fake.path("");
    let run = folder.path().join("run");
    let run = run.to_str().unwrap();
    let relative = &format!("{} program.py none .", python_name());
    train(&home, run, relative).current_dir(&there).assert().success();
    let resume = ["train", "--run", run, "--resume", "--quiet", "--iterations", "2"];
    proxmo(&home, &resume).current_dir(folder.path()).assert().success();
    let mut eval = proxmo(&home, &["eval", "--run", run]);
    eval.current_dir(folder.path()).assert().success();
    // The same command again means the same program; another one starts here.
    let mut eval = proxmo(&home, &["eval", "--run", run, "--command", relative]);
    eval.current_dir(folder.path()).assert().success();
    let other = format!("{} ./program.py none .", python_name());
    let mut eval = proxmo(&home, &["eval", "--run", run, "--command", &other]);
    eval.current_dir(folder.path()).assert().code(2).stderr(contains("program.py"));
    let words = ["eval", "--run", run, "--command", relative, "--working-folder"];
    let mut eval = proxmo(&home, &words);
    eval.arg(folder.path()).assert().code(2).stderr(contains("program.py"));
}

#[test]
fn a_program_whose_texts_change_with_each_start_is_resumed() {
    if !python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let run = folder.path().join("run");
    let run = run.to_str().unwrap();
    let fake = Fake::new("clock");
    train(&home, run, &fake.command()).assert().success();
    let resume = ["train", "--run", run, "--resume", "--quiet", "--iterations", "2"];
    proxmo(&home, &resume).assert().success();
    let lines = fs::read_to_string(Path::new(run).join("metrics.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 3);
}
