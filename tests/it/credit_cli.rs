//! `proxmo credit`: numbers, errors and preservation of files.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::shared::shared;
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json};

fn credit(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("proxmo").unwrap();
    command.arg("credit").args(arguments);
    command
}

/// The lines that `proxmo credit --input -` writes for some episodes.
fn credited(episodes: &str, arguments: &[&str]) -> Vec<Value> {
    let mut command = credit(&["--input", "-"]);
    let assert = command.args(arguments).write_stdin(episodes).assert().success().stderr("");
    let output = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Asserts one line on standard error, exit code 2 and nothing on standard output.
fn refused(command: &mut Command, says: &str) {
    let one_line = predicate::function(|text: &str| text.trim_end().lines().count() == 1);
    command.assert().code(2).stdout("").stderr(contains(says).and(one_line));
}

/// The settings of a file of published numbers as flags.
fn flags(settings: &Value) -> Vec<String> {
    let mut flags = Vec::new();
    let mut say = |name: &str, value: &Value| {
        flags.push(format!("--{}", name.replace('_', "-")));
        flags.push(value.as_str().map_or_else(|| value.to_string(), |text| text.replace('_', "-")));
    };
    for (key, value) in settings.as_object().unwrap() {
        match (key.as_str(), value) {
            ("modulation", Value::Object(curve)) => {
                curve.iter().for_each(|(key, value)| say(&format!("modulation_{key}"), value));
            }
            (_, Value::Null) => {}
            ("temperature", _) => say("proximity_temperature", value),
            ("invalid_action_penalty", _) => say("credit_invalid_action_penalty", value),
            _ => say(key, value),
        }
    }
    if settings["modulation"].is_null() {
        flags.push("--no-modulation".into());
    }
    flags
}

#[test]
fn credit_agrees_with_the_published_codes() {
    let Some(folder) = shared("credit") else { return };
    let files: Vec<PathBuf> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut compared = 0;
    for input in files.iter().filter(|path| name(path).ends_with(".episodes.jsonl")) {
        let prefix = name(input).replace("episodes.jsonl", "");
        let episodes = fs::read_to_string(input).unwrap();
        for path in files.iter().filter(|path| name(path).starts_with(&prefix) && *path != input) {
            let file: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
            let flags = flags(&file["settings"]);
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            let lines = credited(&episodes, &flags);
            let expected = file["expected"].as_array().unwrap();
            assert_eq!(lines.len(), expected.len(), "{}", path.display());
            for (line, expected) in lines.iter().zip(expected) {
                same(line, expected, &path.display().to_string());
            }
            compared += 1;
        }
    }
    assert!(compared > 0, "{} holds no numbers", folder.display());
    println!("{compared} files of numbers agree");
}

/// Compares the numbers expected of an episode within 1e-5 (relative above 1).
fn same(line: &Value, expected: &Value, place: &str) {
    assert_eq!(line["trajectory"], expected["trajectory"], "{place}");
    let numbers = |value: &Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    };
    for (theirs, ours) in [
        ("returns", "returns"),
        ("graph_returns", "returns"),
        ("episode", "episode_advantages"),
        ("episode_advantages", "episode_advantages"),
        ("step", "step_advantages"),
        ("step_advantages", "step_advantages"),
        ("advantages", "advantages"),
    ] {
        if expected[theirs].is_null() && theirs != "advantages" {
            continue;
        }
        let (found, expected) = (numbers(&line[ours]), numbers(&expected[theirs]));
        assert_eq!(found.len(), expected.len(), "{place}: {ours} of {}", line["trajectory"]);
        for (step, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let off = (found - expected).abs() / expected.abs().max(1.0);
            assert!(off <= 1e-5, "{place}: {ours}[{step}] is {found}, not {expected}");
        }
    }
}

/// Two groups with interleaved episodes, one of them without steps.
const MIXED: &str = r#"{"group":"a","trajectory":"t0","success":true,"note":{"advantages":[]},"steps":[{"observation":"hall","action":"go","reward":0.0,"logprob":-0.10000000000000000555},{"observation":"cellar \u001b[31m","action":"take","reward":1}]}
{"group":"b","trajectory":"t0","success":false,"steps":[]}

