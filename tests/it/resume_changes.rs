//! What a resume keeps, what it may change, and what a run folder says about it.

use std::fs;
use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;

fn proxmo(folder: &Path, arguments: &str) -> Output {
    let mut command = Command::cargo_bin("proxmo").unwrap();
    let words = shlex::split(arguments).unwrap();
    command.current_dir(folder).args(words).output().unwrap()
}

const TINY: &str = "train --backend flex --train-tasks 20 --held-out 4 --groups 2 --group-size 4 \
    --difficulty easy --max-steps 10 --policy-embedding 4 --hidden 4 --quiet";

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(text).unwrap()
}

/// Runs a command that succeeds, and returns its output.
#[track_caller]
fn succeed(folder: &Path, arguments: &str) -> String {
    let output = proxmo(folder, arguments);
    assert!(output.status.success(), "{arguments}: {}", said(&output));
    said(&output)
}

/// Runs a command that is refused, and returns its error line.
#[track_caller]
fn refuse(folder: &Path, arguments: &str) -> String {
    let output = proxmo(folder, arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments}: {}", said(&output));
    assert_eq!(said(&output).trim_end().lines().count(), 1, "{}", said(&output));
    said(&output)
}

fn lines(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn rates(run: &Path) -> Vec<f64> {
    lines(run).iter().skip(1).map(|line| line["learning_rate"].as_f64().unwrap()).collect()
}

fn config(run: &Path) -> toml::Table {
    fs::read_to_string(run.join("config.toml")).unwrap().parse().unwrap()
}

#[test]
fn a_resumed_run_keeps_the_schedule_of_its_start() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    succeed(here, &format!("{TINY} --iterations 3 --run run"));
    let first = rates(&here.join("run"));
    assert!(first[0] > first[1] && first[1] > first[2], "{first:?}");
    assert_eq!(config(&here.join("run"))["update"]["schedule_iterations"].as_integer(), Some(3));

    let resumed = succeed(here, "train --run run --resume --iterations 6 --quiet");
    assert!(resumed.contains("the schedule was planned for 3 iterations"), "{resumed}");
    assert!(resumed.contains("after iteration 3, the learning rate keeps its last value"));
    let all = rates(&here.join("run"));
    assert_eq!(all[..3], first);
    assert!(all[3..].iter().all(|&rate| rate < first[2] && rate == all[3]), "{all:?}");
    assert!((all[3] - 1e-4).abs() < 1e-12, "a tenth of the default rate: {all:?}");

    // A run that is planned for six iterations has the same rates in two parts.
    succeed(here, &format!("{TINY} --iterations 6 --run whole"));
    succeed(here, &format!("{TINY} --iterations 3 --schedule-iterations 6 --run parts"));
    let resumed = succeed(here, "train --run parts --resume --iterations 6 --quiet");
    assert!(!resumed.contains("schedule"), "{resumed}");
    assert_eq!(rates(&here.join("whole")), rates(&here.join("parts")));
}

#[test]
fn a_value_head_comes_with_a_new_run_and_not_with_a_resume() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    succeed(here, &format!("{TINY} --iterations 1 --run plain"));
    for (flags, setting) in
        [("--estimator ppo", "credit.estimator"), ("--value-weight 0.5", "credit.value_weight")]
    {
        let refused = refuse(here, &format!("train --run plain --resume --iterations 2 {flags}"));
        assert!(refused.contains(setting) && refused.contains("has no value head"), "{refused}");
        assert!(refused.contains("run.init"), "{refused}");
    }
    // The run is as it was, and another one adds the head to its policy.
    succeed(here, "train --run plain --resume --iterations 2 --quiet");
    succeed(here, &format!("{TINY} --iterations 2 --run ppo --init plain --estimator ppo"));
    let last = lines(&here.join("ppo")).pop().unwrap();
    assert!(last["value"]["loss"].is_f64(), "{last}");
    // A policy with a head can go on without the need of it.
    succeed(here, &format!("{TINY} --iterations 1 --run again --init ppo --estimator grpo"));
    succeed(here, "train --run ppo --resume --iterations 3 --estimator proxmo --quiet");
    let last = lines(&here.join("ppo")).pop().unwrap();
    assert_eq!(last["value"], Value::Null, "{last}");
    succeed(here, "eval --run ppo");

    let refused = refuse(here, "train --policy lm --estimator ppo --run lm");
    assert!(refused.contains("credit.estimator") && refused.contains("kind 'lm'"), "{refused}");
}

