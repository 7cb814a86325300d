//! Fitting to sequences of tokens.

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Int, Tensor};

use super::fit_config::FitConfig;
use super::model::Decoder;
use super::recompute;
use super::sequence::{Sequence, parts_of};
use crate::device::read_async;
use crate::error::{Error, Result};
use crate::gradients::Gradient;
use crate::kernels::token_log_probs;
use crate::optimizer::adamw;
use crate::settings;

/// Added to the root of the second moment in AdamW, as PyTorch does.
const EPSILON: f32 = 1e-8;

/// One step of fitting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FitStep {
    /// The step, from 1.
    pub step: u64,
    /// Mean of `−log p` over the batch's counted tokens, before the step.
    pub loss: f64,
    /// Norm of the gradient of all trained weights, before clipping.
    pub gradient_norm: f64,
    /// The learning rate.
    pub learning_rate: f64,
    /// Number of tokens that counted.
    pub tokens: usize,
}

/// A model in training, and the state of its optimizer. With an adapter, only the adapter is trained.
pub struct Fitter {
    model: Decoder,
    optimizer: ModuleOptimizer,
    config: FitConfig,
    steps: u64,
    done: u64,
}

impl Fitter {
    /// A fitter at step 0 of `steps`. The optimizer is AdamW (arXiv 1711.05101) with decay rates 0.9 and
    /// 0.999 and `ε = 1e-8`.
    ///
    /// # Errors
    /// Fails if a setting is out of range.
    pub fn new(model: Decoder, config: &FitConfig, steps: u64) -> Result<Self> {
        settings::check(config, "fit")?;
        let model = match model.device().is_autodiff() {
            true => model,
            false => model.train(),
        };
        let optimizer = adamw(config.weight_decay, EPSILON);
        Ok(Self { model, optimizer, config: config.clone(), steps, done: 0 })
    }

    /// Fits the model to a batch by one step.
    ///
    /// # Errors
    /// Fails if there is no sequence, one does not fit the model, the device fails, or the loss or the
    /// gradient is not finite. The model is then as it was.
    pub async fn step_async(&mut self, batch: &[&Sequence]) -> Result<FitStep> {
        let tokens: usize = batch.iter().map(|sequence| sequence.counted()).sum();
        let (loss, mut gradient) = self.differentiate(batch, tokens)?;
        let squares = gradient.squares(&self.model);
        let values = std::iter::once(loss).chain(squares).collect();
        let values = read_async(Tensor::cat(values, 0)).await?;
        let loss = f64::from(values[0]);
        let squares: f64 = values[1..].iter().map(|&value| f64::from(value)).sum();
        let norm = squares.sqrt();
        let step = self.done + 1;
        for (value, name) in [(loss, "loss"), (norm, "gradient norm")] {
            if !value.is_finite() {
                return Err(Error::Run(format!(
                    "step {step}: the {name} is {value}, expected a finite number; lower the learning \
                     rate, or check the model and its input"
                )));
            }
        }
        let limit = f64::from(self.config.max_gradient_norm);
        if limit > 0.0 && norm > limit {
            gradient.scale(&self.model, (limit / norm) as f32);
        }
        let learning_rate = self.config.learning_rate_at(self.done, self.steps);
        self.model = self.optimizer.step(learning_rate, self.model.clone(), gradient.0);
        self.done = step;
        Ok(FitStep { step, loss, gradient_norm: norm, learning_rate, tokens })
    }

    /// [`Fitter::step_async`], blocking.
    ///
    /// # Errors
    /// As [`Fitter::step_async`].
    pub fn step(&mut self, batch: &[&Sequence]) -> Result<FitStep> {
        pollster::block_on(self.step_async(batch))
    }

    /// The model as it is now, on the device without autodiff.
    pub fn model(&self) -> Decoder {
        self.model.valid()
    }

    /// The loss, `[1]`, and its gradient, part by part.
    fn differentiate(&self, batch: &[&Sequence], tokens: usize) -> Result<(Tensor<1>, Gradient)> {
        let lengths: Vec<usize> = batch.iter().map(|sequence| sequence.mask().len()).collect();
        let mut sum: Option<(Tensor<1>, Gradient)> = None;
        for part in parts_of(&lengths, self.config.accumulate) {
            let part: Vec<&Sequence> = part.into_iter().map(|index| batch[index]).collect();
            let targets = Targets::of(&part, tokens);
            let (loss, gradient) = match self.config.recompute {
                true => recompute::differentiate(&self.model, &targets)?,
                false => {
                    let loss = targets.loss(&self.model, self.model.hidden(&targets.rows)?)?;
                    let gradients = GradientsParams::from_grads(loss.backward(), &self.model);
                    (loss.inner(), Gradient(gradients))
                }
            };
            sum = Some(match sum {
                Some((before, added)) => (before + loss, added.add(&self.model, gradient)),
                None => (loss, gradient),
            });
        }
        sum.ok_or_else(|| Error::input("batch", "there are no sequences"))
    }
}

/// Rows to feed, and which of their tokens count.
pub(super) struct Targets<'a> {
    /// The tokens but the last, which is only a target.
    pub(super) rows: Vec<&'a [u32]>,
    /// Counted positions among all positions of the padded rows.
    places: Vec<i32>,
    /// The tokens that follow them.
    tokens: Vec<u32>,
    /// Counted tokens of the whole batch.
    total: usize,
}

impl<'a> Targets<'a> {
    fn of(sequences: &[&'a Sequence], total: usize) -> Self {
        let width = sequences.iter().map(|sequence| sequence.mask().len()).max().unwrap_or(0);
        let (mut places, mut tokens) = (Vec::new(), Vec::new());
        for (row, sequence) in sequences.iter().enumerate() {
            for at in (0..sequence.mask().len()).filter(|&at| sequence.mask()[at]) {
                places.push((row * width + at) as i32);
                tokens.push(sequence.ids()[at + 1]);
            }
        }
        let rows = sequences.iter().map(|sequence| &sequence.ids()[..sequence.mask().len()]);
        Self { rows: rows.collect(), places, tokens, total }
    }

    /// This part's share of the batch's loss, `[1]`, of hidden states, `[rows * tokens, hidden]`. Logits
    /// are computed for counted positions only.
    pub(super) fn loss(&self, model: &Decoder, hidden: Tensor<2>) -> Result<Tensor<1>> {
        let places = Tensor::<1, Int>::from_data(self.places.as_slice(), &hidden.device());
        let scores =
            token_log_probs(hidden.select(0, places), &model.head().parts(), &self.tokens)?;
        Ok(scores.log_probs.sum().mul_scalar(-1.0 / self.total as f64))
    }
}
