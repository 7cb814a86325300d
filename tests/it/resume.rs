//! A resumed run ends with the same bytes as an uninterrupted run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::Command;
use proxmo::stream::{Purpose, Stream};
use rand::Rng;
use serde_json::Value;

/// Tiny runs with some successes, so that all state of a run is in use. The entropy bonus changes the
/// weights of iterations without successes.
const SETTINGS: &str = "--seed 10 --difficulty easy --eval-every 2 --eval-temperature 1 \
    --warmup 5 --proximity-temperature auto --learning-rate 0.02 --entropy-weight 0.01 --quiet --run";

/// A tiny scorer.
const SCORER: &str = "--policy-embedding 8 --hidden 8 --train-tasks 40 --held-out 20 --groups 4 \
    --group-size 6 --max-steps 40";

/// A tiny language model, with episodes that wait for memory.
const LANGUAGE_MODEL: &str = "--policy lm --kl-weight 0.001 --lm-layers 1 --lm-width 16 --lm-heads 2 --lm-vocabulary 300 \
    --lm-context 2048 --max-cache 1 --recompute true --train-tasks 10 --held-out 4 --groups 3 \
    --group-size 4 --max-steps 8";

fn arguments(run: &Path, more: &str) -> Vec<String> {
    let mut all = vec!["train".to_string()];
    if !more.contains("--backend") && !more.contains("--resume") {
        all.extend(["--backend".into(), "flex".into()]);
    }
    let settings = if more.contains("--resume") { "--quiet --run" } else { SETTINGS };
    all.extend(settings.split_whitespace().map(str::to_string));
    all.push(run.display().to_string());
    if !more.contains("--resume") && !more.contains("--policy lm") {
        all.extend(SCORER.split_whitespace().map(str::to_string));
    }
    all.extend(more.split_whitespace().map(str::to_string));
    all
}

/// Trains, and returns standard error.
fn train(run: &Path, more: &str) -> String {
    let mut command = Command::cargo_bin("proxmo").unwrap();
    let done = command.args(arguments(run, more)).assert().success();
    String::from_utf8(done.get_output().stderr.clone()).unwrap()
}

