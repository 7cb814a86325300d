//! `proxmo lm fit --resume`: a training that was interrupted ends with the bytes of one that was not.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;

/// A tiny model and an input of seven sequences.
struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let place = Self { root };
        place.model("model", 1);
        let lines: Vec<String> = (0..7)
            .map(|line| {
                let ids: Vec<u32> = (0..4 + line).map(|id| (7 * line + 3 * id) % 200).collect();
                format!("{{\"ids\":{ids:?}}}\n")
            })
            .collect();
        fs::write(place.path("in.jsonl"), lines.concat()).unwrap();
        place
    }

    fn model(&self, name: &str, seed: u32) {
        fs::write(self.path("texts.txt"), "go to shelf 1\ntake mug 2 from shelf 1\n").unwrap();
        let mut command = Command::cargo_bin("proxmo").unwrap();
        command.args(["lm", "new", "--vocabulary", "300", "--layers", "2", "--width", "16"]);
        command.args(["--heads", "2", "--kv-heads", "1", "--seed", &seed.to_string(), "--texts"]);
        command.arg(self.path("texts.txt")).arg("--output").arg(self.path(name));
        command.assert().success();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn arguments(&self, output: &str, more: &str) -> Vec<String> {
        let mut all: Vec<String> =
            ["lm", "fit", "--backend", "flex", "--model"].into_iter().map(str::to_string).collect();
        all.push(self.path("model").display().to_string());
        all.extend(["--input".into(), self.path("in.jsonl").display().to_string()]);
        all.extend(["--output".into(), self.path(output).display().to_string()]);
        all.extend(more.split_whitespace().map(str::to_string));
        all
    }

    fn command(&self, output: &str, more: &str) -> Command {
        let mut command = Command::cargo_bin("proxmo").unwrap();
        command.args(self.arguments(output, more));
        command
    }

    /// Fits, and returns standard error.
    fn fit(&self, output: &str, more: &str) -> String {
        let done = self.command(output, more).assert().success();
        String::from_utf8(done.get_output().stderr.clone()).unwrap()
    }

    fn refused(&self, output: &str, more: &str, says: &str) {
        let one_line = predicate::function(|text: &str| text.trim_end().lines().count() == 1);
        let refused = self.command(output, more).assert().code(2).stdout("");
        refused.stderr(contains(says).and(one_line));
    }

    /// A training that has printed some steps.
    fn started(&self, output: &str, more: &str, steps: usize) -> Child {
        let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("proxmo"))
            .args(self.arguments(output, more))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let printed = BufReader::new(child.stdout.as_mut().unwrap()).lines().take(steps).count();
        assert_eq!(printed, steps);
        child
    }

    /// Trains for some steps, then stops with a state that is not the last.
    #[cfg(unix)]
    fn interrupted(&self, output: &str, more: &str) {
        let child = self.started(output, more, 3);
        signal("-INT", &child);
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(ended.status.success() && said.contains("with --resume goes on"), "{said}");
    }

    fn files(&self, output: &str) -> BTreeMap<String, Vec<u8>> {
        let read = |entry: std::io::Result<fs::DirEntry>| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
        };
        fs::read_dir(self.path(output)).unwrap().map(read).collect()
    }

    fn state(&self, output: &str) -> PathBuf {
        self.path(output).with_extension("partial").join("state.safetensors")
    }

    fn assert_same_result(&self, output: &str, expected: &str) {
        let (found, expected) = (self.files(output), self.files(expected));
        assert!(found == expected, "{:?} and {:?}", found.keys(), expected.keys());
        assert!(!self.path(output).with_extension("partial").exists());
    }
}

