//! The examples do what they promise.

#[allow(dead_code, reason = "its main is for `cargo run`")]
#[path = "../../examples/credit_in_your_loop.rs"]
mod credit_in_your_loop;

#[test]
fn a_loop_of_ones_own_learns_with_a_dozen_lines_of_proxmo() {
    let (before, after) = credit_in_your_loop::run().unwrap();
    assert!(before < 0.5, "an untrained policy already succeeds in {before}");
    assert!(after > 0.9, "success went from {before} to {after}");
}
