//! Trainings on several processes, through `mpirun` (feature `mpi`).

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use assert_cmd::cargo::cargo_bin;

use runs::{all_metrics, assert_same, distance, metrics};

#[path = "../it/support/runs.rs"]
mod runs;

/// A tiny run with all state in use.
const SETTINGS: &str = "--backend flex --seed 10 --difficulty easy --eval-every 2 --eval-temperature 1 \
    --warmup 5 --proximity-temperature auto --learning-rate 0.02 --entropy-weight 0.01 \
    --schedule-iterations 4 --checkpoint-every 1 --parts 4 --quiet";

const SCORER: &str = "--policy-embedding 8 --hidden 8 --train-tasks 40 --held-out 20 --groups 5 \
    --group-size 6 --max-steps 40";

const LANGUAGE_MODEL: &str = "--policy lm --kl-weight 0.001 --lm-layers 1 --lm-width 16 --lm-heads 2 \
    --lm-vocabulary 300 --lm-context 2048 --train-tasks 10 --held-out 6 --groups 4 --group-size 3 \
    --max-steps 6";

/// As in the tests of ranks that are threads.
const WEIGHT_BOUND: f32 = 1e-4;

/// Settings of `mpirun` for any machine: processes share cores, and containers allow no ptrace.
const MPIRUN: &[&str] = &[
    "--allow-run-as-root",
    "--oversubscribe",
    "--bind-to",
    "none",
    "--mca",
    "btl_vader_single_copy_mechanism",
    "none",
];

/// `proxmo` on `ranks` processes, or in one without `mpirun` if it is 0.
fn proxmo(ranks: usize, words: &str) -> Command {
    let binary = cargo_bin("proxmo");
    let mut command = match ranks {
        0 => Command::new(binary),
        _ => {
            let mut command = Command::new("mpirun");
            command.args(MPIRUN).arg("-n").arg(ranks.to_string()).arg(binary);
            command
        }
    };
    command.args(words.split_whitespace()).env("RAYON_NUM_THREADS", "1");
    command
}

fn train(ranks: usize, run: &Path, more: &str) -> Command {
    proxmo(ranks, &format!("train --run {} {more}", run.display()))
}

#[track_caller]
fn succeed(mut command: Command) -> Output {
    let output = command.output().expect("mpirun is there (Debian: openmpi-bin)");
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn assert_same_on_ranks(settings: &str) {
    let folder = tempfile::tempdir().unwrap();
    let run = |ranks: usize| folder.path().join(ranks.to_string());
    for ranks in [0, 2, 4] {
        succeed(train(ranks, &run(ranks), &format!("{SETTINGS} {settings} --iterations 2")));
        assert_same(&run(0), &run(ranks));
    }
    assert!(metrics(&run(0)).iter().any(|line| line.gradient_norm > 0.0));
}

#[test]
fn a_scorer_has_the_same_bytes_on_two_and_four_processes() {
    assert_same_on_ranks(SCORER);
}

#[test]
fn a_language_model_has_the_same_bytes_on_two_and_four_processes() {
    assert_same_on_ranks(LANGUAGE_MODEL);
}

#[test]
fn cloning_has_the_same_bytes_on_two_processes() {
    let folder = tempfile::tempdir().unwrap();
    let run = |ranks: usize| folder.path().join(ranks.to_string());
    for ranks in [0, 2] {
        let words = format!(
            "clone --run {} {SETTINGS} {SCORER} --kl-weight 0.001 --expert-noise 0.1 --iterations 2",
            run(ranks).display()
        );
        succeed(proxmo(ranks, &words));
    }
    assert_same(&run(0), &run(2));
}

#[test]
fn a_run_resumes_on_another_number_of_processes() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    succeed(train(0, &whole, &format!("{SETTINGS} {SCORER} --iterations 4")));
    // A run that ends at its limit adds an evaluation, and the other one has it too.
    succeed(train(2, &parts, &format!("{SETTINGS} {SCORER} --iterations 2")));
    succeed(train(4, &parts, "--resume --quiet --iterations 4"));
    assert_same(&whole, &parts);
}

#[test]
fn an_evaluation_has_the_same_results_on_two_processes() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    succeed(train(0, &run, &format!("{SETTINGS} {SCORER} --iterations 1")));
    let results = |ranks: usize, words: &str| -> serde_json::Value {
        let output = succeed(proxmo(ranks, &format!("eval --json {words}")));
        serde_json::from_slice(&output.stdout).expect("one result")
    };
    let trained = format!("--run {} --parts 2 --eval-temperature 1", run.display());
    let result = results(0, &trained);
    assert_eq!(result["overall"]["tasks"].as_u64(), Some(20));
    assert_eq!(results(2, &trained), result);
    let expert = "--player expert --difficulty easy --eval-tasks 5";
    assert_eq!(results(2, expert), results(0, expert));
}

