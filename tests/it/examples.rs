//! The examples do what they promise.

#[allow(dead_code, reason = "its main is for `cargo run`")]
#[path = "../../examples/credit_in_your_loop.rs"]
mod credit_in_your_loop;

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
fn a_loop_of_ones_own_learns_with_a_dozen_lines_of_proxmo() {
    let (before, after) = credit_in_your_loop::run().unwrap();
    assert!(before < 0.5, "an untrained policy already succeeds in {before}");
    assert!(after > 0.9, "success went from {before} to {after}");
}
