//! The files of a model.

use std::path::Path;

use super::config::ModelConfig;
use super::gguf;
use super::weights::Weights;
use crate::error::Result;

/// A model's configuration, and its weights in open files. No value has been read.
#[derive(Debug)]
pub struct ModelFiles {
    /// The shape of the model.
    pub config: ModelConfig,
    /// Where its weights are.
    pub weights: Weights,
}

impl ModelFiles {
    /// Opens a folder with `config.json` and safetensors, or a GGUF file.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read, is invalid, or describes a model that is not supported.
    pub fn open(path: &Path) -> Result<Self> {
        match path.is_file() {
            true => gguf::open(path),
            false => Ok(Self { config: ModelConfig::open(path)?, weights: Weights::open(path)? }),
        }
    }
}
