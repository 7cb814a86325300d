//! Linear maps and the gated feed-forward layer.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation};

use super::config::ModelConfig;
use super::weights::Loader;
use crate::error::Result;

/// `y = x Wᵀ + b`, with `W` as Hugging Face stores it, `[outputs, inputs]`.
#[derive(Module, Debug)]
pub struct Linear {
    weight: Param<Tensor<2>>,
    bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    pub(super) fn load(
        loader: &Loader,
        name: &str,
        [inputs, outputs]: [usize; 2],
        has_bias: bool,
    ) -> Result<Self> {
        let weight = loader.parameter(&format!("{name}.weight"), [outputs, inputs])?;
        let bias = match has_bias {
            true => Some(loader.parameter(&format!("{name}.bias"), [outputs])?),
            false => None,
        };
        Ok(Self { weight, bias })
    }

    /// Maps `x`, `[rows, inputs]`, to `[rows, outputs]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let y = x.matmul(self.weight.val().transpose());
        match &self.bias {
            Some(bias) => y + bias.val().unsqueeze(),
            None => y,
        }
    }
}

/// SwiGLU (arXiv 2002.05202): `y = (silu(x G) ⊙ x U) D`.
#[derive(Module, Debug)]
pub struct Mlp {
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
}

impl Mlp {
    pub(super) fn load(loader: &Loader, name: &str, config: &ModelConfig) -> Result<Self> {
        let (outer, inner) = (config.hidden, config.intermediate);
        let linear = |part: &str, shape| {
            Linear::load(loader, &format!("{name}.{part}"), shape, config.mlp_bias)
        };
        Ok(Self {
            gate_proj: linear("gate_proj", [outer, inner])?,
            up_proj: linear("up_proj", [outer, inner])?,
            down_proj: linear("down_proj", [inner, outer])?,
        })
    }

    /// Maps `x`, `[rows, hidden]`, to the same shape.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let gate = activation::silu(self.gate_proj.forward(x.clone()));
        self.down_proj.forward(gate * self.up_proj.forward(x))
    }
}
