//! One layer of the decoder.

use burn::module::Module;
use burn::tensor::Tensor;

use super::attention::Attention;
use super::cache::Cache;
use super::config::ModelConfig;
use super::linear::Linear;
use super::loader::Loader;
use super::mlp::Mlp;
use super::norm::Norm;
use super::rope::Rope;
use crate::error::Result;
use crate::kernels::CacheSpans;

/// `h = x + attention(norm(x))`, `y = h + mlp(norm(h))`.
#[derive(Module, Debug)]
pub struct Block {
    self_attn: Attention,
    mlp: Mlp,
    input_layernorm: Norm,
    post_attention_layernorm: Norm,
}

impl Block {
    pub(super) fn load(loader: &Loader, name: &str, config: &ModelConfig) -> Result<Self> {
        let norm = |part: &str| {
            Norm::load(loader, &format!("{name}.{part}"), config.hidden, config.norm_epsilon)
        };
        Ok(Self {
            self_attn: Attention::load(loader, &format!("{name}.self_attn"), config)?,
            mlp: Mlp::load(loader, &format!("{name}.mlp"), config)?,
            input_layernorm: norm("input_layernorm")?,
            post_attention_layernorm: norm("post_attention_layernorm")?,
        })
    }

    /// Calls `act` with the name and each linear map of the layer.
    pub(super) fn for_linears(&mut self, name: &str, act: &mut dyn FnMut(&str, &mut Linear)) {
        self.self_attn.for_linears(&format!("{name}.self_attn"), act);
        self.mlp.for_linears(&format!("{name}.mlp"), act);
    }

    /// Maps `x`, `[rows * tokens, hidden]`, to the same shape.
    pub fn forward(&self, x: Tensor<2>, shape: [usize; 2], rope: &Rope) -> Tensor<2> {
        let normed = self.input_layernorm.forward(x.clone());
        let x = x + self.self_attn.forward(normed, shape, rope);
        x.clone() + self.mlp.forward(self.post_attention_layernorm.forward(x))
    }

    /// Maps new tokens `x`, `[tokens, hidden]`, to the same shape. See [`Attention::extend`].
    pub(super) fn extend(
        &self,
        x: Tensor<2>,
        rope: &Rope,
        cache: &mut Cache,
        layer: usize,
        spans: &CacheSpans,
    ) -> Result<Tensor<2>> {
        let normed = self.input_layernorm.forward(x.clone());
        let x = x + self.self_attn.extend(normed, rope, cache, layer, spans)?;
        Ok(x.clone() + self.mlp.forward(self.post_attention_layernorm.forward(x)))
    }
}
