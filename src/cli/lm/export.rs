//! `proxmo lm export`.

use std::path::PathBuf;

use burn::tensor::Device;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::model::ModelOrRun;
use crate::cli::terminal::tell;
use crate::error::{Error, Result};
use crate::files::write_folder;
use crate::lm::{SaveOptions, StoredType, save_adapter, save_as};
use crate::runs::TrainedModel;

/// Write a model, or the model of a run, in the layout of Hugging Face.
///
/// Weights may get another type, and an adapter can be merged into them. Without --merge, an adapter is
/// written in the layout of PEFT.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    source: ModelOrRun,
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
    let device = arguments.source.opened()?.device;
    match arguments.source.trained(&device)? {
        Some(trained) => export_run(arguments, &trained),
        None => export_model(arguments, &device),
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

fn export_model(arguments: &Arguments, device: &Device) -> Result<()> {
    let flags = arguments.source.flags();
    if arguments.merge && flags.adapter.is_none() {
        return Err(Error::input("--merge", "there is no adapter to merge, give --adapter too"));
    }
    let is_adapter = flags.adapter.is_some() && !arguments.merge;
    if is_adapter {
        arguments.expect_type_of_adapter()?;
    }
    let model = flags.decoder_on(device)?;
    let source = flags.folder.path()?;
    write_folder(&arguments.output, |folder| match is_adapter {
        true => save_adapter(&model, folder, Some(&flags.folder.name())),
        false => save_as(&model.merged(), folder, Some(source), &arguments.options()),
    })
}

fn export_run(arguments: &Arguments, trained: &TrainedModel) -> Result<()> {
    let TrainedModel { spec, model, .. } = trained;
    if model.has_adapter() && !arguments.merge {
        arguments.expect_type_of_adapter()?;
    }
    spec.export(model, &arguments.output, arguments.merge, &arguments.options())
}
