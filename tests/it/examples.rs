//! The examples run and do what they describe.

#[allow(dead_code, reason = "its main is for `cargo run`")]
#[path = "../../examples/credit.rs"]
mod credit;
#[allow(dead_code, reason = "its main is for `cargo run`")]
#[path = "../../examples/credit_in_your_loop.rs"]
mod credit_in_your_loop;
#[allow(dead_code, reason = "its main is for `cargo run`")]
#[path = "../../examples/credit_on_a_device.rs"]
mod credit_on_a_device;

#[allow(dead_code, reason = "its main is for `cargo run`")]
#[path = "../../examples/play_a_checkpoint.rs"]
mod play_a_checkpoint;

#[allow(dead_code, reason = "its main is for `cargo run`")]
#[path = "../../examples/your_policy.rs"]
mod your_policy;

#[allow(dead_code, reason = "its main is for `cargo run`")]
#[path = "../../examples/burn_rl.rs"]
mod burn_rl_adapter;

#[allow(dead_code, reason = "its main is for `cargo run`")]
#[path = "../../examples/your_environment.rs"]
mod your_environment;

#[test]
fn household_tasks_are_played_through_burn_rl() {
    assert_eq!(burn_rl_adapter::run().unwrap(), 8);
}

#[test]
fn a_policy_learns_an_environment_of_your_own() {
    let (before, after) = your_environment::run().unwrap();
    assert!(before < 0.5, "an untrained policy already succeeds in {before}");
    assert!(after > 0.9, "success went from {before} to {after}");
}

#[test]
fn steps_towards_success_are_credited() {
    let (batch, credit) = credit::run().unwrap();
    let rows = |episode| &credit.advantages[batch.rows_of_episode(episode)];
    assert!(rows(0).iter().all(|&advantage| advantage > 0.0), "{:?}", credit.advantages);
    assert!(rows(1).iter().chain(rows(2)).all(|&advantage| advantage < 0.0));
}

#[test]
fn a_training_loop_with_ten_lines_of_proxmo_learns() {
    let (before, after) = credit_in_your_loop::run().unwrap();
    assert!(before < 0.5, "an untrained policy already succeeds in {before}");
    assert!(after > 0.9, "success went from {before} to {after}");
    let source = include_str!("../../examples/credit_in_your_loop.rs");
    let lines = source.lines().map(str::trim).filter(|line| !line.is_empty());
    let part = lines.skip_while(|line| !line.starts_with("// ---- ProxMO begins")).skip(1);
    let part = part.take_while(|line| !line.starts_with("// ---- ProxMO ends"));
    assert!((1..=10).contains(&part.count()));
}

#[test]
fn a_policy_outside_the_crate_learns() {
    let (first, last) = your_policy::run().unwrap();
    assert!(first < 0.9, "an untrained policy already succeeds in {first}");
    assert!(last == 1.0, "success went from {first} to {last}");
}

#[test]
fn a_checkpoint_plays_a_task() {
    let folder = tempfile::tempdir().unwrap();
    let episode = play_a_checkpoint::run(folder.path()).unwrap();
    assert!(!episode.steps.is_empty() && episode.steps.len() <= 50);
    assert_eq!(episode.success == Some(true), episode.steps.last().unwrap().reward > 0.0);
    assert!(folder.path().join("metrics.jsonl").is_file());
}

#[test]
fn credit_is_assigned_from_embeddings_on_a_device() {
    let (batch, credit) = credit_on_a_device::run(proxmo::device::Backend::Flex).unwrap();
    assert_eq!((batch.rows(), credit.advantages.len()), (36, 36));
    for episode in 0..batch.episodes() {
        let parts = &credit.episode_advantages[batch.rows_of_episode(episode)];
        assert!(parts.iter().all(|&part| (part > 0.0) == batch.success()[episode]));
    }
}
