//! Reading a checkpoint's policy and training state.

use std::path::Path;

use super::files::{POLICY, REFERENCE, WEIGHTS};
use super::manifest::Manifest;
use super::state::{RunState, read_state};
use super::tensors::{load_into, load_optimizer, load_some_into};
use crate::error::{Error, Result};
use crate::policy::{Policy, PolicyDescription};
use crate::train::Trainer;

/// Reads the description of a checkpoint's policy.
///
/// # Errors
/// Names the file and the value that is malformed or of an unknown kind.
pub fn read_description(checkpoint: &Path) -> Result<PolicyDescription> {
    let path = checkpoint.join(POLICY);
    let manifest = Manifest::open(checkpoint)?;
    let description = PolicyDescription::from_json(&manifest.read(checkpoint, POLICY)?)
        .map_err(|message| Error::file(&path, message))?;
    // Checked before any memory of that size is allocated.
    let (expected, found) = (description.min_weight_bytes(), manifest.bytes(WEIGHTS));
    if found < expected {
        let message = format!(
            "a policy of this size has at least {expected} bytes of weights, {WEIGHTS} has {found}"
        );
        return Err(Error::file(&path, message));
    }
    Ok(description)
}

/// Loads a checkpoint's weights into a policy of the same architecture.
///
/// # Errors
/// Names the file, and the weight that is missing, unknown, of another shape or type, or not finite.
pub fn load_weights<P: Policy>(policy: P, checkpoint: &Path) -> Result<P> {
    load_into(policy, checkpoint, WEIGHTS)
}

/// [`load_weights`] for a policy that is trained anew. If it has a value head and the checkpoint's policy has
/// none, the head keeps its initial weights.
///
/// # Errors
/// As [`load_weights`].
pub fn load_initial_weights<P: Policy>(policy: P, checkpoint: &Path) -> Result<P> {
    let has_head = read_description(checkpoint)?.estimates_values();
    load_some_into(policy, checkpoint, WEIGHTS, &|policy, name| {
        policy.is_stored(name) && (has_head || !policy.is_value_weight(name))
    })
}

/// Restores a checkpoint's weights, optimizer, reference policy and counters into a trainer of the same
/// settings. Returns the state.
///
/// # Errors
/// Names the file and the part that is malformed or does not fit.
pub fn restore<P: Policy>(trainer: &mut Trainer<P>, checkpoint: &Path) -> Result<RunState> {
    let state = read_state(checkpoint)?;
    let learner = &mut trainer.learner;
    learner.policy = load_weights(learner.policy.clone(), checkpoint)?;
    let device = learner.policy.valid().devices().into_iter().next().unwrap_or_default();
    if let Some(reference) = learner.reference.take() {
        if !Manifest::open(checkpoint)?.has(REFERENCE) {
            let message = "has no reference policy: the run had update.kl_weight 0, resume it with that value";
            return Err(Error::file(checkpoint, message));
        }
        learner.reference = Some(load_into(reference, checkpoint, REFERENCE)?);
    }
    learner.optimizer = load_optimizer(&learner.optimizer, &learner.policy, &device, checkpoint)?;
    learner.consecutive_skips = state.consecutive_skips;
    trainer.iteration = state.iteration;
    trainer.steps = state.steps;
    trainer.credit_state = state.credit.clone();
    Ok(state)
}
