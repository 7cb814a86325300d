//! The language model of a run.

use std::path::Path;

use burn::tensor::Device;

use super::checkpoint;
use crate::error::{Error, Result};
use crate::lm::Decoder;
use crate::policy::lm::LmSpec;
use crate::policy::{PolicyDescription, PolicySpec};

/// A language model that a run trained.
#[derive(Debug)]
pub struct TrainedModel {
    /// Everything that defines it except its weights.
    pub spec: LmSpec,
    /// The model, with its adapter if one was trained.
    pub model: Decoder,
    /// Iterations that it was trained for.
    pub iteration: u64,
}

impl TrainedModel {
    /// Loads the model of a checkpoint, such as one that [`checkpoint::find`] returns. `device` has no
    /// autodiff.
    ///
    /// # Errors
    /// Fails if the checkpoint is corrupt or holds a policy of another kind, or the pretrained model that
    /// it refers to is missing or another one.
    pub fn load(checkpoint: &Path, device: &Device) -> Result<Self> {
        let iteration = checkpoint::read_state(checkpoint)?.iteration;
        let spec = match checkpoint::read_description(checkpoint)? {
            PolicyDescription::Lm(spec) => spec,
            other => {
                let message = format!(
                    "the run's policy is of kind '{}', which chooses among actions and writes no \
                     text: `proxmo act` lets it act",
                    other.kind()
                );
                return Err(Error::file(checkpoint, message));
            }
        };
        let (policy, _) = spec.build(0, device)?;
        let policy = checkpoint::load_weights(policy, checkpoint)?;
        Ok(Self { model: policy.model().clone(), spec, iteration })
    }
}
