//! `proxmo lm export`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::model::ModelFlags;
use crate::cli::terminal::tell;
use crate::error::{Error, Result};
use crate::files::write_folder;
use crate::lm::{SaveOptions, StoredType, save_adapter, save_as};

/// Write a model in the layout of Hugging Face, with another type of weights or an adapter merged.
///
/// Without --merge, an adapter is written in the layout of PEFT.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelFlags,
    /// Folder to write. It must not exist or be empty.
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Add the adapter to the weights of the model, and write the model.
    #[arg(long, requires = "adapter")]
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
  proxmo lm export --model merged --dtype bf16 --output small";

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
    let is_adapter = arguments.model.adapter.is_some() && !arguments.merge;
    if is_adapter && arguments.dtype != StoredType::F32 {
        let message = "adapters are written as f32; with --merge, the model can have another type";
        return Err(Error::input("--dtype", message));
    }
    let model = arguments.model.decoder()?;
    let source = arguments.model.folder.path()?;
    write_folder(&arguments.output, |folder| {
        if is_adapter {
            return save_adapter(&model, folder, Some(&arguments.model.folder.name()));
        }
        let shard_bytes = (arguments.shard_size * 1e9) as u64;
        let options = SaveOptions { stored: arguments.dtype, shard_bytes };
        save_as(&model.merged(), folder, Some(source), &options)
    })?;
    tell!("proxmo: wrote {}", arguments.output.display());
    Ok(())
}
