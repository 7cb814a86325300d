//! Demonstrations and trajectories as public files have them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use assert_cmd::Command;
use predicates::str::contains;
use proxmo::env::alfworld::{AlfWorld, AlfWorldConfig, LoadOptions};
use proxmo::episodes::{EpisodeRecord, Imported, TrajectoryLayout, import_episodes, read_episodes};
use proxmo::runs::{Demonstrations, demonstrations};
use proxmo::train::ImitationConfig;

use crate::support::alfworld::archive;
use crate::support::shared::shared;

const GAME: &str =
    "train/pick_and_place_simple-AlarmClock-None-Desk-310/trial_T20190908_002122_419694";

const WALKTHROUGH: [&str; 4] = [
    "go to sidetable 1",
    "take alarmclock 1 from sidetable 1",
    "go to desk 1",
    "move alarmclock 1 to desk 1",
];

/// The game of most demonstrations, as the only one of the training split.
fn training() -> Option<&'static AlfWorld> {
    static WORLD: OnceLock<AlfWorld> = OnceLock::new();
    let archive = archive()?;
    Some(WORLD.get_or_init(|| {
        let list = tempfile::NamedTempFile::new().unwrap();
        fs::write(list.path(), format!("{GAME}\n")).unwrap();
        let list = Some(list.path().to_path_buf());
        let options = LoadOptions { split: Some("train".into()), list, ..Default::default() };
        AlfWorld::load_options(&archive, &options, &mut |_, _| {}).unwrap()
    }))
}

fn file(name: &str) -> Option<PathBuf> {
    shared(&format!("cases/demonstrations/{name}"))
}

fn read(world: &AlfWorld, path: &Path) -> Result<Demonstrations, proxmo::Error> {
    let config = ImitationConfig { from: path.display().to_string(), ..ImitationConfig::default() };
    demonstrations(world, &config, 0, 0, &mut |_| {})
}

fn remarks(found: &Demonstrations) -> Vec<(usize, &str)> {
    found.remarks.iter().map(|remark| (remark.count, remark.text)).collect()
}