#[test]
fn gradients_added_by_mpi_give_all_processes_the_same_weights_near_those_of_the_order_of_parts() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str| folder.path().join(name);
    // The weights of the processes are compared before every checkpoint.
    let settings = format!("{SETTINGS} {SCORER} --iterations 2");
    for ranks in [0, 2, 4] {
        let more = format!("{settings} --gradient-sum by-rank");
        succeed(train(ranks, &run(&ranks.to_string()), &more));
    }
    succeed(train(2, &run("by-part"), &settings));
    // One process adds in the order of the parts in both ways.
    assert_same(&run("0"), &run("by-part"));
    for ranks in ["2", "4"] {
        let distance = distance(&run("by-part"), &run(ranks), 2);
        assert!(distance <= WEIGHT_BOUND, "{ranks} processes: {distance}");
    }
    let bytes = |name: &str| all_metrics(&run(name))[1].ranks.unwrap().exchange_bytes.1;
    assert!(bytes("2") < bytes("by-part"), "two parts a process");
}

#[test]
fn bad_input_is_reported_once() {
    let cases = [
        ("train --groups 0", "rollout.groups"),
        ("train --parts many", "--parts"),
        ("clone --imitate nowhere.jsonl", "nowhere.jsonl"),
        ("clone --run nowhere --resume", "nowhere"),
        ("eval", "--run"),
        ("eval --run nowhere", "nowhere"),
        ("eval --player expert --split nowhere", "nowhere"),
        ("compare", "start it without mpirun"),
    ];
    for (words, expected) in cases {
        let output = proxmo(3, words).output().unwrap();
        let text = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words}: {text}");
        assert_eq!(text.matches("proxmo: ").count(), 1, "{words}: {text}");
        let mut lines = text.lines();
        let line = lines.find(|line| line.starts_with("proxmo: ")).unwrap();
        assert!(line.contains(expected), "{words}: {line}");
    }
}

#[test]
fn an_error_of_another_rank_is_reported_once_with_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    succeed(train(2, &run, &format!("{SETTINGS} {SCORER} --iterations 1")));
    // The second process cannot store the checkpoint that it resumes from.
    let binary = cargo_bin("proxmo");
    let words = format!("train --run {} --resume --quiet --iterations 2", run.display());
    let output = Command::new("mpirun")
        .args(MPIRUN)
        .args(["-n", "1"])
        .arg(&binary)
        .args(words.split_whitespace())
        .args([":", "-n", "1", "-x", "TMPDIR=/nonexistent"])
        .arg(&binary)
        .args(words.split_whitespace())
        .output()
        .unwrap();
    let text = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert_eq!(text.matches("proxmo: error: rank 1: ").count(), 1, "{text}");
    assert_eq!(text.matches("proxmo: ").count(), 1, "{text}");
}

/// A run on two processes that goes on until something ends it. Returns after its second iteration.
fn endless(run: &Path, more: &str) -> Child {
    let settings = format!("{SETTINGS} {SCORER} --iterations 1000000 {more}");
    let mut command = train(2, run, &settings);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until(|| {
        assert!(child.try_wait().unwrap().is_none(), "the run has ended");
        run.join("checkpoints/000002/manifest.json").exists()
    });
    child
}

fn wait_until(mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(300), "nothing happens");
        sleep(Duration::from_millis(20));
    }
}

/// The process of rank 1 below an `mpirun`.
fn second_process(mpirun: &Child) -> String {
    let output = Command::new("pgrep").args(["-P", &mpirun.id().to_string()]).output().unwrap();
    let all = text(&output.stdout);
    let is_second = |process: &&str| {
        let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        text(&environment).split('\0').any(|one| one == "OMPI_COMM_WORLD_RANK=1")
    };
    all.lines().find(is_second).expect("a process of rank 1").to_string()
}

fn signal(process: &str, signal: &str) {
    assert!(Command::new("kill").args([signal, process]).status().unwrap().success());
}

/// The run goes on in one process, and ends as one that was never interrupted.
#[track_caller]
fn assert_resumes(run: &Path) {
    let done = fs::read_to_string(run.join("metrics.jsonl")).unwrap().lines().count();
    let whole = run.with_extension("whole");
    let limit = format!("--iterations {done}");
    succeed(train(0, run, &format!("--resume --quiet {limit}")));
    succeed(train(0, &whole, &format!("{SETTINGS} {SCORER} {limit}")));
    // An evaluation follows the last iteration of both.
    assert_same(&whole, run);
}

#[test]
fn a_run_resumes_after_one_of_its_processes_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mpirun = endless(&run, "");
    signal(&second_process(&mpirun), "-KILL");
    let output = mpirun.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert_resumes(&run);
}

#[test]
fn a_process_that_hangs_ends_the_run_with_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mpirun = endless(&run, "--rank-timeout 10");
    let second = second_process(&mpirun);
    signal(&second, "-STOP");
    let output = mpirun.wait_with_output().unwrap();
    let text = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let line = "proxmo: error: rank 0 has waited 10 seconds for the other ranks: one of them is lost or \
                hangs";
    assert_eq!(text.matches(line).count(), 1, "{text}");
    assert_eq!(text.matches("proxmo: error: ").count(), 1, "{text}");
    assert_resumes(&run);
}
