//! A small program with one fault of the protocol at a time: which are tolerated, and what the others
//! are told.

use crate::support::process::{python, python_name};
use crate::support::shared::shared;
use proxmo::env::process::{Process, ProcessConfig, command_line};
use proxmo::env::{Environment, Texts};

/// Opens the program with a fault and plays one episode; the result is the number of steps.
fn play(mode: &str) -> Option<proxmo::Result<usize>> {
    let program = shared("cases/env/fault_env.py").filter(|_| python())?;
    let command = command_line([python_name(), &program.display().to_string(), mode]);
    let config = ProcessConfig { command, processes: 1, ..ProcessConfig::default() };
    Some(episode(&config))
}

fn episode(config: &ProcessConfig) -> proxmo::Result<usize> {
    let environment = Process::open(config, None)?;
    let mut session = environment.start(1, 1)?;
    for step in 1..=environment.max_steps() {
        let mut actions = Texts::new();
        session.admissible(&mut actions);
        let action = actions.get(0).unwrap_or("press a").to_string();
        let done = session.step(&action)?;
        if done.terminated || done.truncated {
            return Ok(step);
        }
    }
    Ok(environment.max_steps())
}

#[test]
fn unambiguous_answers_are_understood() {
    for mode in [
        "ok",
        "crlf",
        "bom",
        "tasks_float",
        "success_int",
        "success_null",
        "success_missing",
        "task_int",
        "latin1",
        "stderr_flood",
    ] {
        let Some(played) = play(mode) else { return };
        assert_eq!(played.map_err(|error| format!("{mode}: {error}")), Ok(4));
    }
}

#[test]
fn other_answers_are_refused_with_the_field_and_the_value() {
    for (mode, says) in [
        ("utf16", "is not UTF-8: found UTF-16 (zero bytes)"),
        ("surrogate", r"'observation' is a text with \ud83d alone, which is half of a character"),
        ("nan", "'reward' is NaN, expected a finite number"),
        ("inf", "'reward' is -Infinity, expected a finite number"),
        ("reward_null", "'reward' is null, expected a value"),
        ("reward_str", "'reward' is the text \"1.0\", expected a number"),
        ("reward_bool", "'reward' is false, expected a number"),
        ("obs_null", "'observation' is null, expected a text"),
        ("obs_list", "'observation' is an array of 2, expected a text"),
        ("obs_dict", "'observation' is an object, expected a text"),
        ("adm_null", "'admissible' is null, expected a list of texts"),
        ("adm_int", "'admissible[0]' is 0, expected a text"),
        ("adm_str", "'admissible' is the text \"press a, press b\", expected a list of texts"),
        ("adm_missing", "missing field `admissible`"),
        ("goal_null", "'goal' is null, expected a value"),
        ("goal_missing", "missing field `goal`"),
        ("task_missing", "missing field `task`"),
        ("session_missing", "which names neither a session nor an error"),
        ("done", "missing field `terminated`"),
        ("trunc_missing", "missing field `truncated`"),
        ("no_max", "missing field `max_steps`"),
        ("no_name", "missing field `name`"),
        ("pretty", "which is an object that does not end (each answer is one line"),
        ("describe_pretty", "which is an object that does not end (each answer is one line"),
        ("banner", "'Loading environment v1.2 ...', which is not a JSON object"),
        ("prompt", "which is not a JSON object (standard output is for answers only"),
        ("tasks0", "'tasks' is 0, expected 1 to"),
        ("max0", "'max_steps' is 0, expected 1 to"),
        ("error_step", "says: boom"),
    ] {
        let Some(played) = play(mode) else { return };
        let message = played.expect_err(mode).to_string();
        assert!(message.contains(says), "{mode}: {message}");
        assert!(!message.contains('\n'), "{mode}: {message}");
    }
}