#[cfg(unix)]
fn signal(name: &str, child: &Child) {
    let sent = std::process::Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

/// A few hundred steps, with everything that depends on the step.
const SETTINGS: &str = "--steps 400 --batch 2 --learning-rate 1e-2 --weight-decay 0.1 --warmup 300 \
                        --schedule cosine --seed 4";
const LORA: &str = "--lora 2 --lora-targets q_proj,up_proj --recompute --accumulate 2";

#[cfg(unix)]
#[test]
fn a_killed_training_goes_on_from_its_last_state_to_the_same_bytes() {
    let place = Place::new();
    for (name, more) in [("all", ""), ("adapter", LORA)] {
        let settings = format!("{SETTINGS} {more} --save-every 7");
        let whole = format!("{name}-whole");
        place.fit(&whole, &settings);
        let mut child = place.started(name, &settings, 9);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(place.state(name).exists() && !place.path(name).exists());
        // Killed again in its second life.
        let mut child = place.started(name, "--resume --save-every 5", 9);
        child.kill().unwrap();
        child.wait().unwrap();
        let said = place.fit(name, "--resume");
        assert!(said.contains("proxmo: resuming after step ") && said.contains("of 400"), "{said}");
        place.assert_same_result(name, &whole);
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_training_writes_its_state_and_goes_on_to_the_same_bytes() {
    let place = Place::new();
    for (name, more) in [("all", "--no-shuffle"), ("adapter", LORA)] {
        let settings = format!("{SETTINGS} {more}");
        let whole = format!("{name}-whole");
        place.fit(&whole, &settings);
        place.interrupted(name, &format!("{settings} --save-every 0"));
        assert!(place.state(name).exists() && !place.path(name).exists());
        // Settings may be given again.
        place.fit(name, &format!("{settings} --resume"));
        place.assert_same_result(name, &whole);
    }
}

#[cfg(unix)]
#[test]
fn fewer_steps_than_done_write_the_model_of_the_state() {
    let place = Place::new();
    let settings = SETTINGS.replace("cosine", "constant");
    place.interrupted("early", &settings);
    let said = place.fit("early", "--resume --steps 1");
    let done = said.split("resuming after step ").nth(1).unwrap().split(' ').next().unwrap();
    place.fit("short", &settings.replace("400", done));
    place.assert_same_result("early", "short");
}

#[cfg(unix)]
#[test]
fn more_steps_keep_the_schedule_of_the_start() {
    let place = Place::new();
    let rates = |output: &str, more: &str| -> Vec<(u64, f64)> {
        let done = place.command(output, &format!("{more} --json")).assert().success();
        let lines = String::from_utf8(done.get_output().stdout.clone()).unwrap();
        lines
            .lines()
            .map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                (line["step"].as_u64().unwrap(), line["learning_rate"].as_f64().unwrap())
            })
            .collect()
    };
    let expected = rates("whole", SETTINGS);
    place.interrupted("more", SETTINGS);
    let found = rates("more", "--resume --steps 410");
    let first = found[0].0 as usize;
    assert_eq!(found.len(), 411 - first);
    assert_eq!(found[..401 - first], expected[first - 1..]);
    // A tenth of the rate, at the end of the schedule and after it.
    assert!(found[401 - first..].iter().all(|(_, rate)| (rate - 1e-3).abs() < 1e-12), "{found:?}");
}

#[cfg(unix)]
#[test]
fn what_was_changed_since_the_start_is_named() {
    let place = Place::new();
    place.interrupted("x", &format!("{SETTINGS} {LORA}"));
    place.model("other", 2);
    for (more, says) in [
        ("--batch 3", "(--batch): is 3, but the training was started with 2"),
        (
            "--learning-rate 0.1",
            "(--learning-rate): is 0.1, but the training was started with 0.01",
        ),
        ("--lora 3", "(--lora): is 3, but the training was started with 2"),
        ("--schedule linear", "is \"linear\", but the training was started with \"cosine\""),
    ] {
        place.refused("x", &format!("--resume {more}"), says);
    }
    let model = place.path("model");
    fs::rename(&model, place.path("first")).unwrap();
    fs::rename(place.path("other"), &model).unwrap();
    place.refused("x", "--resume", "the model's weights are not those that it was started with");
    fs::remove_dir_all(&model).unwrap();
    fs::rename(place.path("first"), &model).unwrap();
    let input = fs::read_to_string(place.path("in.jsonl")).unwrap();
    fs::write(place.path("in.jsonl"), format!("{input}{{\"ids\":[1,2]}}\n")).unwrap();
    place.refused("x", "--resume", "the input's sequences are not those that it was started with");
    // Blank lines and members that no training reads change nothing.
    let same = input.replace('}', ",\"note\":1}\n");
    fs::write(place.path("in.jsonl"), same).unwrap();
    place.fit("x", "--resume");
}

#[cfg(unix)]
#[test]
fn states_are_neither_replaced_nor_invented_nor_read_when_they_are_damaged() {
    let place = Place::new();
    place.refused("x", "--resume", "x.partial: holds no training to go on with");
    assert!(!place.path("x.partial").exists());
    place.interrupted("x", SETTINGS);
    place.refused("x", SETTINGS, "go on with it (--resume), or remove the folder");
    let path = place.state("x");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    place.refused("x", "--resume", "state.safetensors: holds ");
    let text = |from: &str, to: &str| {
        let place = bytes.windows(from.len()).position(|part| part == from.as_bytes()).unwrap();
        let mut changed = bytes.clone();
        changed[place..place + from.len()].copy_from_slice(to.as_bytes());
        changed
    };
    for (from, to, says) in [
        ("version = 1", "version = 7", "is a training state of version 7"),
        ("batch = 2", "batch = 0", "state.safetensors: setting 'fit.batch': is 0"),
        ("second.norm", "secund.norm", "weight 'second.norm.weight' is missing"),
        ("\"proxmo\"", "\"prozmo\"", "is no training state"),
    ] {
        fs::write(&path, text(from, to)).unwrap();
        place.refused("x", "--resume", says);
    }
    fs::write(&path, &bytes).unwrap();
    place.fit("x", "--resume");
}

#[cfg(unix)]
#[test]
fn two_processes_do_not_train_into_one_output() {
    let place = Place::new();
    let settings = format!("{} --save-every 0", SETTINGS.replace("400", "1000000"));
    let child = place.started("x", &settings, 1);
    place.refused("x", &settings, "another process is training into this folder");
    signal("-INT", &child);
    assert!(child.wait_with_output().unwrap().status.success());
    assert!(place.state("x").exists());
}

#[cfg(unix)]
#[test]
fn a_training_that_fails_leaves_no_empty_folder() {
    let place = Place::new();
    let failing = "--steps 9 --learning-rate 10 --weight-decay 10 --schedule constant \
                   --max-gradient-norm 0";
    place.command("x", failing).assert().code(1).stderr(contains("expected a finite number"));
    assert!(!place.path("x").exists() && !place.path("x.partial").exists());
}

#[test]
fn an_output_without_a_name_is_refused() {
    let place = Place::new();
    let empty = tempfile::tempdir().unwrap();
    let mut command = Command::cargo_bin("proxmo").unwrap();
    let output = place.path("x").display().to_string();
    let arguments = place.arguments("x", "");
    let arguments = arguments.iter().map(|word| if *word == output { ".." } else { word });
    // The parent is empty but for this folder, which could otherwise become the result's.
    let inner = empty.path().join("inner");
    fs::create_dir(&inner).unwrap();
    command.current_dir(&inner).args(arguments).assert().code(2).stdout("");
    command = Command::cargo_bin("proxmo").unwrap();
    let arguments = place.arguments("x", "");
    let arguments = arguments.iter().map(|word| if *word == output { "none/.." } else { word });
    command.current_dir(&inner).args(arguments);
    command.assert().code(2).stderr(contains("none/..: has no name of its own"));
}
