//! Variations of tasks: objects change places, and the expert still wins.

use std::collections::BTreeMap;

use proxmo::env::alfworld::{AlfWorld, AlfWorldConfig, Difficulty, GeneratorConfig, generate};
use proxmo::env::{Environment, Session};
use proxmo::runs::{demonstrations, varied};
use proxmo::train::{EXPERT, ImitationConfig};

use crate::support::shared::shared;

/// The receptacles of each object at the start of a task.
fn places(world: &AlfWorld, task: usize) -> BTreeMap<String, Vec<String>> {
    let session = world.session(task, 0).unwrap();
    let of = |object: &str| session.places_of(object).map(str::to_string).collect();
    session.objects().map(|object| (object.to_string(), of(object))).collect()
}

/// The number of objects in each receptacle.
fn counts(places: &BTreeMap<String, Vec<String>>) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for receptacle in places.values().flatten() {
        *counts.entry(receptacle.as_str()).or_default() += 1;
    }
    counts
}

/// Checks variations of all tasks; returns the shares of changed tasks and of those that the expert wins.
fn check(world: &AlfWorld) -> (f64, f64) {
    let variation = world.clone().with_objects_exchanged(3);
    assert_eq!(variation.tasks(), world.tasks());
    let mut changed = 0;
    for task in 0..world.tasks() {
        let (before, after) = (places(world, task), places(&variation, task));
        assert!(before.keys().eq(after.keys()), "task {task} has other objects");
        assert_eq!(counts(&before), counts(&after), "task {task}");
        let goal = |world: &AlfWorld| world.session(task, 0).unwrap().goal().to_string();
        assert_eq!(goal(world), goal(&variation));
        assert_eq!(world.task_name(task), variation.task_name(task));
        changed += usize::from(before != after);
    }
    let config = ImitationConfig { from: EXPERT.into(), ..ImitationConfig::default() };
    let won = demonstrations(&variation, &config, 0, 0, &mut |_| {}).unwrap().list;
    assert!(won.iter().all(|one| !one.actions.is_empty()), "a goal is reached at the start");
    let share = |count: usize| count as f64 / world.tasks() as f64;
    (share(changed), share(won.len()))
}

#[test]
fn objects_change_places_and_the_expert_still_wins() {
    let hard = GeneratorConfig { difficulty: Difficulty::Hard, ..GeneratorConfig::default() };
    let world = generate(&hard, 5, 100).unwrap();
    let (changed, won) = check(&world);
    assert!(changed > 0.95 && won > 0.95, "{changed} changed, {won} won");
    assert!(world.clone().with_objects_exchanged(3).walkthrough(0).is_empty());
}

#[test]
fn published_games_vary_too() {
    let Some(archive) = shared("alfworld/json_2.1.1.tar.xz") else { return };
    let world = AlfWorld::load(&archive, Some("valid_seen"), AlfWorldConfig::default()).unwrap();
    let (changed, won) = check(&world);
    assert!(changed > 0.95 && won > 0.95, "{changed} changed, {won} won");
}

#[test]
fn each_iteration_has_a_variation_of_its_own_and_only_if_settings_ask_for_it() {
    let world = generate(&GeneratorConfig::default(), 5, 20).unwrap();
    let config = ImitationConfig { from: EXPERT.into(), vary: true, ..ImitationConfig::default() };
    let actions = |iteration: u64| {
        let variation = varied(&world, &config, 0, iteration).unwrap();
        demonstrations(&*variation, &config, 0, iteration, &mut |_| {}).unwrap().list
    };
    assert_eq!(actions(0), actions(0));
    assert_ne!(actions(0), actions(1));
    for other in [
        ImitationConfig { vary: false, ..config.clone() },
        ImitationConfig { from: "walkthroughs".into(), ..config.clone() },
    ] {
        assert!(varied(&world, &other, 0, 0).is_none());
    }
}
