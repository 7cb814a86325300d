//! The options that choose a model and a device.

use std::path::PathBuf;

use clap::Args;

use crate::device::{Backend, Opened, open};
use crate::error::Result;
use crate::lm::Decoder;

/// A model and the device that it runs on.
#[derive(Debug, Args)]
pub struct ModelFlags {
    /// Folder of the model: config.json, safetensors, tokenizer.json.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
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
        Decoder::open(&self.model, &self.device()?.device)
    }
}
