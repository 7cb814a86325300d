//! The language model of a run.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;

use super::checkpoint;
use crate::error::{Error, Result};
use crate::lm::{Decoder, Tokenizer};
use crate::policy::{PolicyDescription, PolicySpec};

/// Loads the language model of a checkpoint, with its adapter if it has one, and its tokenizer.
///
/// # Errors
/// Returns an error if the policy is none, or the checkpoint is corrupt or of another version.
pub fn language_model(checkpoint: &Path, device: &Device) -> Result<(Decoder, Arc<Tokenizer>)> {
    let spec = match checkpoint::read_description(checkpoint)? {
        PolicyDescription::Lm(spec) => spec,
        other => {
            let kind = other.kind();
            let message = format!(
                "the run's policy is of kind '{kind}', which chooses among actions and writes no text: \
                 `proxmo act` lets it act"
            );
            return Err(Error::file(checkpoint, message));
        }
    };
    // The initial weights are replaced.
    let (policy, _) = spec.build(0, device)?;
    let policy = checkpoint::load_weights(policy, checkpoint)?;
    Ok((policy.model().clone(), policy.tokenizer().clone()))
}
