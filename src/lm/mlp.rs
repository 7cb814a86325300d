//! The gated feed-forward layer.

use burn::module::Module;
use burn::tensor::Tensor;

use super::config::ModelConfig;
use super::linear::Linear;
use super::loader::Loader;
use crate::error::Result;
use crate::kernels::swiglu;

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

    /// Calls `act` with the name and each linear map.
    pub(super) fn for_linears(&mut self, name: &str, act: &mut dyn FnMut(&str, &mut Linear)) {
        act(&format!("{name}.gate_proj"), &mut self.gate_proj);
        act(&format!("{name}.up_proj"), &mut self.up_proj);
        act(&format!("{name}.down_proj"), &mut self.down_proj);
    }

    /// Maps `x`, `[rows, hidden]`, to the same shape.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let gate = self.gate_proj.forward(x.clone());
        self.down_proj.forward(swiglu(gate, self.up_proj.forward(x)))
    }
}
