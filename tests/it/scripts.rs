//! The scorer learns a task whatever the script of its texts.

use std::fs;

use assert_cmd::Command;
use proxmo::env::process::command_line;
use serde_json::Value;

use crate::support::process::{one_step, python, python_name};

/// Press the button of the colour that the goal names, among eight. With `zh` and `th` the texts are
/// Chinese and Thai, without a space.
const BUTTONS: &str = r#"
import json, sys
NAME = "buttons"
colours, press = {
    "en": (["red", "green", "blue", "yellow", "black", "white", "purple", "brown"], "press the {} button"),
    "zh": (["红色", "绿色", "蓝色", "黄色", "黑色", "白色", "紫色", "棕色"], "按下{}按钮"),
    "th": (["แดง", "เขียว", "น้ำเงิน", "เหลือง", "ดำ", "ขาว", "ม่วง", "น้ำตาล"], "กดปุ่มสี{}"),
}[sys.argv[1]]

def begin(number):
    return {"task": f"button {number % 8}", "goal": press.format(colours[number % 8]),
            "observation": "...", "admissible": [press.format(one) for one in colours]}

def end(number, action):
    right = action == press.format(colours[number % 8])
    return {"observation": "", "reward": float(right), "success": right}
"#;

#[test]
fn a_task_is_learned_in_scripts_with_and_without_spaces() {
    if !python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("buttons.py");
    fs::write(&program, one_step(BUTTONS)).unwrap();
    for script in ["en", "zh", "th"] {
        let command = command_line([python_name(), program.to_str().unwrap(), script]);
        let run = folder.path().join(script);
        let mut train = Command::cargo_bin("proxmo").unwrap();
        train.args(["train", "--env", "process", "--command", &command, "--backend", "flex"]);
        train.args(["--iterations", "60", "--eval-every", "60", "--quiet", "--run"]);
        train.arg(&run).assert().success();
        let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        let last: Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
        let success = last["evaluation"]["success"].as_f64().unwrap();
        assert!(success > 0.95, "in {script}: {success}");
    }
}