#[test]
fn demonstrations_in_public_forms_become_the_same_admissible_actions() {
    let (Some(world), Some(folder)) = (training(), shared("cases/demonstrations")) else { return };
    for (name, expected) in [
        ("demo_ok", None),
        ("demo_abs", None),
        ("demo_rel_file", None),
        ("demo_notrain", None),
        ("demo_think", Some((1, "thoughts among the actions are left out"))),
        ("demo_put", Some((1, "actions are given the environment's wording"))),
        ("demo_case", Some((4, "actions are given the environment's wording"))),
        ("demo_invalid", Some((1, "actions without effect are left out"))),
        ("demo_extra", Some((1, "actions after the end of their episode are left out"))),
        ("demo_mixed", Some((1, "episodes of tasks outside of the training split are left out"))),
    ] {
        let found = read(world, &folder.join(format!("{name}.jsonl"))).unwrap();
        assert_eq!(found.list.len(), 1, "{name}");
        assert_eq!(found.list[0].actions, WALKTHROUGH, "{name}");
        assert_eq!(remarks(&found), expected.into_iter().collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn a_demonstration_that_claims_success_and_is_not_won_is_imitated_with_a_warning() {
    let (Some(world), Some(path)) = (training(), file("demo_flag_wrong.jsonl")) else { return };
    let found = read(world, &path).unwrap();
    assert_eq!(found.list[0].actions, WALKTHROUGH[..2]);
    let warning = found.remarks[0].to_string();
    assert!(warning.starts_with("1 demonstrations claim success but are not won"), "{warning}");
    assert!(warning.contains("demo_flag_wrong.jsonl:1"), "{warning}");
}

#[test]
fn an_impossible_action_is_refused_with_its_line_and_the_nearest_admissible_action() {
    let Some(world) = training() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.jsonl");
    let line = |actions: &[&str]| {
        let steps: Vec<_> = actions
            .iter()
            .map(|action| serde_json::json!({"observation": "x", "action": action, "reward": 0.0}))
            .collect();
        serde_json::json!({"group": GAME, "trajectory": "t", "success": true, "steps": steps})
    };
    let wrong = line(&["go to sidetable 1", "take alarmclock 9 from sidetable 1"]);
    fs::write(&path, format!("\n{wrong}\n")).unwrap();
    let message = read(world, &path).unwrap_err().to_string();
    let expected = "d.jsonl:2: steps[1].action: 'take alarmclock 9 from sidetable 1' is not \
                    admissible there; the nearest admissible action is \
                    'take alarmclock 1 from sidetable 1'";
    assert!(message.ends_with(expected), "{message}");
    // Beside other episodes it is left out and counted.
    fs::write(&path, format!("{}\n{wrong}\n", line(&WALKTHROUGH))).unwrap();
    let found = read(world, &path).unwrap();
    assert_eq!(found.list.len(), 1);
    assert_eq!(remarks(&found), [(1, "episodes with impossible actions are left out")]);
    assert!(found.remarks[0].first.contains("d.jsonl:2: steps[1].action"), "{:?}", found.remarks);
}

#[test]
fn recorded_episodes_of_a_language_model_are_cleaned_and_counted() {
    let (Some(archive), Some(path)) = (archive(), file("bao.jsonl")) else { return };
    let world = AlfWorld::load(&archive, Some("valid_seen"), AlfWorldConfig::default()).unwrap();
    let found = read(&world, &path).unwrap();
    let episodes = read_episodes(&mut &fs::read(&path).unwrap()[..], "bao").unwrap();
    let failed = episodes.iter().filter(|episode| episode.success != Some(true)).count();
    let count = |text: &str| {
        found.remarks.iter().find(|remark| remark.text == text).map_or(0, |remark| remark.count)
    };
    assert_eq!(count("episodes are not successful and left out"), failed);
    let left_out = failed
        + count("episodes with impossible actions are left out")
        + count("episodes of tasks outside of the training split are left out");
    assert_eq!(found.list.len() + left_out, episodes.len());
    assert!(found.list.len() >= 3, "{:?}", found.remarks);
    let known = |action: &String| !action.contains("Trajectory") && !action.contains("completed");
    assert!(found.list.iter().flat_map(|one| &one.actions).all(known));
}

fn import(name: &str, layout: TrajectoryLayout) -> Option<Imported> {
    let path = shared(&format!("cases/{name}"))?;
    let bytes = fs::read(path).unwrap();
    let detected = import_episodes(&bytes, name, None).unwrap();
    assert_eq!(detected.layout, layout, "{name}");
    assert_eq!(import_episodes(&bytes, name, Some(layout)).unwrap(), detected, "{name}");
    Some(detected)
}

fn actions(episode: &EpisodeRecord) -> Vec<&str> {
    episode.steps.iter().map(|step| &*step.action).collect()
}

#[test]
fn every_public_layout_is_imported() {
    use TrajectoryLayout::{AlfworldEval, Eto, Seq2Seq, VerlAgent};
    let Some(found) = import("demonstrations/bao_raw.jsonl", AlfworldEval) else { return };
    let [first, second] = &found.episodes[..] else { panic!("{}", found.episodes.len()) };
    assert!(first.group.starts_with("pick_two_obj_and_place-SoapBar-None-GarbageCan-418/trial_"));
    assert_eq!((first.success, first.steps.len()), (Some(false), 10));
    assert_eq!(first.final_observation.as_deref(), Some("Nothing happens."));
    assert_eq!(second.task.as_deref(), Some("cool some lettuce and put it in countertop."));
    assert!(second.success == Some(true) && second.steps.last().unwrap().reward == 1.0);
    assert_eq!(second.steps[1].observation, "You arrive at fridge 1. The fridge 1 is closed.");

    let found = import("demonstrations/hspyyc_raw.jsonl", AlfworldEval).unwrap();
    assert_eq!(actions(&found.episodes[0]), ["go to desk 1"]);
    assert!(
        found.episodes[0].success == Some(false)
            && found.episodes[0].group.ends_with("game.tw-pddl")
    );
    assert_eq!(found.dropped.get("thoughts"), Some(&1));

    let found = import("demonstrations/leiye_raw.jsonl", AlfworldEval).unwrap();
    assert_eq!(actions(&found.episodes[0]), ["go to diningtable 2"]);
    assert!(found.episodes[0].success == Some(true) && found.episodes[0].trajectory == "legacy:0");

    for name in ["demonstrations/eto_raw.json", "demonstrations/eto_raw.jsonl"] {
        let found = import(name, Eto).unwrap();
        let episode = &found.episodes[0];
        assert_eq!(actions(episode), ["go to desk 1"]);
        assert_eq!(episode.steps[0].observation, "You are in a room.");
        assert_eq!(episode.final_observation.as_deref(), Some("You arrive at desk 1."));
        assert_eq!(episode.group, "json_2.1.1/valid_unseen/x");
        assert_eq!((found.dropped.get("thoughts"), found.assumed.len()), (Some(&1), 1));
    }

    let found = import("demonstrations/seq2seq_raw.jsonl", Seq2Seq).unwrap();
    assert_eq!(actions(&found.episodes[0]), ["look"]);

    let found = import("credit/verlagent_rows.jsonl", VerlAgent).unwrap();
    let lengths: Vec<usize> = found.episodes.iter().map(|episode| episode.steps.len()).collect();
    assert_eq!(lengths, [3, 2]);
    assert!(found.episodes[0].success == Some(true) && found.episodes[1].success == Some(false));
    let rewards: Vec<f64> = found.episodes[0].steps.iter().map(|step| step.reward).collect();
    assert_eq!(rewards, [0.0, 0.0, 10.0]);
    assert!(found.episodes.iter().all(|episode| episode.group == "u0"));
}

#[test]
fn conversations_of_agentgym_and_sharegpt_are_imported_without_their_talk() {
    let turns = r#"[{"from": "system", "value": "Be brief."},
        {"from": "human", "value": "Interact with a household."}, {"from": "gpt", "value": "OK."},
        {"from": "human", "value": "A room.\n\nYour task is to: put a mug in desk."},
        {"from": "gpt", "value": "Thought: see\n\nAction: go to desk 1"},
        {"from": "human", "value": "Observation: A desk."}]"#;
    let agentgym = format!(r#"[{{"item_id": "alfworld_7", "conversations": {turns}}}]"#);
    let found = import_episodes(agentgym.as_bytes(), "f", None).unwrap();
    assert_eq!(found.layout, TrajectoryLayout::AgentGym);
    let episode = &found.episodes[0];
    assert_eq!((&*episode.group, actions(episode)), ("alfworld_7", vec!["go to desk 1"]));
    assert_eq!(episode.task.as_deref(), Some("put a mug in desk."));
    assert_eq!(found.dropped.get("replies without an action"), Some(&1));
    let role = r#"{"messages": [{"role": "user", "content": "A room."},
        {"role": "assistant", "content": "look"}], "success": false}"#;
    let found = import_episodes(role.as_bytes(), "f", None).unwrap();
    assert_eq!(found.layout, TrajectoryLayout::ShareGpt);
    assert_eq!(actions(&found.episodes[0]), ["look"]);
    assert!(found.episodes[0].success == Some(false) && found.assumed.is_empty());
}

fn proxmo(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("proxmo").unwrap();
    command.args(arguments);
    command
}

#[test]
fn credit_and_clone_name_the_layout_and_the_command_that_converts_it() {
    let Some(path) = shared("cases/demonstrations/eto_raw.jsonl") else { return };
    let path = path.display().to_string();
    let hint = "this looks like the layout eto, convert it with proxmo import";
    proxmo(&["credit", "--input", &path]).assert().code(2).stderr(contains(hint));
    proxmo(&["credit", "--input", &path.replace(".jsonl", ".json")])
        .assert()
        .code(2)
        .stderr(contains(hint));
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let clone = ["clone", "--train-tasks", "4", "--held-out", "2", "--imitate", &path, "--run"];
    proxmo(&clone).arg(run).assert().code(2).stderr(contains(hint));
}

#[test]
fn an_imported_file_is_an_episode_file() {
    let Some(path) = shared("cases/credit/verlagent_rows.jsonl") else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("episodes.jsonl");
    let (path, output) = (path.display().to_string(), output.display().to_string());
    proxmo(&["import", &path, "--output", &output])
        .assert()
        .success()
        .stderr(contains("layout verl-agent, 2 episodes (1 successful), 5 steps"));
    proxmo(&["credit", "--input", &output]).assert().success().stdout(contains("\"advantages\""));
    proxmo(&["import", &path, "--from", "seq2seq"])
        .assert()
        .code(2)
        .stderr(contains("verlagent_rows.jsonl:1: the record does not fit the layout seq2seq"));
    proxmo(&["import", &output]).assert().code(2).stderr(contains("this is an episode already"));
}
