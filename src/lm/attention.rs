//! Causal attention with grouped queries (arXiv 2305.13245).

use burn::module::Module;
use burn::tensor::Tensor;

use super::cache::Cache;
use super::config::ModelConfig;
use super::linear::Linear;
use super::loader::Loader;
use super::norm::Norm;
use super::rope::Rope;
use crate::error::Result;
use crate::kernels::{CacheSpans, causal_softmax};

/// `softmax(Q Kᵀ / sqrt(width)) V` for each query head, over the tokens up to its own.
#[derive(Module, Debug)]
pub struct Attention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    q_norm: Option<Norm>,
    k_norm: Option<Norm>,
    #[module(skip)]
    heads: usize,
    #[module(skip)]
    kv_heads: usize,
    #[module(skip)]
    width: usize,
}

impl Attention {
    pub(super) fn load(loader: &Loader, name: &str, config: &ModelConfig) -> Result<Self> {
        let (heads, kv_heads, width) = (config.heads, config.kv_heads, config.head_width);
        let hidden = config.hidden;
        let linear =
            |part: &str, shape, bias| Linear::load(loader, &format!("{name}.{part}"), shape, bias);
        let norm = |part: &str| match config.qk_norm {
            true => {
                Norm::load(loader, &format!("{name}.{part}"), width, config.norm_epsilon).map(Some)
            }
            false => Ok(None),
        };
        Ok(Self {
            q_proj: linear("q_proj", [hidden, heads * width], config.qkv_bias)?,
            k_proj: linear("k_proj", [hidden, kv_heads * width], config.qkv_bias)?,
            v_proj: linear("v_proj", [hidden, kv_heads * width], config.qkv_bias)?,
            o_proj: linear("o_proj", [heads * width, hidden], config.output_bias)?,
            q_norm: norm("q_norm")?,
            k_norm: norm("k_norm")?,
            heads,
            kv_heads,
            width,
        })
    }

    /// Calls `act` with the name and each linear map.
    pub(super) fn for_linears(&mut self, name: &str, act: &mut dyn FnMut(&str, &mut Linear)) {
        act(&format!("{name}.q_proj"), &mut self.q_proj);
        act(&format!("{name}.k_proj"), &mut self.k_proj);
        act(&format!("{name}.v_proj"), &mut self.v_proj);
        act(&format!("{name}.o_proj"), &mut self.o_proj);
    }

    /// Attention of `x`, `[rows * tokens, hidden]`, within each row.
    pub fn forward(&self, x: Tensor<2>, [rows, tokens]: [usize; 2], rope: &Rope) -> Tensor<2> {
        let (heads, kv_heads, width) = (self.heads, self.kv_heads, self.width);
        let group = heads / kv_heads;
        let q = self.q_proj.forward(x.clone()).reshape([rows, tokens, heads, width]);
        let k = self.k_proj.forward(x.clone()).reshape([rows, tokens, kv_heads, width]);
        let v = self.v_proj.forward(x).reshape([rows, tokens, kv_heads, width]).swap_dims(1, 2);
        let q = rope.apply(normalised(q, self.q_norm.as_ref())).swap_dims(1, 2);
        let k = rope.apply(normalised(k, self.k_norm.as_ref())).swap_dims(1, 2);
        // Query heads that share a key head become rows of one product, so no key is repeated.
        let q = q.reshape([rows, kv_heads, group * tokens, width]);
        let shape = [rows * kv_heads, group, tokens, tokens];
        let scores = q.matmul(k.swap_dims(2, 3)).reshape(shape);
        let weights = causal_softmax(scores, (width as f32).powf(-0.5));
        let mixed = weights.reshape([rows, kv_heads, group * tokens, tokens]).matmul(v);
        let mixed = mixed.reshape([rows, heads, tokens, width]).swap_dims(1, 2);
        self.o_proj.forward(mixed.reshape([rows * tokens, heads * width]))
    }

    /// Attention of new tokens `x`, `[tokens, hidden]`, over their sequences in a cache, to whose `layer`
    /// their keys and values are added. `rope` holds their positions.
    pub(super) fn extend(
        &self,
        x: Tensor<2>,
        rope: &Rope,
        cache: &mut Cache,
        layer: usize,
        spans: &CacheSpans,
    ) -> Result<Tensor<2>> {
        let (tokens, width) = (x.dims()[0], self.width);
        let by_head = |x: Tensor<2>, heads| x.reshape([1, tokens, heads, width]);
        let flat = |x: Tensor<4>, heads| x.reshape([tokens, heads * width]);
        let q = by_head(self.q_proj.forward(x.clone()), self.heads);
        let k = by_head(self.k_proj.forward(x.clone()), self.kv_heads);
        let v = self.v_proj.forward(x);
        let q = flat(rope.apply(normalised(q, self.q_norm.as_ref())), self.heads);
        let k = flat(rope.apply(normalised(k, self.k_norm.as_ref())), self.kv_heads);
        Ok(self.o_proj.forward(cache.attend([q, k, v], layer, spans)?))
    }
}

fn normalised(x: Tensor<4>, norm: Option<&Norm>) -> Tensor<4> {
    match norm {
        Some(norm) => norm.forward(x),
        None => x,
    }
}
