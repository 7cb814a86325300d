//! `proxmo compare` and `proxmo report`: training, resuming, refusals and reports.

use std::fs;
use std::path::Path;
use std::time::Duration;

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;

use crate::support::SMALL_TRAINING;

fn proxmo(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("proxmo").unwrap();
    command.args(arguments);
    command
}

fn compare(folder: &Path, more: &[&str]) -> Command {
    let mut command = proxmo(&["compare"]);
    command.args(SMALL_TRAINING).args(more).arg("--run-folder").arg(folder);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The metrics without the times.
fn metrics(run: &Path) -> Vec<Value> {
    let timeless = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("seconds");
        line
    };
    read(&run.join("metrics.jsonl")).lines().map(timeless).collect()
}

#[test]
fn a_finished_comparison_is_reported_and_not_trained_again() {
    let folder = tempfile::tempdir().unwrap();
    let study = folder.path().join("study");
    let arguments = ["--estimators", "grpo,proxmo", "--seeds", "2", "--iterations", "3"];
    compare(&study, &[&arguments[..], &["--jobs", "2"]].concat())
        .assert()
        .success()
        .stdout(contains("| grpo ").and(contains("| proxmo ")).and(contains("steps to 90 %")))
        .stderr(contains("grpo-s1: finished after iteration 3").and(contains("4 of 4 runs")));
    let runs = ["grpo-s0", "grpo-s1", "proxmo-s0", "proxmo-s1"];
    for run in runs {
        assert_eq!(metrics(&study.join(run)).len(), 4, "{run}");
        assert!(study.join(run).join("report.html").is_file(), "{run}");
    }

    // A training gives the same results in a comparison and alone.
    let alone = folder.path().join("alone");
    proxmo(&["train", "--quiet", "--estimator", "proxmo", "--seed", "1", "--iterations", "3"])
        .args(SMALL_TRAINING)
        .arg("--run")
        .arg(&alone)
        .assert()
        .success();
    assert_eq!(metrics(&alone), metrics(&study.join("proxmo-s1")));
    let weights = "checkpoints/000003/weights.safetensors";
    assert!(
        fs::read(alone.join(weights)).unwrap()
            == fs::read(study.join("proxmo-s1").join(weights)).unwrap(),
        "weights differ"
    );

    // Finished runs are skipped, and the report is the same to the byte.
    let report = read(&study.join("report.html"));
    let before = runs.map(|run| read(&study.join(run).join("metrics.jsonl")));
    compare(&study, &arguments).assert().success().stderr(contains("4 finished, 0 started"));
    assert_eq!(runs.map(|run| read(&study.join(run).join("metrics.jsonl"))), before);
    assert_eq!(read(&study.join("report.html")), report);
    let again = folder.path().join("again.html");
    proxmo(&["report"]).arg(&study).arg("--output").arg(&again).assert().success();
    assert_eq!(read(&again), report);
    let kind = metrics(&alone)[0]["evaluation"]["kinds"][0]["kind"].as_str().unwrap().to_string();
    for text in ["grpo", "proxmo", "Success on held-out tasks", "credit.estimator", &kind] {
        assert!(report.contains(text), "{text}");
    }
    assert!(!report.contains("http"));

    // A third seed is added; other settings are refused before anything is written.
    let more = ["--estimators", "grpo", "--seeds", "0,2", "--iterations", "3"];
    compare(&study, &more).assert().success().stdout(contains("| grpo    |    3 |"));
    let other = ["--estimators", "hgpo,grpo", "--seeds", "1", "--iterations", "4"];
    let says = "grpo-s0/config.toml: the run there has other settings: run.iterations is 3 there";
    compare(&study, &other).assert().code(2).stdout("").stderr(contains(says));
    assert!(!study.join("hgpo-s0").exists());
}

