//! `proxmo env`, `play --walkthrough`, `eval --player`, and the Python client.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use crate::support::alfworld::{admissible, archive, observation, transcripts};
use crate::support::process::{python, python_name};
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use proxmo::env::alfworld::{AlfWorld, AlfWorldConfig};
use proxmo::env::household::HouseholdConfig;
use proxmo::env::{Environment, Session};
use serde_json::{Value, json};

fn proxmo(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("proxmo").unwrap();
    command.args(arguments);
    command
}

/// One line on standard error, exit code 2, nothing on standard output.
fn refused(command: &mut Command, says: &str) {
    let one_line = predicate::function(|text: &str| text.trim_end().lines().count() == 1);
    command.assert().code(2).stdout("").stderr(contains(says).and(one_line));
}

/// The answers of `proxmo env serve`.
fn serve(arguments: &[&str], requests: impl Into<Vec<u8>>) -> Vec<Value> {
    let output = proxmo(&["env", "serve"]).args(arguments).write_stdin(requests).assert().success();
    let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn lines(requests: &[Value]) -> String {
    requests.iter().map(|request| format!("{request}\n")).collect()
}

fn reset(session: usize, task: &str) -> Value {
    json!({ "op": "reset", "session": session, "task": task })
}

fn step(session: usize, action: &str) -> Value {
    json!({ "op": "step", "session": session, "action": action })
}

/// The household tasks of `--split valid`.
fn household() -> AlfWorld {
    HouseholdConfig::default().generate(Some("valid")).unwrap()
}

/// The path of the published games.
fn games() -> Option<String> {
    archive().map(|path| path.to_str().unwrap().to_string())
}

#[test]
fn the_protocol_is_spoken_byte_for_byte() {
    let world = household();
    let (name, goal) = (world.task_name(3), world.session(3, 0).unwrap().goal().to_string());
    let text = |session: &dyn Session| serde_json::to_string(&observation(session)).unwrap();
    let list = |session: &dyn Session| serde_json::to_string(&admissible(session)).unwrap();
    let mut session = world.session(3, 0).unwrap();
    let kinds = ["Pick", "Look", "Clean", "Heat", "Cool", "Pick2"];
    let kind = kinds[world.task_kind(3)];
    let mut expected = String::from("{\"protocol\":1,\"name\":\"household\",\"tasks\":200,");
    expected += "\"max_steps\":7,\"splits\":[{\"name\":\"valid\",\"tasks\":200}],\"kinds\":";
    expected += &format!("{}}}\n", json!(kinds));
    expected += &format!(
        "{{\"session\":0,\"task\":\"{name}\",\"goal\":\"{goal}\",\"observation\":{},\"admissible\":{},\
         \"kind\":\"{kind}\"}}\n",
        text(&session),
        list(&session)
    );
    session.step("look").unwrap();
    expected += &format!(
        "{{\"session\":0,\"observation\":{},\"admissible\":{},\"reward\":0.0,\"terminated\":false,\
         \"truncated\":false,\"success\":false,\"valid\":true}}\n",
        text(&session),
        list(&session)
    );
    expected += "{\"error\":\"the session has not begun; reset it first\",\"session\":1}\n";
    let requests = [
        json!({ "op": "describe" }),
        reset(0, name),
        step(0, "look"),
        step(1, "look"),
        json!({ "op": "close" }),
        json!({ "op": "describe" }),
    ];
    let mut command = proxmo(&["env", "serve", "--split", "valid", "--max-steps", "7"]);
    command.write_stdin(lines(&requests)).assert().success().stdout(expected).stderr("");
}

#[test]
fn a_seed_picks_the_same_task_every_time() {
    let by_seed = |seed: u64| json!({ "op": "reset", "session": 0, "seed": seed });
    let picked: Vec<Value> = (0..20).chain(0..20).map(by_seed).collect();
    let answers = serve(&[], lines(&picked));
    assert_eq!(answers[..20], answers[20..]);
    let names: std::collections::BTreeSet<&str> =
        answers.iter().map(|answer| answer["task"].as_str().unwrap()).collect();
    assert!(names.len() > 15, "{names:?}");
    let splits = ["household-1/", "household-2/"];
    assert!(splits.iter().all(|split| names.iter().any(|name| name.starts_with(split))));
    let task = answers[0]["task"].as_str().unwrap();
    assert_eq!(serve(&[], reset(0, task).to_string())[0], answers[0], "a line may lack its end");

    // With a name, the seed is left to decide what the environment leaves to chance.
    let told = |seed: u64| json!({ "op": "reset", "session": 0, "task": task, "seed": seed });
    let world = HouseholdConfig::default().generate(None).unwrap();
    let number = (0..world.tasks()).find(|&number| world.task_name(number) == task);
    let numbered = json!({ "op": "reset", "session": 0, "number": number, "seed": 99 });
    assert_eq!(serve(&[], numbered.to_string())[0], answers[0], "or its number");
    let seeds: Vec<Value> = (0..20).map(told).collect();
    let answers = serve(&["--paraphrase", "1"], lines(&seeds));
    assert!(answers.iter().all(|answer| answer["task"] == task));
    assert!(answers.iter().any(|answer| answer["observation"] != answers[0]["observation"]));
}

#[test]
fn malformed_requests_are_refused_and_the_process_continues() {
    let world = household();
    let mut requests = lines(&[reset(5, world.task_name(0))]).into_bytes();
    let long = format!("{{\"op\":\"{}\"}}", "x".repeat(3 << 20));
    let wrong: [(&[u8], &str, Option<u64>); 8] = [
        (b"", "expected a JSON object", None),
        (b"nonsense", "expected a JSON object", None),
        (b"{\"op\":\"step\",\"session\":5", "EOF", None),
        (b"{\"op\":\"step\",\"session\":5,\"action\":[]}", "expected a string", Some(5)),
        (b"{\"op\":\"jump\",\"session\":5}", "unknown variant `jump`", Some(5)),
        (b"{\"op\":\"step\",\"session\":6,\"action\":\"look\"}", "not begun", Some(6)),
        (
            b"{\"op\":\"reset\",\"session\":5,\"task\":\"no/such/task\"}",
            "no task 'no/such",
            Some(5),
        ),
        (long.as_bytes(), "longer than", None),
    ];
    for (line, ..) in wrong {
        requests.extend_from_slice(line);
        requests.push(b'\n');
    }
    requests.extend_from_slice(lines(&[step(5, "look")]).as_bytes());
    let answers = serve(&["--split", "valid"], requests);
    assert_eq!(answers.len(), wrong.len() + 2);
    for ((_, says, session), answer) in wrong.iter().zip(&answers[1..]) {
        assert!(answer["error"].as_str().unwrap().contains(says), "{answer} does not say {says}");
        assert_eq!(answer["session"].as_u64(), *session, "{answer}");
    }
    let mut session = world.session(0, 0).unwrap();
    session.step("look").unwrap();
    assert_eq!(answers[wrong.len() + 1]["observation"], observation(&session));
}

#[test]
fn sessions_are_independent_and_continue_after_their_end() {
    let world = household();
    let plays: Vec<Vec<&str>> = (0..150)
        .map(|task| {
            let commands = world.walkthrough(task).iter().map(String::as_str);
            commands.chain(["inventory", "nonsense", "look"]).collect()
        })
        .collect();
    let mut sessions: Vec<_> = (0..150).map(|task| world.session(task, 0).unwrap()).collect();
    let mut requests: Vec<Value> =
        (0..150).map(|task| reset(1000 * task, world.task_name(task))).collect();
    let mut expected: Vec<Value> = Vec::new();
    for number in 0..plays.iter().map(Vec::len).max().unwrap() {
        for (task, session) in sessions.iter_mut().enumerate() {
            let Some(action) = plays[task].get(number) else { continue };
            requests.push(step(1000 * task, action));
            let done = session.step(action).unwrap();
            expected.push(json!({
                "session": 1000 * task,
                "observation": observation(session),
                "admissible": admissible(session),
                "reward": done.reward,
                "terminated": done.terminated,
                "truncated": done.truncated,
                "success": done.success,
                "valid": done.valid,
            }));
        }
    }
    requests.push(reset(0, world.task_name(0)));
    let answers = serve(&["--split", "valid"], lines(&requests));
    assert_eq!(answers[150..answers.len() - 1], expected);
    assert_eq!(answers.iter().filter(|answer| answer["reward"] == 1.0).count(), 150);
    assert_eq!(answers[answers.len() - 1], answers[0], "a reset restarts the session");
}

#[test]
fn transcripts_of_the_original_engine_are_reproduced_byte_for_byte() {
    let (Some(games), Some(transcripts)) = (games(), transcripts()) else { return };
    let mut requests = vec![json!({ "op": "describe" })];
    for (session, transcript) in transcripts.iter().enumerate() {
        requests.push(reset(session, &transcript.game));
        requests.extend(transcript.steps[1..].iter().map(|entry| step(session, &entry.cmd)));
    }
    let answers = serve(&["--env", "alfworld", "--games", &games], lines(&requests));
    let about = json!({ "protocol": 1, "name": "alfworld", "tasks": 4027, "max_steps": 50 });
    for (key, value) in about.as_object().unwrap() {
        assert_eq!(answers[0][key], *value);
    }
    let splits = answers[0]["splits"].as_array().unwrap();
    let held_out = json!({ "name": "valid_seen", "tasks": 140 });
    assert!(splits.contains(&held_out), "{splits:?}");
    let tasks: u64 = splits.iter().map(|split| split["tasks"].as_u64().unwrap()).sum();
    assert_eq!(tasks, 4027);
    let mut rest = answers[1..].iter();
    for transcript in &transcripts {
        for (number, entry) in transcript.steps.iter().enumerate() {
            let answer = rest.next().unwrap();
            let place = format!("{}, step {number}: {:?}", transcript.game, entry.cmd);
            assert_eq!(answer["observation"], entry.obs, "{place}");
            assert_eq!(answer["admissible"], json!(entry.adm), "{place}");
            if number > 0 {
                assert_eq!(answer["success"], entry.won, "{place}");
                assert_eq!(answer["terminated"], entry.done, "{place}");
            }
        }
    }
    assert_eq!(rest.next(), None);
}

#[test]
fn a_client_that_closes_its_end_is_not_an_error() {
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("proxmo"))
        .args(["env", "serve"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    // The process may end before all is written.
    let _ = child.stdin.take().unwrap().write_all(&b"{\"op\":\"describe\"}\n".repeat(100));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn environments_are_listed_with_their_settings() {
    let says = contains("household").and(contains("alfworld")).and(contains("paraphrase"));
    let says = says.and(contains("max_steps")).and(contains("50")).and(contains("valid_seen"));
    proxmo(&["env", "list"]).assert().success().stdout(says);
    for command in [&["env"][..], &["env", "serve"], &["env", "generate"]] {
        proxmo(command).arg("--help").assert().success().stdout(contains("Examples:"));
    }
}

#[test]
fn wrong_settings_are_refused_in_one_line() {
    refused(&mut proxmo(&["env", "serve", "--env", "mars"]), "--env");
    // Whatever this machine's user has of the games.
    let home = tempfile::tempdir().unwrap();
    let mut without_games = proxmo(&["env", "serve", "--env", "alfworld"]);
    without_games.env_remove("ALFWORLD_DATA").env("HOME", home.path());
    refused(&mut without_games, "env.games");
    refused(&mut proxmo(&["env", "serve", "--split", "nowhere"]), "'nowhere' is unknown");
    refused(&mut proxmo(&["env", "serve", "--max-steps", "0"]), "env.max_steps");
    refused(&mut proxmo(&["env", "serve", "--paraphrase", "2"]), "env.paraphrase");
    refused(&mut proxmo(&["play", "--paraphrase", "nan"]), "env.paraphrase");
    refused(&mut proxmo(&["play", "--like", "nowhere"]), "nowhere");
    refused(&mut proxmo(&["play", "--difficulty", "silly"]), "--difficulty");
    refused(&mut proxmo(&["eval"]), "--run");
    refused(&mut proxmo(&["eval", "--player", "expert", "--split", "x"]), "'x' is unknown");
    let generate = ["env", "generate", "--out", "x", "--like", "y", "--count"];
    refused(proxmo(&generate).arg("0"), "--count");
}

#[test]
fn a_walkthrough_is_shown_to_its_end() {
    let world = household();
    let name = world.task_name(5);
    let mut play = proxmo(&["play", "--walkthrough", "--task", name]);
    let output = play.assert().success();
    let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    assert!(text.starts_with(&format!("Task {name}\n")), "{text}");
    let shown: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("> ")).collect();
    assert_eq!(shown, world.walkthrough(5));
    assert!(text.ends_with(&format!("Won after {} steps, reward 1.\n", shown.len())), "{text}");
    let mut session = world.session(5, 0).unwrap();
    for command in shown {
        session.step(command).unwrap();
        assert!(text.contains(&observation(&session)), "{command}");
    }
    // The same walkthrough with paraphrased observations.
    let other = play.args(["--paraphrase", "1"]).assert().success();
    assert_ne!(String::from_utf8(other.get_output().stdout.clone()).unwrap(), text);
}

fn evaluate(arguments: &[&str]) -> Value {
    let output = proxmo(&["eval", "--json"]).args(arguments).assert().success();
    serde_json::from_slice(&output.get_output().stdout).unwrap()
}

#[test]
fn episodes_of_the_expert_are_written_and_get_credit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demos.jsonl");
    let path = path.to_str().unwrap();
    let result = evaluate(&["--player", "expert", "--eval-tasks", "5", "--episode-file", path]);
    let text = std::fs::read_to_string(path).unwrap();
    let episodes: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let won = episodes.iter().filter(|episode| episode["success"] == json!(true)).count();
    assert_eq!((episodes.len(), json!(won)), (5, result["overall"]["won"].clone()));
    assert_eq!(episodes[0]["steps"].as_array().unwrap().last().unwrap()["reward"], json!(1.0));
    assert!(episodes[0]["task"].is_string() && episodes[0]["final_observation"].is_string());
    let credited = proxmo(&["credit", "--input", path]).assert().success();
    let lines = String::from_utf8(credited.get_output().stdout.clone()).unwrap();
    assert_eq!(lines.matches("\"advantages\":[").count(), 5);
}

#[test]
fn untrained_policies_are_evaluated() {
    let expert = evaluate(&["--player", "expert"]);
    assert_eq!((&expert["policy"], &expert["split"]), (&json!("expert"), &json!("valid")));
    assert_eq!((&expert["overall"]["tasks"], &expert["run"]), (&json!(200), &Value::Null));
    assert!(expert["success"].as_f64().unwrap() > 0.95, "{expert}");
    assert_eq!(expert["kinds"].as_array().unwrap().len(), 6);
    let random = evaluate(&["--player", "random", "--eval-tasks", "50"]);
    assert_eq!(random["overall"]["tasks"], 50);
    assert!(random["success"].as_f64().unwrap() < 0.3, "{random}");
    assert_eq!(random, evaluate(&["--player", "random", "--eval-tasks", "50"]));
    assert_ne!(random, evaluate(&["--player", "random", "--eval-tasks", "50", "--seed", "1"]));
    // Fewer steps than any task takes.
    let hasty = evaluate(&["--player", "expert", "--max-steps", "2"]);
    assert_eq!((&hasty["success"], &hasty["overall"]["length"]), (&json!(0.0), &json!(2.0)));
    let table = proxmo(&["eval", "--player", "expert"]).assert().success();
    table.stdout(contains("valid, expert policy:").and(contains("| All")));
    let both = ["eval", "--player", "expert", "--checkpoint", "3"];
    proxmo(&both).assert().code(2).stderr(contains("--checkpoint"));
}

#[test]
fn the_expert_wins_the_benchmark() {
    let Some(games) = games() else { return };
    for (split, tasks) in [("valid_seen", 140), ("valid_unseen", 134)] {
        let played = ["--env", "alfworld", "--games", &games, "--split", split];
        let expert = evaluate(&[&["--player", "expert"], &played[..]].concat());
        assert_eq!(expert["overall"]["tasks"], tasks);
        assert!(expert["success"].as_f64().unwrap() > 0.95, "{expert}");
    }
}

/// Trains one iteration.
fn train(run: &Path, more: &[&str]) {
    let mut command =
        proxmo(&["train", "--backend", "flex", "--train-tasks", "6", "--held-out", "6"]);
    command.args(["--groups", "1", "--group-size", "2", "--iterations", "1", "--max-steps", "5"]);
    command.args(["--policy-embedding", "8", "--hidden", "8", "--save-episodes", "--quiet"]);
    command.args(more).arg("--run").arg(run).assert().success();
}

#[test]
fn a_run_records_the_paraphrase_setting() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    train(&run, &["--paraphrase", "0.5"]);
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(config.contains("paraphrase = 0.5"), "{config}");
    let run = run.to_str().unwrap();
    assert_eq!(evaluate(&["--run", run])["policy"], "scorer");
    let random = evaluate(&["--run", run, "--player", "random"]);
    assert_eq!((&random["overall"]["tasks"], &random["iteration"]), (&json!(6), &Value::Null));
    assert_eq!(random["overall"]["length"], 5.0);
}

