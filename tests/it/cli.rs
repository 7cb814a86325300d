//! The command line: output, exit codes, and that refused input writes nothing.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;

fn proxmo() -> Command {
    Command::cargo_bin("proxmo").unwrap()
}

/// A training of about a second.
fn small(folder: &Path) -> Command {
    let mut command = proxmo();
    command.args(["train", "--backend", "flex", "--train-tasks", "20", "--held-out", "6"]);
    command.args(["--groups", "2", "--group-size", "2", "--iterations", "2", "--max-steps", "10"]);
    command.args(["--policy-embedding", "8", "--hidden", "8", "--run"]).arg(folder);
    command
}

/// One line on standard error, exit code 2, nothing on standard output.
fn refused(command: &mut Command, says: &str) {
    let one_line = predicate::function(|text: &str| text.trim_end().lines().count() == 1);
    command.assert().code(2).stdout("").stderr(contains(says).and(one_line));
}

#[test]
fn a_run_writes_its_folder_and_is_evaluated_and_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    small(&run)
        .args(["--save-episodes"])
        .assert()
        .success()
        .stdout(contains("untrained").and(contains("| All")));
    for file in ["config.toml", "metrics.jsonl", "curve.svg", "episodes/000002.jsonl"] {
        assert!(run.join(file).is_file(), "{file}");
    }
    for file in
        ["weights.safetensors", "optimizer.bpk", "policy.json", "state.json", "manifest.json"]
    {
        assert!(run.join("checkpoints/000002").join(file).is_file(), "{file}");
    }
    let lines = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 3, "one line an iteration, and one for the untrained policy");

    let eval = proxmo().args(["eval", "--json", "--run"]).arg(&run).assert().success();
    let result: serde_json::Value = serde_json::from_slice(&eval.get_output().stdout).unwrap();
    assert_eq!((&result["iteration"], &result["overall"]["tasks"]), (&2.into(), &6.into()));
    let total: u64 =
        result["kinds"].as_array().unwrap().iter().map(|k| k["tasks"].as_u64().unwrap()).sum();
    assert_eq!(total, 6);

    refused(&mut small(&run), "already holds a run");
    assert_eq!(
        fs::read_to_string(run.join("metrics.jsonl")).unwrap(),
        lines,
        "nothing is overwritten"
    );

    let resume = |more: &[&str]| {
        let mut command = proxmo();
        command.args(["train", "--resume", "--run"]).arg(&run).args(more);
        command
    };
    resume(&["--iterations", "3"]).assert().success().stderr(contains("resumed after iteration 2"));
    assert_eq!(fs::read_to_string(run.join("metrics.jsonl")).unwrap().lines().count(), 4);

    refused(
        &mut resume(&["--seed", "99"]),
        "setting 'run.seed' (--seed): is 99, but the run has the seed 0",
    );
    refused(
        &mut resume(&["--hidden", "16"]),
        "the saved policy has policy.hidden 8, the settings have 16",
    );
}

#[test]
fn bad_input_is_refused_in_one_line_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let train = |arguments: &[&str]| {
        let mut command = proxmo();
        command.current_dir(folder.path()).args(["train", "--run", "run"]).args(arguments);
        command
    };
    fs::write(folder.path().join("typo.toml"), "[update]\nepoch = 3\n").unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    refused(
        &mut train(&["--config", "typo.toml"]),
        "typo.toml:2: `update.epoch` is an unknown key",
    );
    refused(&mut train(&["--config", "no.toml"]), "cannot read no.toml");
    refused(&mut train(&["--epochs", "0"]), "update.epochs");
    refused(&mut train(&["--estimator", "magic"]), "--estimator");
    refused(&mut train(&["--train-split", "nowhere"]), "'nowhere' is unknown");
    refused(&mut train(&["--env", "alfworld"]), "env.games");
    refused(&mut train(&["--env", "alfworld", "--games", "nowhere"]), "nowhere");
    refused(&mut train(&["--env", "alfworld", "--games", "empty"]), "empty");
    refused(&mut train(&["--backend", "abacus"]), "--backend");
    refused(&mut train(&["--backend", "flex", "--device", "7"]), "available ones are");
    refused(proxmo().args(["eval", "--run"]).arg(&run), "no such run folder");
    train(&["--frobnicate"]).assert().code(2).stderr(contains("--frobnicate"));
    assert!(!run.exists(), "a refused run writes nothing");
}

