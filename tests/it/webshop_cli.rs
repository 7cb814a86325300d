//! `proxmo env serve --env webshop` and what the command says of a malformed catalogue.

use assert_cmd::Command;
use serde_json::{Value, json};

use crate::support::shared::shared;

fn proxmo() -> Command {
    Command::cargo_bin("proxmo").unwrap()
}

fn answers(arguments: &[&str], requests: &[Value]) -> Vec<Value> {
    let lines: Vec<String> = requests.iter().map(Value::to_string).collect();
    let output = proxmo().args(arguments).write_stdin(lines.join("\n")).assert().success();
    let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_shop_is_served_by_flavour_goals_seed_and_step_limit() {
    let Some(folder) = shared("webshop/catalogue") else { return };
    let folder = folder.to_str().unwrap();
    let requests = [
        json!({"op": "describe"}),
        json!({"op": "reset", "session": 0, "task": "297"}),
        json!({"op": "step", "session": 0, "action": "search[red shoes]"}),
    ];
    for (flavour, goals, seed) in [("webshop", "human", "42"), ("verl", "synthetic", "1000")] {
        let arguments = [
            "env",
            "serve",
            "--env",
            "webshop",
            "--catalogue",
            folder,
            "--flavour",
            flavour,
            "--goals",
            goals,
            "--seed",
            seed,
            "--max-steps",
            "1",
        ];
        let answers = answers(&arguments, &requests);
        let [about, reset, step] = answers.as_slice() else { panic!("{answers:?}") };
        assert_eq!((&about["name"], &about["max_steps"]), (&json!("webshop"), &json!(1)));
        assert_eq!(about["tasks"], if goals == "human" { 1059 } else { 10124 });
        assert_eq!((&reset["task"], &reset["has_search_bar"]), (&json!("297"), &json!(true)));
        assert_eq!(reset["anchor"].is_string(), flavour == "verl");
        assert_eq!((&step["truncated"], &step["score"]), (&json!(true), &json!(0.0)));
        assert_eq!(step["clickables"][1], "next >");
    }
}

#[test]
fn a_malformed_catalogue_ends_the_command_with_code_2_and_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let arguments = ["env", "serve", "--env", "webshop", "--catalogue", path];
    let fails = |says: &str| {
        let assert = proxmo().args(arguments).write_stdin("").assert().code(2);
        let text = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
        assert!(text.contains(says) && text.trim().lines().count() == 1, "{text}");
    };
    fails("there is no items_shuffle_1000.json");
    std::fs::write(folder.path().join("items_shuffle_1000.json"), "[{\"asin\": 7}]").unwrap();
    std::fs::write(folder.path().join("items_ins_v2_1000.json"), "{}").unwrap();
    fails("items_shuffle_1000.json: product 1, field 'asin': found 7, expected a text");
}