fn spawn(run: &Path, more: &str) -> Child {
    std::process::Command::new(assert_cmd::cargo::cargo_bin("proxmo"))
        .args(arguments(run, more))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// [`spawn`] with all signals as at a login, also if the tests run under `nohup`.
#[cfg(target_os = "linux")]
fn spawn_hearing(run: &Path, more: &str) -> Child {
    std::process::Command::new("env")
        .arg("--default-signal")
        .arg(assert_cmd::cargo::cargo_bin("proxmo"))
        .args(arguments(run, more))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[cfg(not(target_os = "linux"))]
fn spawn_hearing(run: &Path, more: &str) -> Child {
    spawn(run, more)
}

/// The metrics lines, without times.
fn metrics(run: &Path) -> Vec<String> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let timeless = |line: &str| {
        let (before, rest) = line.split_once(r#""seconds":{"#).unwrap();
        let (_, after) = rest.split_once('}').unwrap();
        format!(r#"{before}"seconds":0{after}"#)
    };
    assert!(text.ends_with('\n'));
    text.lines().map(timeless).collect()
}

fn checkpoint(run: &Path, iteration: u64) -> PathBuf {
    run.join(format!("checkpoints/{iteration:06}"))
}

/// The content of a checkpoint, except the time that the run took.
fn content(run: &Path, iteration: u64) -> Vec<(&'static str, Vec<u8>)> {
    let folder = checkpoint(run, iteration);
    let names = ["weights.safetensors", "reference.safetensors", "optimizer.bpk", "policy.json"];
    let mut all: Vec<_> =
        names.iter().map(|name| (*name, fs::read(folder.join(name)).unwrap())).collect();
    let mut state = state(run, iteration);
    state.as_object_mut().unwrap().remove("elapsed").unwrap();
    all.push(("state.json", state.to_string().into_bytes()));
    all
}

fn state(run: &Path, iteration: u64) -> Value {
    let path = checkpoint(run, iteration).join("state.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[track_caller]
fn assert_same(whole: &Path, parts: &Path, iteration: u64) {
    let (expected, found) = (metrics(whole), metrics(parts));
    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!(expected, found);
    }
    assert_eq!(expected.len(), found.len());
    for ((name, whole), (_, parts)) in
        content(whole, iteration).iter().zip(content(parts, iteration))
    {
        assert!(*whole == parts, "{name} differs");
    }
}

/// The folder of checkpoints has no partial checkpoint.
#[track_caller]
fn assert_tidy(run: &Path) {
    for entry in fs::read_dir(run.join("checkpoints")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.parse::<u64>().is_ok(), "{name} is left over");
    }
}

/// Whether a process was killed while it wrote or removed a checkpoint or another file.
fn killed_while_writing(run: &Path) -> bool {
    let half = |folder: PathBuf| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.any(|name| {
            let marks = [".filling", ".removed", ".unfinished-"];
            marks.iter().any(|mark| name.ends_with(mark) || name.starts_with(mark))
        })
    };
    half(run.to_path_buf()) || half(run.join("checkpoints"))
}

/// The environment variable `PROXMO_KILLS` sets the number of kills.
fn max_kills(default: u32) -> u32 {
    std::env::var("PROXMO_KILLS").map_or(default, |kills| kills.parse().unwrap())
}

#[test]
fn a_run_killed_at_any_time_resumes_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let run = kill_and_resume(folder.path(), "", 8, max_kills(40));
    let last = state(&run, 8);
    assert!(!last["credit"]["prediction_errors"].as_array().unwrap().is_empty(), "{last}");
    assert_ne!(last["best"]["won"], 0, "{last}");
}

#[test]
fn a_language_models_run_killed_at_any_time_resumes_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let run = kill_and_resume(folder.path(), LANGUAGE_MODEL, 3, max_kills(6));
    let lines: Vec<Value> =
        metrics(&run).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let tokens = &lines.last().unwrap()["tokens"];
    assert!(tokens["drawn"].as_u64().unwrap() > 0, "{tokens}");
    assert!(tokens["cache_bytes"].as_u64().unwrap() <= 1 << 20, "{tokens}");
}

#[test]
fn a_run_with_a_value_head_killed_at_any_time_resumes_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let run = kill_and_resume(folder.path(), "--estimator ppo", 5, max_kills(10));
    let last: Value = serde_json::from_str(metrics(&run).last().unwrap()).unwrap();
    assert!(last["value"]["loss"].as_f64().unwrap() > 0.0, "{last}");
}

/// Kills a run at random times until it is done, again and again, and compares each with a whole one, whose
/// folder it returns.
fn kill_and_resume(folder: &Path, settings: &str, iterations: u64, max_kills: u32) -> PathBuf {
    let mut delays = Stream::new(0, Purpose::Environment).rng();
    let (mut kills, mut while_writing) = (0, 0);
    let whole = [1, 2].map(|every| {
        let run = folder.join(format!("whole-{every}"));
        let settings = format!("{settings} --iterations {iterations} --checkpoint-every {every}");
        let begun = Instant::now();
        train(&run, &settings);
        (run, settings, begun.elapsed())
    });
    let (run, ..) = &whole[0];
    assert_ne!(content(run, iterations)[0], content(run, iterations - 1)[0], "weights change");
    for trial in 0.. {
        let (whole, settings, took) = &whole[trial % whole.len()];
        let parts = folder.join(format!("parts-{trial}"));
        loop {
            // As a user would: resume if the run has begun.
            let begun = parts.join("config.toml").exists();
            let mut child = spawn(&parts, if begun { "--resume" } else { settings });
            let delay = took.mul_f64(delays.random_range(0.0..1.2)).max(Duration::from_millis(1));
            let end = Instant::now() + delay;
            while Instant::now() < end && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_micros(500));
            }
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "trial {trial}: {status}");
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
            while_writing += u32::from(killed_while_writing(&parts));
            if kills % 10 == 0 {
                train(
                    &parts,
                    if parts.join("config.toml").exists() { "--resume" } else { settings },
                );
                break;
            }
        }
        assert_same(whole, &parts, iterations);
        assert_tidy(&parts);
        if kills >= max_kills {
            println!("{kills} kills in {} runs, {while_writing} of them while writing", trial + 1);
            break;
        }
    }
    run.clone()
}