/// Control characters in file names and file contents are escaped on the terminal.
#[test]
#[cfg(unix)]
fn control_characters_of_files_do_not_reach_the_terminal() {
    const HOSTILE: &str = "a\u{1b}[2J\u{9b}1m\u{7}\u{202e}b";
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join(HOSTILE);
    let plain = |command: &mut Command, code: i32| {
        let done = command.assert().code(code);
        let output = done.get_output();
        let said = [&output.stdout[..], &output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        let unsafe_ones: Vec<char> = said
            .chars()
            .filter(|&letter| letter != '\n' && letter.is_control() || letter == '\u{202e}')
            .collect();
        assert!(unsafe_ones.is_empty(), "{unsafe_ones:?} in {said:?}");
        said
    };
    let said = plain(proxmo().args(["eval", "--run"]).arg(&run), 2);
    assert!(said.contains("a\\u{1b}[2J\\u{9b}1m\\u{7}\\u{202e}b"), "{said}");
    plain(&mut small(&run), 0);
    plain(proxmo().arg("report").arg(folder.path()), 0);
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.contains("[2J"), "the report tells of the run");
    plain(proxmo().args(["eval", "--split", HOSTILE, "--run"]).arg(&run), 2);
    let episodes = folder.path().join("episodes.jsonl");
    let step = serde_json::json!({"observation": HOSTILE, "action": HOSTILE, "reward": HOSTILE});
    let mut line = serde_json::json!({
        "group": HOSTILE, "trajectory": HOSTILE, "task": HOSTILE, "success": true, "steps": [step],
    });
    fs::write(&episodes, line.to_string()).unwrap();
    plain(proxmo().args(["credit", "--input"]).arg(&episodes), 2);
    line["steps"][0]["reward"] = 1.into();
    fs::write(&episodes, line.to_string()).unwrap();
    plain(proxmo().args(["credit", "--explain", HOSTILE, "--input"]).arg(&episodes), 0);
    fs::write(run.join("config.toml"), format!("[run]\nseed = \"{HOSTILE}\"")).unwrap();
    plain(proxmo().args(["train", "--resume", "--run"]).arg(&run), 2);
}

#[test]
fn a_truncated_game_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let game = folder.path().join("games/train/a-task/a-trial");
    fs::create_dir_all(&game).unwrap();
    fs::write(game.join("game.tw-pddl"), r#"{"pddl_domain": "(define (dom"#).unwrap();
    let mut command = proxmo();
    command.current_dir(folder.path());
    command.args(["train", "--env", "alfworld", "--games", "games", "--run", "run"]);
    refused(&mut command, "game.tw-pddl");
    assert!(!folder.path().join("run").exists());
}

#[test]
fn a_corrupt_checkpoint_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    small(&run).arg("--quiet").assert().success();
    let checkpoint = run.join("checkpoints/000002");
    let eval = || {
        let mut command = proxmo();
        command.args(["eval", "--run"]).arg(&run);
        command
    };
    for file in ["weights.safetensors", "policy.json", "state.json"] {
        let whole = fs::read(checkpoint.join(file)).unwrap();
        for length in [0, 1, whole.len() / 2, whole.len() - 1] {
            fs::write(checkpoint.join(file), &whole[..length]).unwrap();
            refused(&mut eval(), file);
        }
        fs::write(checkpoint.join(file), &whole).unwrap();
    }
    eval().assert().success();
}

#[test]
fn help_has_examples_for_every_command() {
    for command in [
        vec!["--help"],
        vec!["train", "--help"],
        vec!["eval", "--help"],
        vec!["play", "--help"],
        vec!["credit", "--help"],
        vec!["config", "--help"],
        vec!["verify", "--help"],
    ] {
        proxmo().args(&command).assert().success().stdout(contains("Examples:"));
    }
    proxmo()
        .args(["train", "--help"])
        .assert()
        .stdout(contains("--learning-rate").and(contains("[default: 0.001]")));
}

