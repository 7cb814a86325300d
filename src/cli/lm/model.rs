//! The options that choose a model and a device.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use burn::tensor::Device;
use clap::Args;

use crate::cli::device::CheckFlag;
#[cfg(feature = "hub")]
use crate::cli::terminal::tell;
use crate::device::{Backend, Opened};
use crate::error::{Error, Result};
use crate::lm::{Decoder, ModelFiles, Tokenizer};
use crate::runs::TrainedModel;
use crate::runs::checkpoint::{self, CheckpointSelector};

/// A model.
#[derive(Debug, Args)]
pub struct ModelFolder {
    /// Folder of the model (config.json, safetensors, tokenizer.json), a GGUF file, or in a build with the
    /// feature hub a name on the Hugging Face Hub: owner/name or owner/name@revision.
    #[arg(long, value_name = "MODEL")]
    model: PathBuf,
    /// The path, once it is known.
    #[arg(skip)]
    path: OnceLock<PathBuf>,
}

impl ModelFolder {
    /// The model's folder or file. A name on the Hub is downloaded first, unless it is in the cache.
    pub fn path(&self) -> Result<&Path> {
        if self.path.get().is_none() {
            let found = if self.model.exists() { self.model.clone() } else { named(&self.model)? };
            let _ = self.path.set(found);
        }
        Ok(self.path.get().unwrap_or(&self.model))
    }

    /// What other programs know the model by: its path, or its name on the Hub without the revision.
    pub fn name(&self) -> String {
        let given = self.model.display().to_string();
        match given.split_once('@') {
            Some((name, _)) if !self.model.exists() => name.to_string(),
            _ => given,
        }
    }

    /// Loads the model's tokenizer, if it has one, and checks it against the model's vocabulary.
    pub fn tokenizer(&self) -> Result<Option<Tokenizer>> {
        let path = self.path()?;
        let config = ModelFiles::open(path)?.config;
        let tokenizer = Tokenizer::open_if_present(path)?;
        if let Some(tokenizer) = &tokenizer {
            let checked = tokenizer.check_vocabulary(config.vocabulary);
            checked.map_err(|error| Error::file(path, error.to_string()))?;
        }
        Ok(tokenizer)
    }
}

/// The folder of a model that is no path here.
#[cfg(feature = "hub")]
fn named(name: &Path) -> Result<PathBuf> {
    use crate::lm::hub::{Hub, HubName};
    use crate::lm::memory::readable;
    use etcetera::BaseStrategy;

    let refuse = |message: &str| Error::file(name, message);
    let known = name.to_str().and_then(HubName::parse);
    let known = known.ok_or_else(|| refuse("does not exist, and is no name on the Hub"))?;
    let user = etcetera::choose_base_strategy();
    let user = user.map_err(|_| refuse("cannot be downloaded: there is no cache folder"))?;
    let hub = Hub::from_environment(&user.cache_dir().join("proxmo/hub"));
    hub.folder(&known, &mut |file, size| {
        let size = size.map(|size| format!(" ({})", readable(size))).unwrap_or_default();
        tell!("downloading {file}{size}");
    })
}

#[cfg(not(feature = "hub"))]
fn named(name: &Path) -> Result<PathBuf> {
    let message = "does not exist; names on the Hugging Face Hub need a build with the feature hub";
    Err(Error::file(name, message))
}

/// A model and the device that it runs on.
#[derive(Debug, Args)]
pub struct ModelFlags {
    #[command(flatten)]
    pub folder: ModelFolder,
    /// Folder of a LoRA adapter for the model: adapter_config.json, adapter_model.safetensors.
    #[arg(long, value_name = "DIR")]
    pub adapter: Option<PathBuf>,
    /// Backend that computes: auto, vulkan, metal, dx12, gl, flex or ndarray.
    #[arg(long, value_name = "NAME", default_value_t)]
    backend: Backend,
    /// Index of the device among those of the backend, as `proxmo devices` lists them.
    #[arg(long, value_name = "N", default_value_t = 0)]
    device: usize,
    #[command(flatten)]
    check: CheckFlag,
}

impl ModelFlags {
    /// Opens the device.
    pub fn device(&self) -> Result<Opened> {
        self.check.open(self.backend, self.device)
    }

    /// Loads the model with its adapter onto the device.
    pub fn decoder(&self) -> Result<Decoder> {
        self.decoder_on(&self.device()?.device)
    }

    /// Loads the model with its adapter onto a device.
    pub fn decoder_on(&self, device: &Device) -> Result<Decoder> {
        let model = Decoder::open(self.folder.path()?, device)?;
        match &self.adapter {
            Some(folder) => model.with_adapter(folder),
            None => Ok(model),
        }
    }

    /// Loads the model's tokenizer, if it has one.
    pub fn tokenizer(&self) -> Result<Option<Tokenizer>> {
        self.folder.tokenizer()
    }
}

/// A model or the model of a run, and the device that it runs on.
#[derive(Debug, Args)]
#[group(skip)]
pub struct ModelOrRun {
    /// Folder of the model (config.json, safetensors, tokenizer.json), a GGUF file, or in a build with the
    /// feature hub a name on the Hugging Face Hub: owner/name or owner/name@revision.
    #[arg(long, value_name = "MODEL", required_unless_present = "run", conflicts_with = "run")]
    model: Option<PathBuf>,
    /// Folder of a LoRA adapter for the model: adapter_config.json, adapter_model.safetensors.
    #[arg(long, value_name = "DIR", conflicts_with = "run")]
    adapter: Option<PathBuf>,
    /// Folder of a run whose policy is a language model (--policy lm), in place of a model.
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// Checkpoint of the run: latest, best or the number of an iteration [default: latest].
    #[arg(long, value_name = "WHICH", requires = "run")]
    checkpoint: Option<CheckpointSelector>,
    /// Backend that computes: auto, vulkan, metal, dx12, gl, flex or ndarray.
    #[arg(long, value_name = "NAME", default_value_t)]
    backend: Backend,
    /// Index of the device among those of the backend, as `proxmo devices` lists them.
    #[arg(long, value_name = "N", default_value_t = 0)]
    device: usize,
    #[command(flatten)]
    check: CheckFlag,
}

impl ModelOrRun {
    /// Opens the device.
    pub fn opened(&self) -> Result<Opened> {
        self.check.open(self.backend, self.device)
    }

    /// The model's flags, if there is no run.
    pub fn flags(&self) -> ModelFlags {
        let model = self.model.clone().unwrap_or_default();
        ModelFlags {
            folder: ModelFolder { model, path: OnceLock::new() },
            adapter: self.adapter.clone(),
            backend: self.backend,
            device: self.device,
            check: self.check,
        }
    }

    /// Loads the model of the run, if there is a run, onto a device.
    pub fn trained(&self, device: &Device) -> Result<Option<TrainedModel>> {
        let Some(run) = &self.run else { return Ok(None) };
        let checkpoint = checkpoint::find(run, self.checkpoint.unwrap_or_default())?;
        TrainedModel::load(&checkpoint, device).map(Some)
    }
}
