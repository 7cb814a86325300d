//! Root mean square normalisation (arXiv 1910.07467).

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::loader::Loader;
use crate::error::Result;
use crate::kernels::rms_norm;

/// `y = g ⊙ x / sqrt(mean(x²) + ε)` over the last dimension.
#[derive(Module, Debug)]
pub struct Norm {
    weight: Param<Tensor<1>>,
    #[module(skip)]
    epsilon: f64,
}

impl Norm {
    pub(super) fn load(loader: &Loader, name: &str, width: usize, epsilon: f64) -> Result<Self> {
        Ok(Self { weight: loader.parameter(&format!("{name}.weight"), [width])?, epsilon })
    }

    /// Normalises `x`, `[…, width]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        rms_norm(x, self.weight.val(), self.epsilon as f32)
    }
}
