//! `proxmo lm fit`.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use clap::Args;
use serde_json::json;

use super::fit_input::sequences;
use super::model::ModelFlags;
use crate::cli::progress::bar;
use crate::cli::settings::{FitFlags, FitSettings};
use crate::cli::signals::stop_on_signal;
use crate::cli::terminal::{hand_over, say, tell};
use crate::error::{Error, Result};
use crate::files::{expect_vacant, write_folder};
use crate::lm::{Decoder, FitStep, Fitter, Order, Sequence, save, save_adapter};
use crate::settings;

/// Fit a model, or an adapter of it, to sequences of tokens.
///
/// A line gives "ids" and "mask", of which mask[t] (0 or 1) says whether ids[t + 1] counts in the loss;
/// without "mask", every token after the first counts. Or it gives "messages", of which the tokens of the
/// assistant's messages count; or "prompt" and "completion", of which the completion counts; or "text".
/// Texts are encoded as for `proxmo lm tokens`: no token is added, so write the one that ends a sequence
/// where the model is to learn it.
///
/// Prints a line a step: the mean loss over the batch's counted tokens, in nats, and the norm of the
/// gradient, both before the step. All input is checked before the first step. Ctrl-C ends the training
/// after its step and writes the result. If a loss or a gradient is not finite, nothing is written.
///
/// --output becomes a model in the layout of Hugging Face or, with --lora or --adapter, an adapter in the
/// layout of PEFT.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
// The flattened part has no group.
#[group(skip)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelFlags,
    /// File of JSON lines; - for standard input.
    #[arg(long, short, value_name = "FILE")]
    input: PathBuf,
    /// Folder to write. It must not exist or be empty.
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Print JSON lines: "step", "loss", "gradient_norm", "learning_rate" and "tokens", the number of
    /// tokens that counted.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: FitFlags,
}

const EXAMPLES: &str = "\
Examples:
  proxmo lm fit --model SmolLM2-135M-Instruct --input chats.jsonl --output adapter --lora 16 --steps 200
  proxmo lm fit --model SmolLM2-135M-Instruct --input more.jsonl --output adapter-2 --adapter adapter
  proxmo lm fit --model small --input texts.jsonl --output fitted --batch 32 --accumulate 4 --recompute";

pub fn run(arguments: &Arguments) -> Result<()> {
    let config = arguments.settings.resolve()?;
    settings::check(&config.fit, "fit")?;
    settings::check(&config.lora, "lora")?;
    expect_adapter_settings(arguments, &config)?;
    expect_vacant(&arguments.output)?;
    let tokenizer = arguments.model.tokenizer()?;
    let mut model = arguments.model.decoder_on(&arguments.model.device()?.device.autodiff())?;
    let data = sequences(&arguments.input, &model, tokenizer.as_ref())?;
    if config.lora.rank > 0 {
        model = model.with_lora(&config.lora, config.fit.seed)?;
    }
    let model = fitted(model, &config, &data, arguments.json)?;
    write_folder(&arguments.output, |folder| match model.has_adapter() {
        true => save_adapter(&model, folder, Some(&arguments.model.folder.name())),
        false => save(&model, folder, Some(arguments.model.folder.path()?)),
    })?;
    tell!("proxmo: wrote {}", arguments.output.display());
    Ok(())
}

/// Refuses settings of a new adapter where there is none.
fn expect_adapter_settings(arguments: &Arguments, config: &FitSettings) -> Result<()> {
    let is_new = config.lora.rank > 0;
    let others = ["lora.alpha", "lora.rslora", "lora.targets"];
    let other = others.into_iter().find(|key| arguments.settings.gives(key));
    match (&arguments.model.adapter, other) {
        (Some(_), _) if is_new => {
            let message = "starts a new adapter, but --adapter goes on with one; give one of them";
            Err(Error::setting("lora.rank", message))
        }
        (None, Some(key)) if !is_new => {
            Err(Error::setting(key, "is a setting of a new adapter; give its rank with --lora too"))
        }
        (Some(_), Some(key)) => Err(Error::setting(
            key,
            "is a setting of a new adapter, but --adapter goes on with one",
        )),
        _ => Ok(()),
    }
}

/// The model after all steps, or after those until a signal.
fn fitted(model: Decoder, config: &FitSettings, data: &[Sequence], json: bool) -> Result<Decoder> {
    let fit = &config.fit;
    let mut order = Order::new(data.len(), fit.batch, fit.shuffle.then_some(fit.seed));
    let steps = if fit.steps == 0 { order.steps_of_pass() } else { fit.steps };
    let mut fitter = Fitter::new(model, fit, steps)?;
    let stop = stop_on_signal("step")?;
    let bar = bar(steps as usize, "fitting");
    for step in 0..steps {
        let batch: Vec<&Sequence> = order.batch(step).iter().map(|&row| &data[row]).collect();
        let done = fitter.step(&batch).inspect_err(|_| bar.finish_and_clear())?;
        bar.suspend(|| print(&done, steps, json));
        bar.inc(1);
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    bar.finish_and_clear();
    Ok(fitter.model())
}

fn print(done: &FitStep, steps: u64, json: bool) {
    let FitStep { step, loss, gradient_norm, learning_rate, tokens } = done;
    match json {
        true => hand_over!(
            "{}",
            json!({
                "step": step,
                "loss": loss,
                "gradient_norm": gradient_norm,
                "learning_rate": learning_rate,
                "tokens": tokens,
            })
        ),
        false => say!("step {step}/{steps}: loss {loss:.6}, gradient norm {gradient_norm:.6}"),
    }
}
