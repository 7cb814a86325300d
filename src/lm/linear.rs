//! Linear maps, with an adapter if there is one.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::loader::Loader;
use super::lora::Lora;
use crate::error::Result;

/// `y = x W + b`, plus the output of an adapter.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[inputs, outputs]`, the transpose of what files hold: a product of few rows reads it in order.
    weight: Param<Tensor<2>>,
    bias: Option<Param<Tensor<1>>>,
    pub(super) lora: Option<Lora>,
}

impl Linear {
    pub(super) fn load(
        loader: &Loader,
        name: &str,
        [inputs, outputs]: [usize; 2],
        has_bias: bool,
    ) -> Result<Self> {
        let weight = loader.transposed(&format!("{name}.weight"), [outputs, inputs])?;
        let bias = match has_bias {
            true => Some(loader.parameter(&format!("{name}.bias"), [outputs])?),
            false => None,
        };
        Ok(Self { weight, bias, lora: None })
    }

    /// Maps `x`, `[rows, inputs]`, to `[rows, outputs]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let added = self.lora.as_ref().and_then(|lora| lora.forward(&x));
        let mut y = x.matmul(self.weight.val());
        if let Some(bias) = &self.bias {
            y = y + bias.val().unsqueeze();
        }
        match added {
            Some(added) => y + added,
            None => y,
        }
    }

    /// Number of inputs and of outputs.
    pub(super) fn shape(&self) -> [usize; 2] {
        self.weight.shape().dims()
    }

    /// The weight without the adapter, `[inputs, outputs]`.
    #[cfg(test)]
    pub(super) fn weight(&self) -> &Param<Tensor<2>> {
        &self.weight
    }

    /// Adds the adapter to the weight and removes it.
    pub(super) fn merge(&mut self) {
        if let Some(lora) = self.lora.take() {
            self.weight = self.weight.clone().map(|weight| weight + lora.product());
        }
    }
}