#[test]
fn a_limit_on_iterations_changes_nothing_except_the_last_evaluation() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    train(&whole, "--iterations 6 --checkpoint-every 1");
    train(&parts, "--iterations 2 --schedule-iterations 6 --checkpoint-every 1");
    train(&parts, "--resume --iterations 4");
    train(&parts, "--resume --iterations 6");
    // Iterations 2 and 4 are evaluated in both runs.
    assert_same(&whole, &parts, 6);
    train(&parts, "--resume --iterations 7");
    let last: Value = serde_json::from_str(metrics(&parts).last().unwrap()).unwrap();
    assert!(last["evaluation"].is_object(), "a run ends with an evaluation");
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let folder = tempfile::tempdir().unwrap();
    let runs: Vec<PathBuf> = [("a", "1"), ("b", "2"), ("c", "2")]
        .into_iter()
        .map(|(name, threads)| {
            let run = folder.path().join(name);
            let mut command = Command::cargo_bin("proxmo").unwrap();
            command.env("RAYON_NUM_THREADS", threads);
            // Enough rows for two threads.
            let more = "--iterations 3 --checkpoint-every 1 --groups 8 --group-size 8";
            let settings = SETTINGS.replace("--groups 4 --group-size 6", "");
            command.args(["train", "--backend", "flex"]).args(settings.split_whitespace());
            command.arg(&run).args(more.split_whitespace()).assert().success();
            run
        })
        .collect();
    assert_same(&runs[0], &runs[1], 3);
    assert_same(&runs[1], &runs[2], 3);
}

#[test]
fn leftovers_of_a_killed_process_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    train(&whole, "--iterations 4 --checkpoint-every 2");
    train(&parts, "--iterations 2 --schedule-iterations 4 --checkpoint-every 2");
    // As if killed while it wrote one checkpoint and removed another, one iteration later.
    for left in ["000004.filling", "000000.removed"] {
        let left = parts.join("checkpoints").join(left);
        fs::create_dir(&left).unwrap();
        fs::write(left.join("weights.safetensors"), "half").unwrap();
    }
    let lines = fs::read_to_string(parts.join("metrics.jsonl")).unwrap();
    let last = lines.lines().last().unwrap().replacen("\"iteration\":2", "\"iteration\":3", 1);
    fs::write(parts.join("metrics.jsonl"), format!("{lines}{last}\n{{\"iterat")).unwrap();
    let said = train(&parts, "--resume --iterations 4");
    let warnings = said.lines().filter(|line| line.contains("warning"));
    // Of a run this short no episode is won.
    let about_leftovers: Vec<_> = warnings.filter(|line| !line.contains("zero variance")).collect();
    assert!(about_leftovers.is_empty(), "{said}");
    assert_same(&whole, &parts, 4);
    assert_tidy(&parts);
}

#[test]
fn a_run_without_a_checkpoint_starts_again() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    train(&whole, "--iterations 2 --checkpoint-every 1");
    fs::create_dir(&parts).unwrap();
    fs::copy(whole.join("config.toml"), parts.join("config.toml")).unwrap();
    let said = train(&parts, "--resume");
    assert!(said.contains("warning: the run ended before its first checkpoint"), "{said}");
    assert_same(&whole, &parts, 2);

    // Metrics of trained iterations are not deleted.
    fs::remove_dir_all(parts.join("checkpoints")).unwrap();
    let mut command = Command::cargo_bin("proxmo").unwrap();
    let refused = command.args(arguments(&parts, "--resume")).assert().code(2);
    let said = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(said.contains("has 2 trained iterations"), "{said}");
    assert_eq!(metrics(&parts), metrics(&whole));
}

