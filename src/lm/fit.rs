//! Fitting to sequences of tokens.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Int, Tensor};

use super::fit_config::FitConfig;
use super::model::Decoder;
use super::moments::{self, Moments};
use super::recompute::{self, back, leaf};
use super::sequence::{Sequence, parts_of};
use crate::device::read_async;
use crate::error::{Error, Result};
use crate::gradients::Gradient;
use crate::kernels::token_log_probs;
use crate::optimizer::Constants;
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
    /// `None` only within the optimizer's step, which can change weights in place if it owns them alone.
    pub(super) model: Option<Decoder>,
    optimizer: Constants,
    pub(super) moments: Moments,
    config: FitConfig,
    pub(super) steps: u64,
    pub(super) done: u64,
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
        Ok(Self {
            model: Some(model),
            optimizer: Constants::new(config.weight_decay, EPSILON),
            moments: Moments::new(),
            config: config.clone(),
            steps,
            done: 0,
        })
    }

    /// Fits the model to a batch by one step.
    ///
    /// # Errors
    /// Fails if there is no sequence, one does not fit the model, the device fails, or the loss or the
    /// gradient is not finite. The model is then as it was.
    pub async fn step_async(&mut self, batch: &[&Sequence]) -> Result<FitStep> {
        let tokens: usize = batch.iter().map(|sequence| sequence.counted()).sum();
        let (loss, mut gradient) = self.differentiate(batch, tokens)?;
        let squares = gradient.squares(self.current());
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
            gradient.scale(self.current(), (limit / norm) as f32);
        }
        let learning_rate = self.config.learning_rate_at(self.done, self.steps);
        let update = self.optimizer.at(learning_rate, step as usize);
        let update = |model| moments::step(model, gradient, &mut self.moments, update);
        self.model = self.model.take().map(update);
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
        self.current().valid()
    }

    /// Number of steps done.
    pub fn done(&self) -> u64 {
        self.done
    }

    pub(super) fn current(&self) -> &Decoder {
        self.model.as_ref().expect("there is a model between steps")
    }

    /// The loss, `[1]`, and its gradient, part by part.
    fn differentiate(&self, batch: &[&Sequence], tokens: usize) -> Result<(Tensor<1>, Gradient)> {
        let model = self.current();
        let lengths: Vec<usize> = batch.iter().map(|sequence| sequence.mask().len()).collect();
        let mut sum: Option<(Tensor<1>, Gradient)> = None;
        for part in parts_of(&lengths, self.config.accumulate) {
            let part: Vec<&Sequence> = part.into_iter().map(|index| batch[index]).collect();
            let targets = Targets::of(&part, tokens);
            let (loss, gradient) = match self.config.recompute {
                true => recompute::differentiate(model, &targets.rows, |hidden| {
                    let loss = targets.loss(model, hidden)?;
                    Ok((loss.clone(), loss.inner()))
                })?,
                false => differentiate(model, &targets)?,
            };
            sum = Some(match sum {
                Some((before, added)) => (before + loss, added.add(model, gradient)),
                None => (loss, gradient),
            });
        }
        sum.ok_or_else(|| Error::input("batch", "there are no sequences"))
    }
}