#[test]
fn a_sweep_trains_the_best_trials_longer_and_continues_after_its_end_without_training() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "--sweep",
        "update.learning_rate=1e-4..1e-2:log",
        "--sweep",
        "credit.gamma=0.9,1.0",
        "--trials",
        "4",
        "--iterations",
        "6",
    ];
    let assert = compare(folder.path(), &arguments).assert().success();
    let output = assert.get_output().clone();
    let (told, shown) = (text(&output.stderr), text(&output.stdout));
    assert!(told.contains("round 1 of 2: 4 trials, to iteration 2"), "{told}");
    assert!(told.contains("round 2 of 2: 2 trials, to iteration 6"), "{told}");
    let trials: Vec<_> =
        (1..=4).map(|trial| folder.path().join(format!("trial-{trial}-s0"))).collect();
    let results: Vec<(usize, f64)> = trials
        .iter()
        .map(|run| {
            let lines = metrics(run);
            (lines.len() - 1, lines[2]["evaluation"]["return"].as_f64().unwrap())
        })
        .collect();
    let longest: Vec<f64> = results.iter().filter(|one| one.0 == 6).map(|one| one.1).collect();
    let stopped: Vec<f64> = results.iter().filter(|one| one.0 == 2).map(|one| one.1).collect();
    assert_eq!((longest.len(), stopped.len()), (2, 2), "{results:?}");
    // Equal trials keep their order.
    assert!(longest.iter().all(|one| stopped.iter().all(|other| one >= other)), "{results:?}");
    let best = shown.lines().find(|line| line.starts_with("The best trial is trial-")).unwrap();
    assert!(best.contains("update.learning_rate = "), "{best}");
    assert!(folder.path().join("report.html").is_file());

    let before = trials.iter().map(|run| read(&run.join("metrics.jsonl"))).collect::<Vec<_>>();
    let again = compare(folder.path(), &arguments).assert().success();
    assert!(text(&again.get_output().stdout).contains(best));
    assert_eq!(
        trials.iter().map(|run| read(&run.join("metrics.jsonl"))).collect::<Vec<_>>(),
        before
    );
}

#[test]
fn sweeps_that_cannot_be_divided_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let sweep = ["--sweep", "update.epochs=1..4"];
    for (more, says) in [
        (&["--minutes", "1"][..], "run.iterations"),
        (&["--eval-every", "0"], "--eval-every"),
        (&["--sweep", "update.epoch=1,2"], "did you mean update.epochs?"),
        (&["--estimators", "grpo"], "cannot be used with"),
    ] {
        let study = folder.path().join("study");
        compare(&study, &[&sweep[..], more].concat()).assert().code(2).stderr(contains(says));
        assert!(!study.exists(), "{more:?}");
    }
}

#[test]
fn a_failed_run_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    // A file in place of the folder of checkpoints makes the run fail.
    fs::create_dir(folder.path().join("grpo-s0")).unwrap();
    fs::write(folder.path().join("grpo-s0/checkpoints"), "").unwrap();
    let arguments = ["--estimators", "grpo,rloo", "--seeds", "1", "--iterations", "1"];
    compare(folder.path(), &arguments)
        .assert()
        .code(1)
        .stderr(contains("grpo-s0: failed").and(contains("1 of 2 runs failed")));
    assert_eq!(metrics(&folder.path().join("rloo-s0")).len(), 2);
    // The failed run has no checkpoint, so it starts again.
    fs::remove_file(folder.path().join("grpo-s0/checkpoints")).unwrap();
    compare(folder.path(), &arguments).assert().success();
    assert_eq!(metrics(&folder.path().join("grpo-s0")).len(), 2);
}

