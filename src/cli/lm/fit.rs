//! `proxmo lm fit`.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use super::fit_input::sequences;
use super::fit_state::StateFolder;
use super::lines::InputFlags;
use super::model::ModelFlags;
use crate::cli::progress::bar;
use crate::cli::settings::{FitFlags, FitSettings};
use crate::cli::signals::stop_on_signal;
use crate::cli::terminal::{hand_over, say, tell};
use crate::error::{Error, Result};
use crate::files::{expect_vacant, write_folder};
use crate::lm::{
    Decoder, FitStart, FitState, FitStep, Fitter, Order, Sequence, save, save_adapter,
};
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
/// gradient, both before the step. All input is checked before the first step. If a loss or a gradient is
/// not finite, no result is written.
///
/// The state of the training is written into OUTPUT.partial every --save-every steps, after 5 minutes if
/// that is sooner, and when Ctrl-C, SIGTERM or SIGHUP ends the training after its step. The same command
/// with --resume goes on from there and ends as one that was not interrupted; on the CPU its result has the
/// same bytes. --resume --steps N, with N steps done or fewer, writes the model as the state has it.
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
    #[command(flatten)]
    input: InputFlags,
    /// Folder to write. It must not exist or be empty.
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Print JSON lines: "step", "loss", "gradient_norm", "learning_rate" and "tokens", the number of
    /// tokens that counted.
    #[arg(long)]
    json: bool,
    /// Go on with the training whose state is in OUTPUT.partial. Settings are those that it was started
    /// with; a flag may change --steps only, and not the schedule with it.
    #[arg(long)]
    resume: bool,
    /// Steps from one written state to the next. 0 writes it when the training is interrupted only.
    #[arg(long, value_name = "N", default_value_t = 100)]
    save_every: u64,
    #[command(flatten)]
    settings: FitFlags,
}

/// Time after which a state is written.
const SAVE_AFTER: Duration = Duration::from_secs(300);

const EXAMPLES: &str = "\
Examples:
  proxmo lm fit --model SmolLM2-135M-Instruct --input chats.jsonl --output adapter --lora 16 --steps 200
  proxmo lm fit --model SmolLM2-135M-Instruct --input more.jsonl --output adapter-2 --adapter adapter
  proxmo lm fit --model small --input texts.jsonl --output fitted --batch 32 --accumulate 4 --recompute
  proxmo lm fit --model small --input texts.jsonl --output fitted --resume";

pub fn run(arguments: &Arguments) -> Result<()> {
    expect_vacant(&arguments.output)?;
    let mut folder = StateFolder::beside(&arguments.output)?;
    let state = match arguments.resume {
        true => Some(folder.resumed()?),
        false => folder.expect_none().map(|()| None)?,
    };
    let config = settings_of(arguments, state.as_ref())?;
    let tokenizer = arguments.model.tokenizer()?;
    let mut model = arguments.model.decoder_on(&arguments.model.device()?.device.autodiff())?;
    let data = sequences(&arguments.input.input, &model, tokenizer.as_ref())?;
    let start = FitStart::of(&model, &data, &config.fit, &config.lora)?;
    if config.lora.rank > 0 {
        model = model.with_lora(&config.lora, config.fit.seed)?;
    }
    let mut training = Training::new(arguments, model, start, &data, state.as_ref())?;
    folder.lock()?;
    if !training.run(&mut folder)? {
        return Ok(());
    }
    let model = training.fitter.model();
    write_folder(&arguments.output, |folder| match model.has_adapter() {
        true => save_adapter(&model, folder, Some(&arguments.model.folder.name())),
        false => save(&model, folder, Some(arguments.model.folder.path()?)),
    })?;
    folder.remove()?;
    tell!("proxmo: wrote {}", arguments.output.display());
    Ok(())
}

/// The settings: flags on top of the defaults, or of those that a training was started with.
fn settings_of(arguments: &Arguments, state: Option<&FitState>) -> Result<FitSettings> {
    let base = state.map(|state| {
        let (fit, lora) = state.start().settings();
        FitSettings { fit: fit.clone(), lora: lora.clone() }
    });
    let config = arguments.settings.resolve(&base.unwrap_or_default())?;
    settings::check(&config.fit, "fit")?;
    settings::check(&config.lora, "lora")?;
    expect_adapter_settings(arguments, &config)?;
    Ok(config)
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

/// A training, from its first step or from a later one.
struct Training<'a> {
    arguments: &'a Arguments,
    start: FitStart,
    data: &'a [Sequence],
    order: Order,
    fitter: Fitter,
    /// The step that it ends with.
    last: u64,
}

impl<'a> Training<'a> {
    fn new(
        arguments: &'a Arguments,
        model: Decoder,
        start: FitStart,
        data: &'a [Sequence],
        state: Option<&FitState>,
    ) -> Result<Self> {
        let (fit, _) = start.settings();
        let order = Order::new(data.len(), fit.batch, fit.shuffle.then_some(fit.seed));
        let asked = if fit.steps == 0 { order.steps_of_pass() } else { fit.steps };
        let (fitter, last) = match state {
            None => (Fitter::new(model, fit, asked)?, asked),
            Some(state) => {
                let is_changed = arguments.settings.gives("fit.steps");
                let last = if is_changed { asked } else { state.steps() };
                (Fitter::resume(model, state, &start)?, last)
            }
        };
        Ok(Self { arguments, start, data, order, fitter, last })
    }

    /// Takes the steps. `false` if a signal ended the training before the last, and its state is written.
    fn run(&mut self, folder: &mut StateFolder) -> Result<bool> {
        let first = self.fitter.done();
        if self.arguments.resume {
            tell!("proxmo: resuming after step {first} of {}", self.last);
        }
        let stop = stop_on_signal("step")?;
        let bar = bar(self.last as usize, "fitting");
        bar.set_position(first);
        let mut saved = Instant::now();
        for step in first..self.last {
            let batch: Vec<&Sequence> =
                self.order.batch(step).iter().map(|&row| &self.data[row]).collect();
            let done = self.fitter.step(&batch).inspect_err(|_| bar.finish_and_clear())?;
            bar.suspend(|| print(&done, self.last, self.arguments.json));
            bar.inc(1);
            if done.step == self.last {
                break;
            }
            let is_stopped = stop.load(Ordering::Relaxed);
            let every = self.arguments.save_every;
            let is_due =
                every > 0 && (done.step.is_multiple_of(every) || saved.elapsed() >= SAVE_AFTER);
            if is_stopped || is_due {
                let written = folder.write(&self.fitter, &self.start);
                written.inspect_err(|_| bar.finish_and_clear())?;
                saved = Instant::now();
            }
            if is_stopped {
                bar.finish_and_clear();
                let (done, last) = (done.step, self.last);
                tell!(
                    "proxmo: stopped after step {done} of {last}; the same command with --resume goes \
                     on, with --resume --steps {done} it writes the model as it is"
                );
                return Ok(false);
            }
        }
        bar.finish_and_clear();
        Ok(true)
    }
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
