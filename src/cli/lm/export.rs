//! `proxmo lm export`.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::model::ModelFlags;
use crate::cli::terminal::tell;
use crate::device::{Backend, open};
use crate::error::{Error, Result};
use crate::files::write_folder;
use crate::lm::{SaveOptions, StoredType, save_adapter, save_as};
use crate::runs::TrainedModel;
use crate::runs::checkpoint::{self, CheckpointSelector};

/// Write a model, or the model of a run, in the layout of Hugging Face.
///
/// Weights may get another type, and an adapter can be merged into them. Without --merge, an adapter is
/// written in the layout of PEFT.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Folder of the model (config.json, safetensors, tokenizer.json), a GGUF file, or in a build with the
    /// feature hub a name on the Hugging Face Hub: owner/name or owner/name@revision.
    #[arg(long, value_name = "MODEL", required_unless_present = "run", conflicts_with = "run")]
    model: Option<PathBuf>,
    /// Folder of a LoRA adapter for the model: adapter_config.json, adapter_model.safetensors.
    #[arg(long, value_name = "DIR", conflicts_with = "run")]
    adapter: Option<PathBuf>,
    /// Folder of a run whose policy is a language model (--policy lm), which is written.
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Checkpoint of the run: latest, best or the number of an iteration [default: latest].
    #[arg(long, value_name = "WHICH", requires = "run")]
    checkpoint: Option<CheckpointSelector>,
    /// Backend that the model is loaded on: auto, vulkan, metal, dx12, gl, flex or ndarray.
    #[arg(long, value_name = "NAME", default_value_t)]
    backend: Backend,
    /// Index of the device among those of the backend, as `proxmo devices` lists them.
    #[arg(long, value_name = "N", default_value_t = 0)]
    device: usize,
    /// Folder to write. It must not exist or be empty.
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Add the adapter to the weights of the model, and write the model.
    #[arg(long)]
    merge: bool,
    /// Type of the model's weights: f32, bf16 or f16.
    #[arg(long, value_name = "TYPE", default_value = "f32", value_parser = stored_type())]
    dtype: StoredType,
    /// Size limit of a file of weights, in GB. A larger model is sharded over several files.
    #[arg(long, value_name = "GB", default_value_t = 5.0, value_parser = gigabytes)]
    shard_size: f64,
}

const EXAMPLES: &str = "\
Examples:
  proxmo lm export --model SmolLM2-135M-Instruct --adapter adapter --merge --output merged
  proxmo lm export --model merged --dtype bf16 --output small
  proxmo lm export --run runs/agent --output agent";

fn stored_type() -> impl TypedValueParser<Value = StoredType> {
    let names = StoredType::NAMES.map(|(name, _)| name);
    PossibleValuesParser::new(names).map(|given| {
        let named = StoredType::NAMES.into_iter().find(|(name, _)| *name == given);
        named.map_or(StoredType::F32, |(_, stored)| stored)
    })
}

fn gigabytes(text: &str) -> Result<f64, String> {
    let size: f64 = text.parse().map_err(|_| format!("is '{text}', expected a number of GB"))?;
    match size.is_finite() && size > 0.0 {
        true => Ok(size),
        false => Err(format!("is {size}, expected a number above 0")),
    }
}

pub fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.run {
        Some(run) => export_run(arguments, run),
        None => export_model(arguments),
    }?;
    tell!("proxmo: wrote {}", arguments.output.display());
    Ok(())
}

impl Arguments {
    fn options(&self) -> SaveOptions {
        SaveOptions { stored: self.dtype, shard_bytes: (self.shard_size * 1e9) as u64 }
    }

    fn expect_type_of_adapter(&self) -> Result<()> {
        let message = "adapters are written as f32; with --merge, the model can have another type";
        match self.dtype {
            StoredType::F32 => Ok(()),
            _ => Err(Error::input("--dtype", message)),
        }
    }
}

fn export_model(arguments: &Arguments) -> Result<()> {
    let Arguments { model, adapter, backend, device, .. } = arguments;
    // The model is required if there is no run.
    let model = model.clone().unwrap_or_default();
    let flags = ModelFlags::new(model, adapter.clone(), *backend, *device);
    if arguments.merge && flags.adapter.is_none() {
        return Err(Error::input("--merge", "there is no adapter to merge, give --adapter too"));
    }
    let is_adapter = flags.adapter.is_some() && !arguments.merge;
    if is_adapter {
        arguments.expect_type_of_adapter()?;
    }
    let model = flags.decoder()?;
    let source = flags.folder.path()?;
    write_folder(&arguments.output, |folder| match is_adapter {
        true => save_adapter(&model, folder, Some(&flags.folder.name())),
        false => save_as(&model.merged(), folder, Some(source), &arguments.options()),
    })
}

fn export_run(arguments: &Arguments, run: &Path) -> Result<()> {
    let checkpoint = checkpoint::find(run, arguments.checkpoint.unwrap_or_default())?;
    let device = open(arguments.backend, arguments.device)?.device;
    let trained = TrainedModel::load(&checkpoint, &device)?;
    if trained.model.has_adapter() && !arguments.merge {
        arguments.expect_type_of_adapter()?;
    }
    let TrainedModel { spec, model, .. } = trained;
    spec.export(&model, &arguments.output, arguments.merge, &arguments.options())
}