/// The loss of some rows, `[1]`, without autodiff, and its gradient by the trained weights.
fn differentiate(model: &Decoder, targets: &Targets) -> Result<(Tensor<1>, Gradient)> {
    let inputs = model.inputs(&targets.rows)?;
    // Autodiff would form a gradient as large as the table for the rows that were looked up.
    let x = model.embed(&inputs).inner();
    if !model.trains_embedding() {
        let loss = targets.loss(model, model.hidden_of(Tensor::from_inner(x), &inputs))?;
        let gradients = GradientsParams::from_grads(loss.backward(), model);
        return Ok((loss.inner(), Gradient(gradients)));
    }
    let x = leaf(x);
    let loss = targets.loss(model, model.hidden_of(x.clone(), &inputs))?;
    let (upstream, mut gradient) = back(model, &x, loss.backward());
    model.add_embedding_gradient(&inputs, &upstream, &mut gradient);
    Ok((loss.inner(), gradient))
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

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::device::read;
    use crate::lm::{LoraConfig, ModelConfig};

    fn config() -> ModelConfig {
        ModelConfig {
            vocabulary: 20,
            hidden: 8,
            intermediate: 12,
            layers: 2,
            heads: 2,
            kv_heads: 1,
            head_width: 4,
            context: 16,
            norm_epsilon: 1e-6,
            qkv_bias: true,
            output_bias: false,
            mlp_bias: false,
            qk_norm: true,
            tied: true,
            rope_theta: 1e4,
            rope_scaling: None,
        }
    }

    fn sequences() -> Vec<Sequence> {
        [vec![1, 2, 3, 4, 5], vec![6, 7, 8]].map(|ids| Sequence::whole(ids).unwrap()).into()
    }

    /// A fitter of an adapter of two kinds of maps, neither of whose matrices is 0.
    fn fitter() -> Fitter {
        let model = Decoder::untrained(&config(), 1, &Device::flex().autodiff()).unwrap();
        let lora =
            LoraConfig { rank: 2, targets: "k_proj,up_proj".into(), ..LoraConfig::default() };
        let fit = FitConfig { learning_rate: 0.1, ..FitConfig::default() };
        let mut fitter = Fitter::new(model.with_lora(&lora, 1).unwrap(), &fit, 1).unwrap();
        fitter.step(&sequences().iter().collect::<Vec<_>>()).unwrap();
        fitter
    }

    #[test]
    fn only_the_adapter_has_gradients_and_optimizer_state() {
        let fitter = fitter();
        let all = sequences();
        let (_, gradient) = fitter.differentiate(&all.iter().collect::<Vec<_>>(), 6).unwrap();
        // Two matrices of two maps of two layers.
        assert_eq!(gradient.0.len(), 8);
        // Moments of each.
        assert_eq!(fitter.moments.len(), 8);
    }

    /// With `G` the gradient by the weight that the adapter makes, `W + s B A`, the chain rule gives
    /// `s Bᵀ G` for `A` and `s G Aᵀ` for `B`.
    #[test]
    fn the_gradients_of_an_adapter_are_those_of_its_product() {
        let fitter = fitter();
        let all = sequences();
        let all: Vec<&Sequence> = all.iter().collect();
        let (_, gradient) = fitter.differentiate(&all, 6).unwrap();
        let whole = fitter.model().merged().set_require_grad(true).train();
        let whole = Fitter::new(whole, &fitter.config, 1).unwrap();
        let (_, expected) = whole.differentiate(&all, 6).unwrap();
        let mut weights = Vec::new();
        whole.current().visit_linears(&mut |_, linear| weights.push(linear.weight().id));
        let (mut place, mut compared) = (0, 0);
        fitter.current().visit_linears(&mut |name, linear| {
            if let Some(lora) = &linear.lora {
                let (a, b) = (lora.a.val().inner(), lora.b.val().inner());
                // Twice the rank, divided by the rank.
                let of_weight = expected.0.get::<2>(weights[place]).unwrap();
                let of_weight = of_weight.transpose().mul_scalar(2.0);
                let of_a = b.transpose().matmul(of_weight.clone());
                let of_b = of_weight.matmul(a.transpose());
                for (id, expected) in [(lora.a.id, of_a), (lora.b.id, of_b)] {
                    let found = read(gradient.0.get::<2>(id).unwrap()).unwrap();
                    for (found, expected) in found.iter().zip(read(expected).unwrap()) {
                        assert!((found - expected).abs() < 1e-5, "{name}: {found}, {expected}");
                        compared += 1;
                    }
                }
            }
            place += 1;
        });
        assert!(compared > 100);
    }

    #[test]
    fn a_step_with_a_loss_that_is_not_finite_changes_nothing() {
        struct Spoil;
        impl burn::module::ModuleMapper for Spoil {
            fn map_float<const D: usize>(
                &mut self,
                param: burn::module::Param<Tensor<D>>,
            ) -> burn::module::Param<Tensor<D>> {
                param.map(|tensor| tensor.mul_scalar(f32::NAN))
            }
        }
        let mut fitter = fitter();
        let all = sequences();
        let all: Vec<&Sequence> = all.iter().collect();
        let intact = fitter.model.clone();
        fitter.model = intact.clone().map(|model| model.map(&mut Spoil));
        let error = fitter.step(&all).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().starts_with("step 2: the loss is NaN, expected a finite number"));
        fitter.model = intact;
        assert_eq!(fitter.step(&all).unwrap().step, 2);
    }
}
