//! Writing a checkpoint.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::files::{OPTIMIZER, POLICY, REFERENCE, STATE, WEIGHTS, folder};
use super::find::{clear_leftovers, discard, prune};
use super::manifest::Manifest;
use super::state::{BestEvaluation, RunState, VERSION};
use super::tensors::{expect_finite, optimizer_bytes, weights_bytes};
use crate::error::{Error, Result};
use crate::files::{rename, sync_folder};
use crate::policy::{Policy, PolicyDescription, PolicySpec};
use crate::train::Trainer;

/// Writes a checkpoint into the folder of a run, then removes the oldest checkpoints except the best
/// and those that the settings keep. Returns the checkpoint's folder.
///
/// # Errors
/// Fails if a weight is not finite or the file system fails; earlier checkpoints are not changed.
pub fn save<S: PolicySpec>(
    run: &Path,
    trainer: &Trainer<S::Policy>,
    spec: &S,
    elapsed: f64,
    best: Option<BestEvaluation>,
) -> Result<PathBuf> {
    use burn::module::Module;
    let policy = trainer.learner.policy.valid();
    expect_finite(&policy)?;
    clear_leftovers(run)?;
    let target = folder(run, trainer.iteration);
    let filling = target.with_extension("filling");
    fs::create_dir_all(&filling).map_err(Error::io("create", &filling))?;
    let mut manifest = Manifest::default();
    manifest.write(&filling, WEIGHTS, &weights_bytes(&policy, &filling)?)?;
    if let Some(reference) = &trainer.learner.reference {
        manifest.write(&filling, REFERENCE, &weights_bytes(reference, &filling)?)?;
    }
    manifest.write(&filling, OPTIMIZER, &optimizer_bytes(&trainer.learner.optimizer, &filling)?)?;
    let description = PolicyDescription::to_json(spec);
    let description = description.map_err(|message| Error::file(&filling.join(POLICY), message))?;
    manifest.write(&filling, POLICY, &description)?;
    let state = RunState {
        version: VERSION,
        iteration: trainer.iteration,
        steps: trainer.steps,
        elapsed,
        consecutive_skips: trainer.learner.consecutive_skips,
        best,
        credit: trainer.credit_state.clone(),
    };
    manifest.write(&filling, STATE, &json_bytes(&state, &filling.join(STATE))?)?;
    manifest.close(&filling)?;
    sync_folder(&filling)?;
    if target.exists() {
        discard(&target)?;
    }
    rename(&filling, &target).map_err(Error::io("rename", &filling))?;
    sync_folder(&run.join("checkpoints"))?;
    let spared = [Some(trainer.iteration), best.map(|best| best.iteration)];
    prune(run, trainer.config.run.keep_checkpoints, &spared)?;
    Ok(target)
}

/// A digest of the weights that a checkpoint of a policy holds: equal weights have equal digests.
pub(in crate::runs) fn digest<P: Policy>(policy: &P) -> Result<Vec<u8>> {
    Ok(Sha256::digest(weights_bytes(policy, Path::new(WEIGHTS))?).to_vec())
}

fn json_bytes(value: &impl Serialize, path: &Path) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value).map_err(|error| Error::file(path, error.to_string()))
}