#[test]
fn settings_that_a_resume_changes_are_recorded_and_stay() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let run = here.join("a run");
    succeed(here, &format!("{TINY} --iterations 2 --run 'a run'"));
    let before = fs::read_to_string(run.join("config.toml")).unwrap();
    let resume = "train --run 'a run' --resume --quiet";
    succeed(here, &format!("{resume} --iterations 4 --estimator grpo --learning-rate 0.01"));
    // The old settings are kept, and the new ones are those of the run.
    assert_eq!(fs::read_to_string(run.join("configs/000002.toml")).unwrap(), before);
    assert_eq!(config(&run)["credit"]["estimator"].as_str(), Some("grpo"));
    assert_eq!(config(&run)["update"]["learning_rate"].as_float(), Some(0.01));
    let all = lines(&run);
    let changes = &all[3]["changes"];
    assert_eq!(changes["update.learning_rate"], serde_json::json!(["0.001", "0.01"]));
    assert_eq!(changes["credit.estimator"], serde_json::json!(["\"proxmo\"", "\"grpo\""]));
    assert!(changes.get("run.iterations").is_none(), "a limit does not change the training");
    assert!(all.iter().all(|line| line["iteration"] == 3 || line.get("changes").is_none()));
    let report = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(report.contains("Settings that a resume changed"));

    // A later resume does not go back.
    succeed(here, &format!("{resume} --iterations 5"));
    assert_eq!(config(&run)["credit"]["estimator"].as_str(), Some("grpo"));
    assert_eq!(lines(&run).len(), 6);
    assert!(lines(&run)[5].get("changes").is_none());
    let starts = config(&run)["provenance"].as_array().unwrap().clone();
    assert_eq!(starts.len(), 3);
    assert_eq!(starts[1]["iteration"].as_integer(), Some(2));
}

#[test]
fn a_finished_run_says_that_nothing_is_left_to_train_and_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let trained = succeed(here, &format!("{TINY} --iterations 1 --run \"it's\""));
    let quoted = shlex::try_quote("it's").unwrap();
    assert!(trained.contains(&format!("proxmo eval --run {quoted}")), "{trained}");
    let nothing = succeed(here, "train --run \"it's\" --resume --quiet");
    assert!(nothing.contains("Nothing to train: the run has reached its limit (1 iteration"));
    // The command that it prints works.
    let command = nothing.lines().find_map(|line| line.trim().strip_prefix("proxmo ")).unwrap();
    let further = succeed(here, command);
    assert!(further.contains("Trained 2 iterations"), "{further}");
    assert_eq!(lines(&here.join("it's")).len(), 3);
}

#[test]
fn the_seed_of_a_run_cannot_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    succeed(here, &format!("{TINY} --iterations 1 --run run"));
    let before = fs::read_to_string(here.join("run/config.toml")).unwrap();
    let message = refuse(here, "train --run run --resume --seed 9 --iterations 2");
    assert!(message.contains("setting 'run.seed' (--seed): is 9, but the run has the seed 0"));
    assert_eq!(fs::read_to_string(here.join("run/config.toml")).unwrap(), before);
}