#[test]
fn the_printed_configuration_is_accepted_by_config_again() {
    let folder = tempfile::tempdir().unwrap();
    let printed = |arguments: &[&str]| {
        let assert = proxmo().arg("config").args(arguments).assert().success();
        String::from_utf8(assert.get_output().stdout.clone()).unwrap()
    };
    let first = printed(&["--epochs", "3", "--clip-low", "0.3", "--modulation-range", "0.1"]);
    assert!(first.contains("\nepochs = 3\n") && first.contains("\nclip_low = 0.3\n"), "{first}");
    let documented = "# Passes over the rows of an iteration.\n\
                      # Accepts a whole number from 1 to 100. Default: 2.\nepochs = 3\n";
    assert!(first.contains(documented), "{first}");
    let file = folder.path().join("first.toml");
    fs::write(&file, &first).unwrap();
    assert_eq!(printed(&["--config", file.to_str().unwrap()]), first);
    // A training takes it too, and writes the same settings into its run folder.
    let run = folder.path().join("run");
    small(&run).arg("--quiet").arg("--config").arg(&file).assert().success();
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(config.contains("epochs = 3\n") && config.contains("clip_low = 0.3\n"), "{config}");
}

#[test]
fn the_schema_is_json_with_descriptions_ranges_and_defaults() {
    let assert = proxmo().args(["config", "--schema"]).assert().success();
    let schema: serde_json::Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    let clip = &schema["properties"]["update"]["properties"]["clip_low"];
    assert_eq!((&clip["minimum"], &clip["maximum"]), (&0.0.into(), &1.0.into()));
    assert_eq!(clip["default"], 0.2, "without the digits of an f32");
    assert!(clip["description"].as_str().unwrap().starts_with("Lower clip range"));
}

#[test]
fn former_flags_and_keys_are_refused_with_the_new_name() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    for (arguments, expected) in [
        (["train", "--temperature", "0.5"], "'--temperature': is now --proximity-temperature"),
        (["train", "--episodes", "4"], "'--episodes': is now --group-size"),
        (["train", "--tasks", "4"], "'--tasks': is now --train-tasks"),
        (["train", "--split", "train"], "'--split': is now --train-split"),
        (["eval", "--temperature", "0.5"], "'--temperature': is now --eval-temperature"),
        (["eval", "--episodes", "e.jsonl"], "'--episodes': is now --episode-file"),
        (["eval", "--tasks", "4"], "'--tasks': is now --eval-tasks"),
    ] {
        refused(proxmo().args(arguments).arg("--run").arg(&run), expected);
    }
    refused(
        proxmo().args(["credit", "--input", "x", "--temperature", "1"]),
        "is now --proximity-t",
    );
    for (text, expected) in [
        (
            "[rollout]\nepisodes = 4",
            "old.toml:2: `rollout.episodes` is an unknown key; it is now `rollout.group_size`",
        ),
        ("[rollout]\nskip_even = true", "it is now `rollout.drop_zero_variance`"),
        ("[rollout]\nresample = 1", "it is now `rollout.max_resampling_rounds`"),
        ("[update]\nmax_bad_updates = 4", "it is now `update.max_skipped_updates`"),
        ("[run]\nkeep = 4", "it is now `run.keep_checkpoints`"),
        (
            "[clone]\nfrom = 'expert'",
            "old.toml:1: `clone` is an unknown key; it is now `imitation`",
        ),
        (
            "[update]\nclip_low = 2",
            "old.toml:2: `update.clip_low` is 2, expected a number from 0 to 1",
        ),
    ] {
        fs::write(folder.path().join("old.toml"), text).unwrap();
        let mut train = proxmo();
        train.current_dir(folder.path()).args(["train", "--config", "old.toml", "--run", "run"]);
        refused(&mut train, expected);
    }
    assert!(!run.exists());
}

#[test]
fn devices_lists_flex_and_marks_the_choice_of_auto() {
    proxmo().arg("devices").assert().success().stdout(contains("flex").and(contains("| *")));
    let output = proxmo().args(["devices", "--json"]).assert().success();
    let value: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert!(value["auto"]["name"].is_string());
}

