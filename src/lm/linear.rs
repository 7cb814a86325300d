//! Linear maps.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

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