{"trajectory":"t1","group":"a","success":false, "advantages": [7], "steps":[{"observation":"hall","action":"wait","reward":0,"valid":false}],"seed":123456789012345678901234567890}
{"group":"b","trajectory":"t2","success":true,"steps":[{"observation":"attic","action":"go","reward":1}]}
"#;

#[test]
fn lines_keep_their_order_and_their_fields() {
    let output = credit(&["--input", "-"]).write_stdin(MIXED).assert().success();
    let output = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[0].starts_with(MIXED.lines().next().unwrap().strip_suffix('}').unwrap()));
    assert!(
        lines[2].contains(r#""seed":123456789012345678901234567890,"returns""#),
        "{}",
        lines[2]
    );
    let values: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(values[0]["returns"].as_array().unwrap().len(), 2);
    assert_eq!(values[0]["note"], json!({"advantages": []}));
    assert_eq!(values[1]["advantages"], json!([]));
    assert_eq!(lines[2].matches("\"advantages\"").count(), 1, "earlier credit is replaced");
    let grpo = credited(MIXED, &["--estimator", "grpo", "--normalize", "mean"]);
    let advantages: Vec<&Value> = grpo.iter().map(|line| &line["advantages"]).collect();
    // The episode without steps is half of its group.
    assert_eq!(advantages, [&json!([0.5, 0.5]), &json!([]), &json!([-0.5]), &json!([0.5])]);
}

#[test]
fn groups_need_not_be_contiguous() {
    let sorted: String = [0, 3, 1, 4].map(|line| MIXED.lines().nth(line).unwrap()).join("\n");
    let (mixed, sorted) = (credited(MIXED, &[]), credited(&sorted, &[]));
    for (mixed, sorted) in [0, 2, 1, 3].map(|line| &mixed[line]).into_iter().zip(&sorted) {
        assert_eq!(mixed, sorted);
    }
}

#[test]
fn a_file_can_be_its_own_output() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("episodes.jsonl");
    fs::write(&path, MIXED).unwrap();
    let file = path.to_str().unwrap();
    credit(&["--input", file, "--output", file]).assert().success().stdout("");
    let once = fs::read_to_string(&path).unwrap();
    assert_eq!(once.lines().count(), 4);
    credit(&["--input", file, "--output", file]).assert().success();
    assert_eq!(fs::read_to_string(&path).unwrap(), once, "a second run changes nothing");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "temporary files are removed");
}

/// A device or a link is not replaced by a file.
#[cfg(unix)]
#[test]
fn links_and_devices_are_written_through() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    fs::write(&file, "before").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let to = |path: &str| {
        let mut command = credit(&["--input", "-", "--output", path]);
        command.write_stdin(MIXED).assert().success()
    };
    to(link.to_str().unwrap());
    assert!(link.symlink_metadata().unwrap().is_symlink());
    let lines = fs::read(&file).unwrap();
    assert_eq!(lines.iter().filter(|&&byte| byte == b'\n').count(), 4);
    assert_eq!(to("/dev/stdout").get_output().stdout, lines);
    to("/dev/null");
    assert!(!Path::new("/dev/null").metadata().unwrap().is_file());
}

#[test]
fn help_has_examples_and_a_flag_for_every_setting() {
    let assert = credit(&["--help"]).assert().success().stdout(contains("Examples:"));
    let help = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    for flag in [
        "--estimator --gamma --step-weight --episode-weight --normalize --statistics",
        "--modulation --modulation-steepness --modulation-range --no-modulation --success-prior",
        "--proximity-temperature --embedding --max-features --hash-features --self-weight --same-episode",
        "--similarity --history --length-weight --base-group --success-value --distance",
        "--credit-invalid-action-penalty --config --input --output --explain",
    ]
    .iter()
    .flat_map(|flags| flags.split(' '))
    {
        assert!(
            help.contains(&format!("{flag} ")) || help.contains(&format!("{flag}\n")),
            "{flag}"
        );
    }
    assert!(!help.contains("--learning-rate"), "settings of training are not listed");
}