#[test]
fn a_run_resumes_from_the_previous_checkpoint_if_the_newest_is_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    train(&whole, "--iterations 6 --checkpoint-every 1");
    train(&parts, "--iterations 4 --schedule-iterations 6 --checkpoint-every 1");
    let corrupt = |iteration| {
        let optimizer = checkpoint(&parts, iteration).join("optimizer.bpk");
        let mut bytes = fs::read(&optimizer).unwrap();
        bytes[1000] ^= 1;
        fs::write(&optimizer, bytes).unwrap();
    };
    corrupt(4);
    let said = train(&parts, "--resume --iterations 6");
    assert!(said.contains("warning: a corrupt checkpoint is set aside"), "{said}");
    assert!(said.contains("000004/optimizer.bpk: its SHA-256 checksum"), "{said}");
    assert!(said.contains(&format!("resumes from {}", checkpoint(&parts, 3).display())), "{said}");
    assert!(checkpoint(&parts, 4).with_extension("corrupt").is_dir(), "it is kept");
    assert_same(&whole, &parts, 6);

    // If all checkpoints are corrupt, the run fails and changes nothing.
    [4, 5, 6].into_iter().for_each(corrupt);
    let mut command = Command::cargo_bin("proxmo").unwrap();
    let refused = command.args(arguments(&parts, "--resume")).assert().code(2);
    let said = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(said.contains("all its checkpoints are corrupt; the newest: "), "{said}");
    assert!([4, 5, 6].iter().all(|&iteration| checkpoint(&parts, iteration).is_dir()));
    assert_eq!(metrics(&whole), metrics(&parts));
}

#[test]
fn the_best_checkpoint_is_kept_and_found() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    train(&run, "--iterations 6 --checkpoint-every 1 --keep-checkpoints 1");
    let best = &state(&run, 6)["best"];
    // The later of equally good evaluations is the best.
    let evaluated: Vec<(u64, f64)> = metrics(&run)
        .iter()
        .filter_map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            Some((line["iteration"].as_u64()?, line["evaluation"]["success"].as_f64()?))
        })
        .collect();
    let best_success = evaluated.iter().map(|(_, success)| *success).fold(0.0, f64::max);
    let expected = evaluated.iter().rev().find(|(_, success)| *success == best_success).unwrap().0;
    assert_eq!(best["iteration"], expected);
    let mut kept = vec![expected, 6];
    kept.dedup();
    for iteration in 0..=6 {
        assert_eq!(checkpoint(&run, iteration).exists(), kept.contains(&iteration), "{iteration}");
    }
    for (which, expected) in [("best", expected), ("latest", 6), ("6", 6)] {
        let mut command = Command::cargo_bin("proxmo").unwrap();
        command.args(["eval", "--json", "--checkpoint", which, "--run"]).arg(&run);
        let done = command.assert().success();
        let said: Value = serde_json::from_slice(&done.get_output().stdout).unwrap();
        assert_eq!(said["iteration"], expected, "{which}");
    }
    let mut command = Command::cargo_bin("proxmo").unwrap();
    let refused = command.args(["eval", "--checkpoint", "99", "--run"]).arg(&run).assert().code(2);
    let said = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(said.contains("there is no such checkpoint; the run has"), "{said}");
}

/// Waits until the run has trained the given number of iterations.
fn wait_for(child: &mut Child, run: &Path, iterations: usize) {
    let lines =
        || fs::read_to_string(run.join("metrics.jsonl")).map_or(0, |text| text.lines().count());
    while lines() <= iterations {
        assert!(child.try_wait().unwrap().is_none(), "the run ended by itself");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn one_process_at_a_time_trains_into_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut child = spawn(&run, "--iterations 1000000 --checkpoint-every 1");
    wait_for(&mut child, &run, 1);
    let mut command = Command::cargo_bin("proxmo").unwrap();
    let refused = command.args(arguments(&run, "--resume")).assert().code(2);
    let said = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(said.contains("another process is training into this folder"), "{said}");
    child.kill().unwrap();
    child.wait().unwrap();
    let done = metrics(&run).len() as u64 + 1;
    train(&run, &format!("--resume --iterations {done}"));
}

#[cfg(unix)]
fn send(signal: &str, child: &Child) {
    let mut kill = std::process::Command::new("kill");
    assert!(kill.args([signal, &child.id().to_string()]).status().unwrap().success());
}

#[test]
#[cfg(unix)]
fn ctrl_c_sigterm_and_sighup_finish_the_iteration_and_save() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, run) = (folder.path().join("whole"), folder.path().join("run"));
    let mut child = spawn_hearing(&run, "--iterations 1000000 --checkpoint-every 100000");
    for (part, signal) in ["-INT", "-TERM", "-HUP"].into_iter().enumerate() {
        wait_for(&mut child, &run, 3 * (part + 1));
        send(signal, &child);
        if signal != "-INT" {
            // A second one, of any kind but Ctrl-C, does not end it sooner.
            let _ =
                std::process::Command::new("kill").args(["-HUP", &child.id().to_string()]).status();
        }
        assert!(child.wait().unwrap().success(), "{signal}");
        let done = metrics(&run).len() as u64 - 1;
        assert!(checkpoint(&run, done).join("manifest.json").is_file(), "{signal}");
        if signal != "-HUP" {
            child = spawn_hearing(&run, "--resume");
        }
    }
    let done = metrics(&run).len() as u64 - 1;
    // An even number, which is evaluated in both runs.
    let end = (done + 3) / 2 * 2;
    train(&run, &format!("--resume --iterations {end}"));
    let settings = "--schedule-iterations 1000000 --checkpoint-every 100000";
    train(&whole, &format!("--iterations {end} {settings}"));
    assert_same(&whole, &run, end);
}

