//! The options that choose a model and a device.

use std::path::PathBuf;

use clap::Args;

use crate::device::{Backend, Opened, open};
use crate::error::{Error, Result};
use crate::lm::{Decoder, ModelFiles, Tokenizer};

/// A model.
#[derive(Debug, Args)]
pub struct ModelFolder {
    /// Folder of the model (config.json, safetensors, tokenizer.json), or a GGUF file.
    #[arg(long, value_name = "PATH")]
    pub model: PathBuf,
}

impl ModelFolder {
    /// Loads the model's tokenizer, if it has one, and checks it against the model's vocabulary.
    pub fn tokenizer(&self) -> Result<Option<Tokenizer>> {
        let config = ModelFiles::open(&self.model)?.config;
        let tokenizer = Tokenizer::open_if_present(&self.model)?;
        if let Some(tokenizer) = &tokenizer {
            let checked = tokenizer.check_vocabulary(config.vocabulary);
            checked.map_err(|error| Error::file(&self.model, error.to_string()))?;
        }
        Ok(tokenizer)
    }
}

/// A model and the device that it runs on.
#[derive(Debug, Args)]
pub struct ModelFlags {
    #[command(flatten)]
    pub folder: ModelFolder,
    /// Backend that computes: auto, vulkan, metal, dx12, gl, flex or ndarray.
    #[arg(long, value_name = "NAME", default_value_t)]
    backend: Backend,
    /// Index of the device among those of the backend, as `proxmo devices` lists them.
    #[arg(long, value_name = "N", default_value_t = 0)]
    device: usize,
}

impl ModelFlags {
    /// Opens the device.
    pub fn device(&self) -> Result<Opened> {
        open(self.backend, self.device)
    }

    /// Loads the model onto the device.
    pub fn decoder(&self) -> Result<Decoder> {
        Decoder::open(&self.folder.model, &self.device()?.device)
    }

    /// Loads the model's tokenizer, if it has one.
    pub fn tokenizer(&self) -> Result<Option<Tokenizer>> {
        self.folder.tokenizer()
    }
}
