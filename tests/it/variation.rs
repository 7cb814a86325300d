//! Variations of tasks: other goals, fewer receptacles, objects in other places, and the expert still wins.

use std::collections::{BTreeMap, BTreeSet};

use proxmo::env::alfworld::{AlfWorld, AlfWorldConfig, Difficulty, GeneratorConfig, generate};
use proxmo::env::{Environment, Session};
use proxmo::runs::demonstrations;
use proxmo::train::{Config, EXPERT, ImitationConfig, RolloutConfig, read_metrics};

use crate::support::SMALL_TRAINING;
use crate::support::shared::shared;

/// The receptacles of each object at the start of a task.
fn places(world: &AlfWorld, task: usize) -> BTreeMap<String, Vec<String>> {
    let session = world.session(task, 0).unwrap();
    let of = |object: &str| session.places_of(object).map(str::to_string).collect();
    session.objects().map(|object| (object.to_string(), of(object))).collect()
}

/// The receptacles that hold something.
fn receptacles(places: &BTreeMap<String, Vec<String>>) -> BTreeSet<&String> {
    places.values().flatten().collect()
}

/// The names of a kind are numbered from 1 without gaps.
fn numbers_have_no_gaps<'a>(names: impl Iterator<Item = &'a String>) -> bool {
    let mut numbers: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for (kind, number) in names.filter_map(|name| name.rsplit_once(' ')) {
        numbers.entry(kind).or_default().insert(number.parse().unwrap());
    }
    numbers.values().all(|found| found.iter().copied().eq(1..=found.len()))
}

/// The shares of tasks that a variation changes.
#[derive(Debug, Default)]
struct Shares {
    places: f64,
    receptacles: f64,
    goals: f64,
    won: f64,
}

/// Checks variations of all tasks.
fn check(world: &AlfWorld) -> Shares {
    let variation = world.clone().with_variations(3);
    assert_eq!(variation.tasks(), world.tasks());
    let share = 1.0 / world.tasks() as f64;
    let mut shares = Shares::default();
    for task in 0..world.tasks() {
        assert_eq!(world.task_name(task), variation.task_name(task));
        assert_eq!(world.task_kind(task), variation.task_kind(task));
        assert!(variation.walkthrough(task).is_empty());
        let (before, after) = (places(world, task), places(&variation, task));
        shares.places += if before == after { 0.0 } else { share };
        let (held_before, held_after) = (receptacles(&before), receptacles(&after));
        assert!(held_after.len() <= held_before.len() && !held_after.is_empty());
        shares.receptacles += if held_before == held_after { 0.0 } else { share };
        if numbers_have_no_gaps(before.keys()) {
            assert!(numbers_have_no_gaps(after.keys()), "task {task}: {after:?}");
        }
        let goal = |world: &AlfWorld| world.session(task, 0).unwrap().goal().to_string();
        shares.goals += if goal(world) == goal(&variation) { 0.0 } else { share };
    }
    let config = ImitationConfig { from: EXPERT.into(), ..ImitationConfig::default() };
    let won = demonstrations(&variation, &config, 0, 0, &mut |_| {}).unwrap().list;
    assert!(won.iter().all(|one| !one.actions.is_empty()), "a goal is reached at the start");
    shares.won = won.len() as f64 * share;
    shares
}

#[test]
fn variations_differ_and_the_expert_wins_them() {
    let hard = GeneratorConfig { difficulty: Difficulty::Hard, ..GeneratorConfig::default() };
    let shares = check(&generate(&hard, 5, 100).unwrap());
    assert!(shares.places > 0.95 && shares.won > 0.95, "{shares:?}");
    assert!(shares.receptacles > 0.5 && (0.25..0.75).contains(&shares.goals), "{shares:?}");
}

#[test]
fn published_games_vary_too() {
    let Some(archive) = shared("alfworld/json_2.1.1.tar.xz") else { return };
    let world = AlfWorld::load(&archive, Some("valid_seen"), AlfWorldConfig::default()).unwrap();
    let shares = check(&world);
    assert!(shares.places > 0.95 && shares.won > 0.95, "{shares:?}");
    assert!(shares.receptacles > 0.6 && (0.25..0.75).contains(&shares.goals), "{shares:?}");
}

#[test]
fn each_iteration_has_a_variation_of_its_own_and_only_if_settings_ask_for_it() {
    let world = generate(&GeneratorConfig::default(), 5, 20).unwrap();
    let config = Config {
        imitation: ImitationConfig { from: EXPERT.into(), ..ImitationConfig::default() },
        rollout: RolloutConfig { vary_tasks: true, ..RolloutConfig::default() },
        ..Config::default()
    };
    let actions = |iteration: u64| {
        let variation = config.variation(&world, iteration).unwrap();
        demonstrations(&*variation, &config.imitation, 0, iteration, &mut |_| {}).unwrap().list
    };
    assert_eq!(actions(0), actions(0));
    assert_ne!(actions(0), actions(1));
    let with_source = |from: &str| Config {
        imitation: ImitationConfig { from: from.into(), ..ImitationConfig::default() },
        ..config.clone()
    };
    assert!(with_source("").variation(&world, 0).is_some(), "reinforcement learning varies");
    assert!(with_source("walkthroughs").variation(&world, 0).is_none());
    let plain = Config { rollout: RolloutConfig::default(), ..config.clone() };
    assert!(plain.variation(&world, 0).is_none());
}

#[test]
fn a_training_on_variations_differs_from_a_plain_one_and_resumes_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str| folder.path().join(name);
    let train = |name: &str, more: &[&str]| {
        let mut command = assert_cmd::Command::cargo_bin("proxmo").unwrap();
        command.args(["train", "--quiet", "--schedule", "constant"]).args(SMALL_TRAINING);
        command.args(more).arg("--run").arg(run(name)).assert().success();
        let text = std::fs::read(run(name).join("metrics.jsonl")).unwrap();
        let mut lines = read_metrics(&mut &text[..], "metrics.jsonl").unwrap();
        lines.iter_mut().for_each(|line| line.seconds = Default::default());
        lines
    };
    let whole = train("whole", &["--vary-tasks", "--iterations", "4"]);
    train("stopped", &["--vary-tasks", "--iterations", "2"]);
    assert_eq!(train("stopped", &["--resume", "--iterations", "4"]), whole);
    let plain = train("plain", &["--iterations", "4"]);
    assert_eq!(plain[0], whole[0], "held-out tasks are not varied");
    assert_ne!(plain[1], whole[1]);
}
