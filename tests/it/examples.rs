//! The examples run and do what they describe.

#[allow(dead_code, reason = "its main is for `cargo run`")]
#[path = "../../examples/credit_in_your_loop.rs"]
mod credit_in_your_loop;

#[allow(dead_code, reason = "its main is for `cargo run`")]
#[path = "../../examples/play_a_checkpoint.rs"]
mod play_a_checkpoint;

#[allow(dead_code, reason = "its main is for `cargo run`")]
#[path = "../../examples/your_policy.rs"]
mod your_policy;

#[test]
fn a_loop_of_ones_own_learns_with_a_dozen_lines_of_proxmo() {
    let (before, after) = credit_in_your_loop::run().unwrap();
    assert!(before < 0.5, "an untrained policy already succeeds in {before}");
    assert!(after > 0.9, "success went from {before} to {after}");
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
    assert_eq!(episode.success, episode.steps.last().unwrap().reward > 0.0);
    assert!(folder.path().join("metrics.jsonl").is_file());
}