#[test]
#[cfg(target_os = "linux")]
fn a_run_under_nohup_goes_on_after_a_hangup() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut child = std::process::Command::new("nohup")
        .arg(assert_cmd::cargo::cargo_bin("proxmo"))
        .args(arguments(&run, "--iterations 1000000"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(&mut child, &run, 2);
    send("-HUP", &child);
    wait_for(&mut child, &run, metrics(&run).len() + 2);
    send("-TERM", &child);
    assert!(child.wait().unwrap().success());
}

/// Environment variables select drivers on Linux only.
#[test]
#[cfg(target_os = "linux")]
fn a_cpu_run_resumes_without_a_gpu() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    train(&whole, "--iterations 2 --checkpoint-every 1");
    train(&parts, "--iterations 1 --schedule-iterations 2 --checkpoint-every 1");
    let mut command = Command::cargo_bin("proxmo").unwrap();
    for drivers in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES", "__EGL_VENDOR_LIBRARY_FILENAMES"] {
        command.env(drivers, "/nonexistent");
    }
    command.args(arguments(&parts, "--resume --iterations 2")).assert().success();
    assert_eq!(content(&whole, 2)[0], content(&parts, 2)[0], "weights differ");
}

/// Maximum difference of weights between a resumed and an uninterrupted run on a GPU. A GPU backend may
/// choose its kernels by measurement, and so sum in another order in another process: f32 sums then
/// differ by about 1e-7 of the sum, and AdamW divides by the size of the gradient.
#[cfg(feature = "wgpu")]
const GPU_BOUND: f32 = 1e-3;

#[test]
#[cfg(feature = "wgpu")]
fn a_resumed_run_on_a_gpu_stays_within_the_stated_bound() {
    use proxmo::device::{Backend, open};
    let backends = [Backend::Vulkan, Backend::Metal, Backend::Dx12];
    let Some(backend) = backends.into_iter().find(|backend| open(*backend, 0).is_ok()) else {
        assert!(std::env::var_os("CI").is_none(), "there is no GPU adapter");
        println!("skipped: there is no GPU adapter (Debian: apt-get install mesa-vulkan-drivers)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let settings =
        format!("--backend {} --eval-tasks 1 --checkpoint-every 1 --iterations", backend.name());
    train(&whole, &format!("{settings} 2"));
    train(&parts, &format!("{settings} 1 --schedule-iterations 2"));
    train(&parts, "--resume --iterations 2");
    let weights = |run: &Path| -> Vec<f32> {
        let bytes = fs::read(checkpoint(run, 2).join("weights.safetensors")).unwrap();
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let numbers = bytes[header..].chunks_exact(4);
        numbers.map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    };
    let (whole, parts) = (weights(&whole), weights(&parts));
    let difference = |(a, b): (&f32, &f32)| (a - b).abs();
    let worst = whole.iter().zip(&parts).map(difference).fold(0.0, f32::max);
    println!("{}: weights differ by at most {worst:e}", backend.name());
    assert!(whole.len() == parts.len() && worst <= GPU_BOUND, "weights differ by {worst:e}");
}