#[test]
#[cfg(unix)]
fn after_an_interrupt_the_same_command_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let study = folder.path().join("a study");
    let arguments =
        ["--estimators", "grpo", "--variant", "hot: --proximity-temperature 0.5", "--seeds", "1"];
    let begin = |iterations: &str| {
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("proxmo"));
        command
            .arg("compare")
            .args(SMALL_TRAINING)
            .args(arguments)
            .args(["--iterations", iterations]);
        command.args(["--jobs", "2", "--run-folder"]).arg(&study);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
        command
    };
    let mut child = begin("100000").spawn().unwrap();
    let runs = ["grpo-s0", "hot-s0"].map(|run| study.join(run));
    let lines = |run: &Path| {
        fs::read_to_string(run.join("metrics.jsonl")).map_or(0, |text| text.lines().count())
    };
    while runs.iter().any(|run| lines(run) < 3) {
        assert!(child.try_wait().unwrap().is_none(), "the comparison ended early");
        std::thread::sleep(Duration::from_millis(20));
    }
    let interrupt =
        std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("Stopped with 0 of 2 runs finished. Continue with:"), "{said}");
    assert!(said.contains("proxmo compare") && said.contains("a study'"), "{said}");
    assert!(said.contains("'hot: --proximity-temperature 0.5'"), "{said}");
    assert!(read(&study.join("report.html")).contains("0 finished"));

    // With a lower limit of iterations, both runs resume and finish.
    let done = runs.each_ref().map(|run| lines(run) as u64 - 1);
    let goal = (done[0].max(done[1]) + 2).to_string();
    for run in &runs {
        let path = run.join("config.toml");
        let config = read(&path).replace("iterations = 100000", &format!("iterations = {goal}"));
        fs::write(&path, config).unwrap();
    }
    let first = runs.each_ref().map(|run| metrics(run));
    let output = begin(&goal).output().unwrap();
    assert!(output.status.success());
    for (run, first) in runs.iter().zip(first) {
        let all = metrics(run);
        assert_eq!(all.last().unwrap()["iteration"].to_string(), goal);
        assert_eq!(all[..first.len()], first, "earlier iterations are kept");
    }
}

#[test]
fn invalid_comparisons_are_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let study = folder.path().join("study");
    let one_line = || predicate::function(|text: &str| text.trim_end().lines().count() == 1);
    for (arguments, says) in [
        (["--estimators", "magic"], "expected any of proxmo, gigpo"),
        (["--estimators", "grpo,grpo"], "'grpo' is given twice"),
        (["--variant", "no colon"], "expected NAME: FLAGS"),
        (["--seeds", "0"], "expected a number from 1 to 1000"),
        (["--epochs", "0"], "update.epochs"),
        (["--train-split", "nowhere"], "'nowhere' is unknown"),
    ] {
        let assert = compare(&study, &arguments).assert().code(2).stdout("");
        assert.stderr(contains(says).and(one_line()));
    }
    assert!(!study.exists(), "a refused comparison writes nothing");
    for command in ["compare", "report"] {
        proxmo(&[command, "--help"]).assert().success().stdout(contains("Examples:"));
    }
    let ablations = contains("proxmo-no-modulation").and(contains("proxmo-improved"));
    proxmo(&["compare", "--help"]).assert().success().stdout(ablations);
}

#[test]
fn a_report_names_an_invalid_line_and_ignores_an_incomplete_last_line() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("<i>run");
    proxmo(&["train", "--quiet", "--iterations", "2"])
        .args(SMALL_TRAINING)
        .arg("--run")
        .arg(&run)
        .assert()
        .success();
    let path = run.join("metrics.jsonl");
    let whole = read(&path);
    let report = || {
        let mut command = proxmo(&["report"]);
        command.arg(&run);
        command
    };
    report().assert().success();
    let page = read(&run.join("report.html"));
    assert!(page.contains("&lt;i&gt;run") && !page.contains("<i>run"));

    fs::write(&path, format!("{whole}{}", &whole[..40])).unwrap();
    report().assert().success();
    assert_eq!(read(&run.join("report.html")), page, "an incomplete line changes nothing");

    let second = whole.find('\n').unwrap() + 1;
    fs::write(&path, format!("{}{{\"oops\"\n{}", &whole[..second], &whole[second..])).unwrap();
    report().assert().code(2).stdout("").stderr(contains("metrics.jsonl:2: not a metrics line"));
    assert_eq!(read(&run.join("report.html")), page, "a refused report changes nothing");

    fs::write(&path, "").unwrap();
    report().assert().code(2).stderr(contains("no run there has metrics"));
    proxmo(&["report"]).arg(folder.path().join("absent")).assert().code(2);
}