#[test]
fn a_backend_is_verified_and_an_absent_one_is_an_error() {
    let verify = |arguments: &[&str]| {
        let mut command = proxmo();
        command.arg("verify").args(arguments);
        command
    };
    let table = verify(&["--backend", "flex"]).assert().success();
    table.stdout(contains("training, gradients").and(contains("worst error")));
    let output = verify(&["--backend", "flex", "--json"]).assert().success();
    let output = output.stderr(contains("verifying flex")).get_output().stdout.clone();
    let report: serde_json::Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(
        (&report["ok"], &report["version"]),
        (&true.into(), &env!("CARGO_PKG_VERSION").into())
    );
    assert_eq!(report["os"], std::env::consts::OS);
    let adapter = &report["adapters"][0];
    assert_eq!((&adapter["backend"], &adapter["max_binding"]), (&"flex".into(), &0.into()));
    let tests = adapter["tests"].as_array().unwrap();
    assert!(tests.len() >= 10);
    for test in tests {
        let number = |key: &str| test[key].as_f64().unwrap();
        // A test of which rows are NaN has no error and no bound.
        let (error, bound) = (number("worst_error"), number("bound"));
        assert!(error < bound || (error == 0.0 && bound == 0.0), "{test}");
        assert!(number("compared") > 0.0 && number("seconds") >= 0.0, "{test}");
    }
    verify(&["--backend", "auto"]).assert().code(2).stderr(contains("expected all, vulkan"));
    let missing = if cfg!(target_vendor = "apple") { "dx12" } else { "metal" };
    // Not one line: drivers that are asked may write to the terminal.
    let refused_there = verify(&["--backend", missing]).assert().code(2).stdout("");
    refused_there.stderr(
        contains("does not exist on ").and(contains(if cfg!(target_os = "linux") {
            "gl 0"
        } else {
            "flex 0"
        })),
    );
    if cfg!(not(feature = "ndarray")) {
        refused(&mut verify(&["--backend", "ndarray"]), "--features ndarray");
    }
}

#[test]
#[cfg(feature = "wgpu")]
fn training_gives_the_reason_for_its_backend() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, software: bool| {
        let mut command = proxmo();
        command.args(["train", "--train-tasks", "4", "--held-out", "2", "--groups", "2"]);
        command.args(["--group-size", "2", "--iterations", "1", "--max-steps", "4"]);
        command.args(["--policy-embedding", "8", "--hidden", "8", "--minibatch", "16"]);
        command
            .env("XDG_CACHE_HOME", folder.path().join("cache"))
            .env_remove("PROXMO_AUTO_SOFTWARE");
        if software {
            command.env("PROXMO_AUTO_SOFTWARE", "1");
        }
        let assert = command.arg("--run").arg(folder.path().join(name)).assert().success();
        let text = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
        let device = text.lines().find(|line| line.starts_with("  device")).unwrap();
        device.to_string()
    };
    let here = proxmo::device::adapters();
    if here.iter().all(|adapter| !adapter.kind.is_gpu()) {
        let line = run("plain", false);
        assert!(line.ends_with("flex on CPU (burn-flex): this machine has no real GPU"), "{line}");
    }
    if here.iter().any(|adapter| adapter.backend == proxmo::device::Backend::Vulkan) {
        let (first, again) = (run("first", true), run("again", true));
        assert!(first.contains("ms per update") && first.contains("(measured now)"), "{first}");
        assert!(again.contains("(measured by an earlier run)"), "{again}");
        assert!(folder.path().join("cache/proxmo/backends.json").is_file() || !cfg!(unix));
    }
}

#[test]
fn a_person_plays() {
    let mut command = proxmo();
    command.args(["play", "--seed", "1"]).write_stdin("?\nlook\nnonsense\n");
    command.assert().success().stdout(
        contains("look").and(contains("inventory")).and(contains("`?` lists the admissible")),
    );
    let mut command = proxmo();
    command.args(["play", "--seed", "1"]).write_stdin("? inventory\n");
    command.assert().success().stdout(contains("(1 listed)"));
    refused(proxmo().args(["play", "--task", "no-such-task"]), "no-such-task");
}

#[cfg(target_os = "linux")]
#[test]
fn a_machine_without_a_runtime_folder_sees_no_error_of_its_drivers() {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::cargo_bin("proxmo").unwrap();
    command.arg("devices").env_remove("XDG_RUNTIME_DIR").env_remove("XDG_STATE_HOME");
    let done = command.env("HOME", home.path()).assert().success();
    done.stderr("").stdout(contains("flex"));
    let folder = home.path().join(".local/state/proxmo/runtime");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(folder).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn groups_from_which_nothing_is_learned_are_reported_once() {
    for (flags, says) in [
        (["--group-size", "1", "--max-steps", "9"], "rollout.group_size is 1"),
        (["--group-size", "3", "--max-steps", "1"], "all groups of iteration 1 have zero variance"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let done = small(&folder.path().join("run")).args(flags).assert().success();
        let errors = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
        assert_eq!(errors.matches(says).count(), 1, "{errors}");
    }
}
