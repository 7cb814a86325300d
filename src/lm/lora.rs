//! Low-rank adapters (LoRA, arXiv 2106.09685).

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use garde::Validate;
use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::linear::Linear;
use super::model::Decoder;
use crate::error::{Error, Result};
use crate::settings;
use crate::stream::{Purpose, Stream};

/// The target that stands for every linear map of every layer.
pub const ALL_LINEAR: &str = "all-linear";

/// The linear maps of a layer. A target is one of these names, or a longer end of a map's full name.
pub(super) const LINEAR_MAPS: [&str; 7] =
    ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

/// A new adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct LoraConfig {
    /// Rank of the adapter's matrices. 0 makes no adapter: all weights are trained.
    #[garde(range(max = 65_536))]
    #[schemars(extend("x-flag" = "lora", "x-value" = "RANK"))]
    pub rank: usize,
    /// Scale of the adapter's output, before it is divided by the rank. 0 takes twice the rank.
    #[garde(range(min = 0.0, max = 1e6))]
    #[schemars(extend("x-flag" = "lora-alpha"))]
    pub alpha: f64,
    /// Whether the output is divided by the square root of the rank (rsLoRA, arXiv 2312.03732).
    #[garde(skip)]
    #[schemars(extend("x-flag" = "rslora"))]
    pub rslora: bool,
    /// Names of the linear maps that get an adapter, with commas between: q_proj, k_proj, v_proj, o_proj,
    /// gate_proj, up_proj, down_proj, or all-linear for all of them.
    #[garde(skip)]
    #[schemars(extend("x-flag" = "lora-targets", "x-value" = "NAMES"))]
    pub targets: String,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self { rank: 0, alpha: 0.0, rslora: false, targets: ALL_LINEAR.into() }
    }
}

/// The factor `s` on an adapter's output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    pub(super) alpha: f64,
    pub(super) rslora: bool,
}

impl Scale {
    /// `alpha / rank`, or `alpha / sqrt(rank)` for rsLoRA.
    fn factor(self, rank: usize) -> f64 {
        let rank = rank as f64;
        self.alpha / if self.rslora { rank.sqrt() } else { rank }
    }
}