#[test]
fn generated_games_are_written_loaded_played_and_reworded() {
    let Some(published) = games() else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("games");
    let out_name = out.to_str().unwrap();
    let generate = |more: &[&str]| {
        let mut command = proxmo(&["env", "generate", "--count", "30", "--out", out_name]);
        command.args(more);
        command
    };
    refused(&mut generate(&["--like", "nowhere"]), "nowhere");
    assert!(!out.exists(), "a refused command writes nothing");
    let like = ["--like", &published, "--difficulty", "hard", "--task-seed", "4"];
    generate(&like).assert().success().stdout(contains("30 games"));
    refused(&mut generate(&like), "is not empty");
    let world = AlfWorld::load(&out, Some("household-4"), AlfWorldConfig::default()).unwrap();
    assert_eq!(world.tasks(), 30);
    assert!(out.join(world.task_name(0)).join("game.tw-pddl").is_file());

    let played = ["--env", "alfworld", "--games", out_name, "--split", "household-4"];
    let expert = evaluate(&[&["--player", "expert"], &played[..]].concat());
    assert_eq!(expert["overall"]["tasks"], 30);
    assert!(expert["success"].as_f64().unwrap() > 0.9, "{expert}");
    let mut watch = proxmo(&["play", "--walkthrough", "--seed", "2"]);
    watch.args(played).assert().success().stdout(contains("Won after"));

    let run = folder.path().join("run");
    train(&run, &["--like", out_name]);
    let opening = observation(&world.session(0, 0).unwrap());
    let opening = serde_json::to_string(opening.lines().next().unwrap()).unwrap();
    let episodes = fs::read_to_string(run.join("episodes/000001.jsonl")).unwrap();
    assert!(episodes.contains(opening.trim_matches('"')), "{opening} is in no observation");
    assert_eq!(evaluate(&["--run", run.to_str().unwrap()])["overall"]["tasks"], 6);
}

#[test]
fn the_python_client_plays() {
    if !python() {
        return;
    }
    let python = |arguments: &[&str]| {
        let mut command = Command::new(python_name());
        command.args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    };
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/alfworld_client.py");
    let program = assert_cmd::cargo::cargo_bin("proxmo");
    let client = [client.to_str().unwrap(), "--proxmo", program.to_str().unwrap()];
    let world = HouseholdConfig::default().generate(None).unwrap();
    let name = world.task_name(0);
    let plays = contains(format!("Task {name}")).and(contains("steps."));
    python(&client).args(["--task", name]).assert().success().stdout(plays);
    let speed = ["--sessions", "64", "--steps", "2000"];
    python(&client).args(speed).assert().success().stdout(contains("steps/s"));
    let nowhere = ["--task", "no/such/task"];
    python(&client).args(nowhere).assert().code(1).stderr(contains("there is no task"));
}