#[test]
fn the_settings_file_says_how_the_run_came_about_and_what_was_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let more = "--backend auto --iterations 1 --run run --seed 3";
    succeed(here, &format!("{TINY} {more}"));
    let config = config(&here.join("run"));
    assert_ne!(config["run"]["backend"].as_str(), Some("auto"));
    let start = &config["provenance"][0];
    assert_eq!(start["version"].as_str(), Some(env!("CARGO_PKG_VERSION")));
    assert!(!start["device"].as_str().unwrap().is_empty());
    let words: Vec<&str> =
        start["command_line"].as_array().unwrap().iter().filter_map(|it| it.as_str()).collect();
    assert_eq!(words[1..], shlex::split(&format!("{TINY} {more}")).unwrap());
    // The crate is built in a checkout or outside of one.
    if let Some(commit) = start.get("commit") {
        let commit = commit.as_str().unwrap();
        assert!(commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
    // The file is valid as the file of --config.
    succeed(here, "config --config run/config.toml");
}

#[test]
fn a_checkpoint_is_written_after_some_minutes_even_if_no_iteration_is_due() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let limits = "--iterations 3 --checkpoint-every 1000000 --run";
    succeed(here, &format!("{TINY} --checkpoint-minutes 0.000001 {limits} often"));
    succeed(here, &format!("{TINY} --checkpoint-minutes 0 {limits} never"));
    let has = |run: &str, iteration: u64| {
        here.join(run).join(format!("checkpoints/{iteration:06}")).is_dir()
    };
    assert!(has("often", 1) && has("often", 2) && has("often", 3));
    assert!(!has("never", 1) && !has("never", 2) && has("never", 3));
    let help = succeed(here, "train --help");
    assert!(help.contains("--checkpoint-minutes"), "{help}");
    assert_eq!(proxmo::train::RunConfig::default().checkpoint_minutes, 5.0);
}

#[test]
fn runs_that_start_at_once_take_different_names() {
    let folder = tempfile::tempdir().unwrap();
    let children: Vec<_> = (0..4)
        .map(|_| {
            std::process::Command::new(assert_cmd::cargo::cargo_bin("proxmo"))
                .args(shlex::split(TINY).unwrap())
                .args(["--iterations", "1"])
                .current_dir(folder.path())
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }
    for number in 1..=4 {
        assert_eq!(lines(&folder.path().join(format!("runs/household-{number}"))).len(), 2);
    }
    assert!(!folder.path().join("runs/household-5").exists());
    // A run that fails at its start leaves no empty folder.
    refuse(folder.path(), &format!("{TINY} --iterations 1 --init nowhere"));
    assert!(!folder.path().join("runs/household-5").exists());
}

#[test]
#[cfg(unix)]
fn a_link_to_nowhere_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/no/such/place", folder.path().join("link")).unwrap();
    for resume in ["", "--resume"] {
        let message = match resume {
            "" => refuse(folder.path(), &format!("{TINY} --run link")),
            _ => refuse(folder.path(), "eval --run link"),
        };
        assert!(!message.contains("File exists"), "{message}");
    }
    let message = refuse(folder.path(), &format!("{TINY} --run link"));
    assert!(message.contains("is a symbolic link to /no/such/place, which does not exist"));
}

#[test]
fn a_flag_that_is_given_twice_takes_the_last_value() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let twice = succeed(here, "config --seed 1 --epochs 5 --seed 7");
    assert!(twice.contains("\nseed = 7\n") && twice.contains("\nepochs = 5\n"), "{twice}");
    succeed(here, &format!("{TINY} --iterations 9 --run first --iterations 1 --run run --quiet"));
    assert_eq!(lines(&here.join("run")).len(), 2);
    assert!(!here.join("first").exists());
    let json = succeed(here, "eval --run nowhere --json --json --run run");
    assert!(json.contains("\"iteration\": 1"), "{json}");
    succeed(here, "play --help");
}

#[test]
fn the_policy_of_another_run_is_not_called_untrained() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let plain = succeed(here, &format!("{TINY} --iterations 1 --run first"));
    assert!(plain.contains("untrained"), "{plain}");
    let loud = TINY.replace("--quiet", "");
    let next = succeed(here, &format!("{loud} --iterations 1 --init first --run second"));
    assert!(next.contains("initial") && !next.contains("untrained"), "{next}");
}
