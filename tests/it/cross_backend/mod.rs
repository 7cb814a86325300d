//! The kernels on every adapter of this machine, against references in 64 bits.

mod check;
pub mod devices;
mod engines;
mod episodes;
#[cfg(feature = "wgpu")]
mod files;
mod proximity;

use proxmo::verify::TESTS;

/// What `proxmo verify` runs.
fn verify(of: &str) {
    let tests: Vec<_> = TESTS.iter().filter(|test| test.name.starts_with(of)).collect();
    assert!(!tests.is_empty());
    devices::on_every_device(|device, adapter| {
        for test in &tests {
            let found = test.on(device);
            println!(
                "{} ({}): {}, {} comparisons, worst error {:?} of {:?}, {:.2} s",
                adapter.backend,
                adapter.name,
                found.test,
                found.compared,
                found.worst_error,
                found.bound,
                found.seconds
            );
            let on = format!("{} on {} ({})", found.test, adapter.backend, adapter.name);
            assert!(found.ok, "{on}: {} failed: {:#?}", found.failed, found.failures);
        }
    });
}

#[test]
fn proximity_is_its_definition_everywhere() {
    verify("proximity, ");
}

#[test]
fn gradients_of_proximity_are_those_of_its_definition_everywhere() {
    verify("proximity gradients, ");
}

#[test]
fn returns_are_their_definition_everywhere() {
    verify("returns");
}

#[test]
fn episode_advantages_are_their_definition_everywhere() {
    verify("episode advantages");
}

#[test]
fn layers_and_their_gradients_are_their_definition_everywhere() {
    verify("layers, ");
}

#[test]
fn a_step_of_adamw_is_its_definition_everywhere() {
    verify("AdamW");
}

#[test]
fn token_log_probabilities_and_their_gradients_are_their_definition_everywhere() {
    verify("token log-probabilities");
}