/// Whether one of the targets names a map: its full name, an end of it at a dot, or all maps.
pub(super) fn is_target(targets: &[String], name: &str) -> bool {
    targets.iter().any(|target| {
        let rest = name.strip_suffix(target.as_str());
        target == ALL_LINEAR || rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

/// An adapter of one linear map: it adds `s (x Aᵀ) Bᵀ` to the output.
#[derive(Module, Debug)]
pub struct Lora {
    /// `[rank, inputs]`.
    pub(super) a: Param<Tensor<2>>,
    /// `[outputs, rank]`.
    pub(super) b: Param<Tensor<2>>,
    #[module(skip)]
    pub(super) scale: Scale,
    #[module(skip)]
    is_on: bool,
}

impl Lora {
    pub(super) fn new(a: Tensor<2>, b: Tensor<2>, scale: Scale) -> Self {
        Self { a: Param::from_tensor(a), b: Param::from_tensor(b), scale, is_on: true }
    }

    /// The initial adapter, whose output is 0: `B` is 0, and `A` uniform between `±1 / sqrt(inputs)`, as
    /// PEFT draws it.
    fn untrained(
        [inputs, outputs]: [usize; 2],
        rank: usize,
        scale: Scale,
        stream: Stream,
        device: &Device,
    ) -> Self {
        let bound = (inputs as f32).sqrt().recip();
        let mut rng = stream.rng();
        let a = (0..rank * inputs).map(|_| rng.random_range(-bound..=bound)).collect::<Vec<f32>>();
        let a = Tensor::from_data(TensorData::new(a, [rank, inputs]), device);
        Self::new(a, Tensor::zeros([outputs, rank], device), scale)
    }

    /// What it adds to the output for `x`, `[rows, inputs]`; `None` if it is switched off.
    pub(super) fn forward(&self, x: &Tensor<2>) -> Option<Tensor<2>> {
        let narrow = || x.clone().matmul(self.a.val().transpose()).mul_scalar(self.factor());
        self.is_on.then(|| narrow().matmul(self.b.val().transpose()))
    }

    pub(super) fn rank(&self) -> usize {
        self.a.shape()[0]
    }

    fn factor(&self) -> f64 {
        self.scale.factor(self.rank())
    }

    /// What it adds to the weight: `s (B A)ᵀ`, `[inputs, outputs]`.
    pub(super) fn product(&self) -> Tensor<2> {
        let (a, b) = (self.a.val().transpose(), self.b.val().transpose());
        a.matmul(b).mul_scalar(self.factor())
    }
}

impl Decoder {
    /// Adds a new adapter, whose output is 0 until it is trained, and freezes all other weights: they get
    /// neither gradients nor optimizer state. The seed determines the adapter.
    ///
    /// # Errors
    /// Fails if a setting is out of range, a target names no linear map, or the model has an adapter.
    pub fn with_lora(self, config: &LoraConfig, seed: u64) -> Result<Self> {
        settings::check(config, "lora")?;
        if config.rank == 0 {
            return Err(Error::setting("lora.rank", "is 0, expected a rank above 0"));
        }
        let mut model = self.frozen()?;
        let targets: Vec<String> =
            config.targets.split(',').map(|target| target.trim().to_string()).collect();
        let names = model.linear_names();
        let is_unknown = |target: &&String| {
            let target = std::slice::from_ref(*target);
            !names.iter().any(|name| is_target(target, name))
        };
        if let Some(target) = targets.iter().find(is_unknown) {
            let known = LINEAR_MAPS.join(", ");
            let message =
                format!("'{target}' names no linear map, expected {known} or {ALL_LINEAR}");
            return Err(Error::setting("lora.targets", message));
        }
        let device = model.device();
        let alpha = if config.alpha == 0.0 { 2.0 * config.rank as f64 } else { config.alpha };
        let scale = Scale { alpha, rslora: config.rslora };
        let mut position = 0;
        model.for_linears(&mut |name, linear| {
            if is_target(&targets, name) {
                // By position among all maps, so that other targets change nothing for this one.
                let stream = Stream::new(seed, Purpose::Adapter).of(position, 0);
                let shape = linear.shape();
                linear.lora = Some(Lora::untrained(shape, config.rank, scale, stream, &device));
            }
            position += 1;
        });
        Ok(model)
    }

    /// The model with its weights frozen, ready for an adapter.
    ///
    /// # Errors
    /// Fails if the model has an adapter.
    pub(super) fn frozen(self) -> Result<Self> {
        match self.has_adapter() {
            true => Err(Error::input("adapter", "the model has an adapter already, expected none")),
            false => Ok(self.no_grad()),
        }
    }

    /// Whether the model has an adapter, switched on or off.
    pub fn has_adapter(&self) -> bool {
        let mut has = false;
        self.visit_linears(&mut |_, linear| has |= linear.lora.is_some());
        has
    }

    /// Switches the adapter on or off. Without one this has no effect.
    pub fn switch_adapter(&mut self, is_on: bool) {
        self.for_linears(&mut |_, linear| {
            if let Some(lora) = &mut linear.lora {
                lora.is_on = is_on;
            }
        });
    }

    /// Removes the adapter, if there is one. The weights stay frozen.
    pub fn remove_adapter(&mut self) {
        self.for_linears(&mut |_, linear| linear.lora = None);
    }

    /// Adds the adapter to the weights, `W + s B A`, and removes it. The result is one of inference,
    /// without autodiff.
    pub fn merged(&self) -> Self {
        let mut model = self.valid();
        model.for_linears(&mut |_, linear| linear.merge());
        model
    }

    /// Full names of all linear maps, such as `model.layers.0.self_attn.q_proj`.
    fn linear_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        self.visit_linears(&mut |name, _| names.push(name.to_string()));
        names
    }

    /// [`for_linears`](Self::for_linears) without changes.
    pub(super) fn visit_linears(&self, act: &mut dyn FnMut(&str, &Linear)) {
        // A clone of a module shares its tensors.
        self.clone().for_linears(&mut |name, linear| act(name, linear));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_full_name_an_end_at_a_dot_or_all_maps() {
        let is =
            |target: &str| is_target(&[target.to_string()], "model.layers.10.self_attn.q_proj");
        assert!(is("q_proj") && is("self_attn.q_proj") && is("all-linear"));
        assert!(is("model.layers.10.self_attn.q_proj"));
        assert!(!is("proj") && !is("k_proj") && !is("0.self_attn.q_proj") && !is(""));
    }

    #[test]
    fn rank_stabilised_adapters_divide_by_the_root_of_the_rank() {
        let factor = |rslora| Scale { alpha: 8.0, rslora }.factor(4);
        assert_eq!((factor(false), factor(true)), (2.0, 4.0));
    }
}