#[test]
fn an_empty_file_gives_an_empty_file() {
    for text in ["", "\n \n"] {
        credit(&["--input", "-"]).write_stdin(text).assert().success().stdout("");
    }
    let graph = ["--estimator", "graphgpo"];
    let empty = r#"{"group":"a","trajectory":"t","success":false,"steps":[]}"#;
    for (flags, key) in [(graph, "advantages"), (["--embedding", "given"], "returns")] {
        let mut command = credit(&["--input", "-"]);
        let done = command.args(flags).write_stdin(empty).assert().success();
        let done = done.stderr(contains("1 episode has no steps"));
        let line: Value = serde_json::from_slice(&done.get_output().stdout).unwrap();
        assert_eq!(line[key], json!([]));
    }
}

#[test]
fn settings_that_need_a_policy_are_refused() {
    let episode = r#"{"group":"a","trajectory":"t","success":false,"steps":[]}"#;
    for (flags, says) in [
        (["--embedding", "policy"], "is 'policy', but only training has a policy"),
        (["--engine", "device"], "is 'device', but this is the host engine"),
    ] {
        let mut command = credit(&["--input", "-", flags[0], flags[1]]);
        refused(command.write_stdin(episode), says);
    }
}

#[test]
fn an_invalid_line_is_reported_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.jsonl"), folder.path().join("out.jsonl"));
    let sound = r#"{"group":"a","trajectory":"t","success":true,"steps":[]}"#;
    let step = |step: &str| {
        format!(
            r#"{{"group":"a","trajectory":"t","success":true,"steps":[{{"observation":"o","action":"a","reward":0}},{step}]}}"#
        )
    };
    for (line, says) in [
        (
            "{\"group\":".to_string(),
            "in.jsonl:3: expected an episode as a JSON object, found no JSON: EOF",
        ),
        ("[]".to_string(), "in.jsonl:3: expected an episode as a JSON object, found an array of 0"),
        (
            sound.replace("true", "\"yes\""),
            "in.jsonl:3: success: expected true or false, found the text \"yes\"",
        ),
        (
            step(r#"{"observation":"o","action":"a"}"#),
            "in.jsonl:3: steps[1].reward: expected a number, found nothing",
        ),
        (
            step(r#"{"observation":"o","action":"a","reward":1e39}"#),
            "in.jsonl:3: steps[1].reward: expected a number from -1e30 to 1e30, found 1e39",
        ),
        (
            step(r#"{"observation":"o","action":"a","reward":1e999}"#),
            "in.jsonl:3: steps[1].reward: expected a number from -1e30 to 1e30, found inf",
        ),
        (
            step(r#"{"observation":"o","action":"a","reward":NaN}"#),
            "in.jsonl:3: steps[1].reward: expected a finite number, found NaN",
        ),
        (
            step(r#"{"observation":null,"action":"a","reward":1}"#),
            "in.jsonl:3: steps[1].observation: expected a text, found null",
        ),
    ] {
        fs::write(&input, format!("{sound}\n\n{line}\n{sound}\n")).unwrap();
        let files = [input.to_str().unwrap(), output.to_str().unwrap()];
        refused(&mut credit(&["--input", files[0], "--output", files[1]]), says);
        refused(&mut credit(&["--input", files[0]]), says);
        assert!(!output.exists(), "{line}");
    }
    fs::write(&input, [sound.as_bytes(), b"\n\xff\n"].concat()).unwrap();
    refused(&mut credit(&["--input", input.to_str().unwrap()]), "in.jsonl:2: ");
    fs::write(&output, "as it was").unwrap();
    credit(&["--input", input.to_str().unwrap(), "--output", output.to_str().unwrap()])
        .assert()
        .code(2);
    assert_eq!(fs::read_to_string(&output).unwrap(), "as it was");
}

#[test]
fn invalid_settings_and_paths_give_one_line() {
    let on_nothing = |arguments: &[&str]| {
        let mut command = credit(&["--input", "-"]);
        command.args(arguments).write_stdin("");
        command
    };
    refused(
        &mut on_nothing(&["--estimator", "magic"]),
        "(--estimator): is 'magic', expected one of proxmo",
    );
    refused(&mut on_nothing(&["--proximity-temperature", "-1"]), "credit.temperature");
    refused(
        &mut on_nothing(&["--credit-invalid-action-penalty", "x"]),
        "(--credit-invalid-action-penalty)",
    );
    refused(&mut on_nothing(&["--estimator", "rloo", "--normalize", "mean-std"]), "'rloo'");
    refused(&mut on_nothing(&["--config", "nowhere.toml"]), "cannot read nowhere.toml");
    refused(&mut credit(&["--input", "nowhere.jsonl"]), "cannot read nowhere.jsonl");
    refused(&mut on_nothing(&["--output", "no/such/folder/out.jsonl"]), "cannot write");
    refused(&mut on_nothing(&["--explain", "t"]), "no episode has the trajectory 't'");
    credit(&[]).assert().code(2).stderr(contains("--input"));
}

#[test]
fn flags_override_the_credit_section_of_a_config_file() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    let text = "[env]\nname = \"alfworld\"\n[credit]\nestimator = \"grpo\"\nnormalize = \"mean\"\n";
    fs::write(&config, text).unwrap();
    let from_file = credited(MIXED, &["--config", config.to_str().unwrap()]);
    assert_eq!(from_file, credited(MIXED, &["--estimator", "grpo", "--normalize", "mean"]));
    let both = ["--config", config.to_str().unwrap(), "--estimator", "rloo"];
    assert_eq!(credited(MIXED, &both), credited(MIXED, &["--estimator", "rloo"]));
}

#[test]
fn embeddings_of_the_file_are_used_on_request() {
    let episodes = |last: &str| {
        let step = |observation: &str, embedding: &str| {
            format!(r#"{{"observation":"{observation}","action":"a","reward":0{embedding}}}"#)
        };
        let line = |name: &str, success: bool, steps: &[String]| {
            format!(
                r#"{{"group":"a","trajectory":"{name}","success":{success},"steps":[{},{{"observation":"end","action":"a","reward":{},"embedding":[0,0,1]}}]}}"#,
                steps.join(","),
                u8::from(success)
            )
        };
        [
            line("t0", true, &[step("one", r#","embedding":[1,0,0]"#)]),
            line("t1", false, &[step("other", last)]),
        ]
        .join("\n")
    };
    let given = ["--embedding", "given", "--proximity-temperature", "0.001", "--no-modulation"];
    let alike = credited(&episodes(r#","embedding":[2,0,0]"#), &given);
    let apart = credited(&episodes(r#","embedding":[0,2,0]"#), &given);
    let first = |lines: &[Value]| lines[0]["step_advantages"][0].as_f64().unwrap();
    assert!((first(&alike) - 0.475).abs() < 1e-6, "the same state: half of the return");
    assert!(first(&apart).abs() < 1e-6, "a separate state");

    let refuse = |last: &str, says: &str| {
        let mut command = credit(&["--input", "-"]);
        refused(command.args(given).write_stdin(episodes(last)), says);
    };
    let place = "standard input:2: steps[0].embedding";
    refuse(
        r#","embedding":[1,0]"#,
        &format!("{place}: expected 3 numbers, as in the first step, found 2"),
    );
    refuse("", &format!("{place}: expected 3 numbers, as in the first step, found nothing"));
    refuse(r#","embedding":[1,0,1e39]"#, &format!("{place}[2]: expected a number of at most"));
    credited(&episodes(""), &[]);
}

#[test]
fn a_failure_without_final_observation_is_reported_by_graphgpo() {
    let says = "standard input:4: final_observation: expected a text";
    refused(credit(&["--input", "-", "--estimator", "graphgpo"]).write_stdin(MIXED), says);
}

#[test]
fn values_of_states_in_a_file_are_read_where_they_are_needed() {
    const STEPS: &str = r#"{"observation":"a","action":"go","reward":0,"value":0.5},
        {"observation":"b","action":"go","reward":R,"value":0.25}"#;
    let line = |name: &str, reward: &str, more: &str| {
        let steps = STEPS.replace('R', reward).replace('\n', "");
        format!(
            r#"{{"group":"g","trajectory":"{name}","success":{reward},{more}"steps":[{steps}]}}"#
        )
    };
    let text = [line("won", "1", ""), line("cut", "0", r#""final_value":2,"#)].join("\n") + "\n";
    let settings = ["--gamma", "0.5", "--normalize", "mean"];
    let ppo =
        credited(&text, &[&settings[..], &["--estimator", "ppo", "--gae-lambda", "1"]].concat());
    // Nothing follows an episode that ended; one that was cut short goes on from its last value.
    assert_eq!(ppo[0]["returns"], json!([0.5, 1.0]));
    assert_eq!(ppo[1]["returns"], json!([0.5, 1.0]));
    assert_eq!(ppo[0]["advantages"], json!([-0.375, 0.375]));
    let mixed = ["--estimator", "gigpo", "--value-weight", "0.5"];
    let mixed = credited(&text, &[&settings[..], &mixed].concat());
    // Rows of a: returns 0.5 and 0, so their baseline is (0.25 + 0.5) / 2.
    assert_eq!(mixed[0]["step_advantages"], json!([0.125, 0.625]));
    assert_eq!(mixed[1]["step_advantages"], json!([-0.375, -0.375]));

    let mut explain = credit(&["--input", "-", "--explain", "cut", "--estimator", "ppo"]);
    let explain = explain.write_stdin(text.clone()).assert().success();
    explain.stdout(contains("baseline 0.2500   value 0.2500"));
    let without = text.replacen(r#","value":0.25"#, "", 1);
    let mut command = credit(&["--input", "-", "--estimator", "ppo"]);
    let says = "standard input:1: steps[1].value: expected a number, found nothing";
    refused(command.write_stdin(without.clone()), says);
    // No other estimator reads them.
    assert_eq!(credited(&without, &[]).len(), 2);
}

#[test]
fn an_episode_is_explained_step_by_step() {
    let explain = |arguments: &[&str]| {
        let mut command = credit(&["--input", "-", "--explain"]);
        let assert = command.args(arguments).write_stdin(MIXED).assert().success().stderr("");
        String::from_utf8(assert.get_output().stdout.clone()).unwrap()
    };
    let text = explain(&["a/t0"]);
    for part in [
        "t0: success after 2 steps, total reward 1",
        "group      a: 1 of 2 episodes succeeded",
        "step 1   go",
        "sees     cellar \\u{1b}[31m   (no other row of the group)",
        "sees     hall   (2 rows of the group)",
        "return 0.9500",
        "(this state)",
        "unique states",
        "effective neighbours",
        "explained variance",
        "temperature           0.1000",
        "success rate  50.0 % modulates a success by",
    ] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "control characters are escaped");
    assert!(explain(&["t1"]).contains("step 1   wait   (not admissible)"));
    let gigpo = explain(&["t1", "--estimator", "gigpo"]);
    assert!(gigpo.contains("baseline 0.4750") && !gigpo.contains("cosine"), "{gigpo}");
    assert!(explain(&["t1", "--estimator", "grpo"]).contains("baseline -"));
    assert!(explain(&["b/t0"]).contains("failure after 0 steps"));

    let ask = |name: &str| {
        let mut command = credit(&["--input", "-", "--explain", name]);
        command.write_stdin(MIXED);
        command
    };
    refused(
        &mut ask("t0"),
        "2 episodes have the trajectory 't0', the first at standard input:1 and",
    );
    refused(&mut ask("t9"), "no episode has the trajectory 't9'; the first is 't0'");
}
