//! Names of a checkpoint's files and folder.

use std::path::{Path, PathBuf};

pub(super) const WEIGHTS: &str = "weights.safetensors";
pub(super) const REFERENCE: &str = "reference.safetensors";
pub(super) const OPTIMIZER: &str = "optimizer.bpk";
pub(super) const POLICY: &str = "policy.json";
pub(super) const STATE: &str = "state.json";

/// The files that every checkpoint has.
pub(super) const REQUIRED: [&str; 4] = [WEIGHTS, OPTIMIZER, POLICY, STATE];

/// The folder of a checkpoint in a run's folder.
pub fn folder(run: &Path, iteration: u64) -> PathBuf {
    run.join("checkpoints").join(format!("{iteration:06}"))
}
