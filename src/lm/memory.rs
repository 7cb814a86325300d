//! What a model takes in memory, and what the machine has.
//!
//! Numbers are 32-bit floats throughout. For `P` parameters, of which `A` belong to an adapter:
//!
//! | use | bytes |
//! |---|---|
//! | inference | `4 P`, and `8 · layers · kv_heads · head_width` for each cached token |
//! | full training | `16 P`: weights, gradients and two moments of AdamW; and activations |
//! | training an adapter | `4 P + 16 A`, and activations |
//!
//! Activations are what the backward pass needs of the forward pass. For each token of a row of `T`
//! tokens a layer keeps `7 hidden + 8 · heads · head_width + 5 · kv_heads · head_width + 5 intermediate +
//! 3 · heads · T` numbers. With recomputation a layer keeps its input, `hidden` numbers, and one layer at a
//! time has all of the above.

use burn::tensor::Device;
use serde::Serialize;
use sysinfo::{MemoryRefreshKind, System};

use super::config::ModelConfig;
use crate::device::uses_host_memory;
use crate::error::{Error, Result};

/// Bytes of a number.
const FLOAT: u64 = 4;

/// Bytes of a number that is trained: its value, its gradient and two moments.
const TRAINED: u64 = 4 * FLOAT;

/// A batch of rows of equal length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BatchShape {
    /// Number of rows.
    pub rows: usize,
    /// Tokens of a row.
    pub tokens: usize,
}

/// Estimates for one model, in bytes, apart from the counts of parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Number of parameters.
    pub parameters: u64,
    /// How many of them the embedding has, and the head, if it has weights of its own.
    pub embedding_parameters: u64,
    /// Number of parameters of an adapter for all linear maps.
    pub adapter_parameters: u64,
    /// The weights.
    pub weights: u64,
    /// Keys and values of 1,024 tokens.
    pub cache_per_1024_tokens: u64,
    /// Inference: the weights and the cache of the batch.
    pub inference: u64,
    /// Training an adapter.
    pub lora: u64,
    /// Training an adapter, with recomputation by layer.
    pub lora_recomputed: u64,
    /// Training all weights.
    pub full: u64,
    /// Training all weights, with recomputation by layer.
    pub full_recomputed: u64,
}

impl Memory {
    /// Estimates for a batch, and an adapter of a given rank.
    pub fn of(config: &ModelConfig, batch: BatchShape, rank: usize) -> Self {
        let sizes = Sizes::of(config);
        let parameters = config.parameters();
        let adapter_parameters = product([sizes.layers, rank as u64, sizes.linear_ends()]);
        let weights = product([FLOAT, parameters]);
        let cache_per_token = product([2 * FLOAT, sizes.layers, sizes.keys]);
        let tokens = product([batch.rows as u64, batch.tokens as u64]);
        let layer = product([FLOAT, tokens, sizes.kept_by_layer(batch.tokens as u64)]);
        let kept = product([sizes.layers, layer]);
        let inputs = product([FLOAT, tokens, sizes.layers, sizes.hidden]);
        let recomputed = inputs.saturating_add(layer);
        let lora = weights.saturating_add(product([TRAINED, adapter_parameters]));
        let full = product([TRAINED, parameters]);
        Self {
            parameters,
            embedding_parameters: config.embedding_parameters(),
            adapter_parameters,
            weights,
            cache_per_1024_tokens: product([1024, cache_per_token]),
            inference: weights.saturating_add(product([tokens, cache_per_token])),
            lora: lora.saturating_add(kept),
            lora_recomputed: lora.saturating_add(recomputed),
            full: full.saturating_add(kept),
            full_recomputed: full.saturating_add(recomputed),
        }
    }
}

/// A product that does not exceed the largest number.
fn product<const N: usize>(factors: [u64; N]) -> u64 {
    factors.into_iter().fold(1, u64::saturating_mul)
}

/// Widths of a model.
struct Sizes {
    layers: u64,
    hidden: u64,
    inner: u64,
    /// Width of all queries of a token.
    queries: u64,
    /// Width of all keys of a token.
    keys: u64,
    heads: u64,
}

impl Sizes {
    fn of(config: &ModelConfig) -> Self {
        let width = config.head_width as u64;
        Self {
            layers: config.layers as u64,
            hidden: config.hidden as u64,
            inner: config.intermediate as u64,
            queries: config.heads as u64 * width,
            keys: config.kv_heads as u64 * width,
            heads: config.heads as u64,
        }
    }

    /// Sum of the inputs and outputs of a layer's linear maps.
    fn linear_ends(&self) -> u64 {
        let attention = 2 * (self.hidden + self.queries) + 2 * (self.hidden + self.keys);
        attention + 3 * (self.hidden + self.inner)
    }

    /// Numbers that a layer keeps for each token of a row: see above.
    fn kept_by_layer(&self, tokens: u64) -> u64 {
        let scores = product([3, self.heads, tokens]);
        (7 * self.hidden + 8 * self.queries + 5 * self.keys + 5 * self.inner).saturating_add(scores)
    }
}

impl ModelConfig {
    /// Number of parameters.
    pub fn parameters(&self) -> u64 {
        let of = |is: bool, count: u64| if is { count } else { 0 };
        let Sizes { layers, hidden, inner, queries, keys, .. } = Sizes::of(self);
        let attention = product([2, hidden, queries + keys])
            + of(self.qkv_bias, queries + 2 * keys)
            + of(self.output_bias, hidden)
            + of(self.qk_norm, 2 * self.head_width as u64);
        let mlp = product([3, hidden, inner]) + of(self.mlp_bias, 2 * inner + hidden);
        let layer = attention.saturating_add(mlp).saturating_add(2 * hidden);
        product([layers, layer]).saturating_add(self.embedding_parameters()).saturating_add(hidden)
    }

    /// Number of parameters of the embedding, and of the head, if it has weights of its own.
    pub fn embedding_parameters(&self) -> u64 {
        let tables = if self.tied { 1 } else { 2 };
        product([tables, self.vocabulary as u64, self.hidden as u64])
    }
}

/// Memory of the machine that this process may use, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HostMemory {
    /// All of it.
    pub total: u64,
    /// What is free, or can be freed.
    pub available: u64,
}

impl HostMemory {
    /// The machine's memory, or the limit of this process's control group if that is less. `None` if the
    /// system does not tell.
    pub fn read() -> Option<Self> {
        let mut system = System::new();
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let mut memory =
            Self { total: system.total_memory(), available: system.available_memory() };
        if let Some(limits) = system.cgroup_limits().filter(|limits| limits.total_memory > 0) {
            // Files in memory count as used there, but are given up on demand.
            let left = limits.total_memory.saturating_sub(limits.rss);
            memory.total = memory.total.min(limits.total_memory);
            memory.available = memory.available.min(left);
        }
        (memory.total > 0).then_some(memory)
    }
}

/// Refuses a model whose weights alone are more than the memory that is available for `device`. Nothing is
/// known of a GPU's own memory.
pub(super) fn check_fits(config: &ModelConfig, device: &Device) -> Result<()> {
    match HostMemory::read().filter(|_| uses_host_memory(device)) {
        Some(memory) => fits(config.parameters(), memory),
        None => Ok(()),
    }
}

fn fits(parameters: u64, memory: HostMemory) -> Result<()> {
    let weights = product([FLOAT, parameters]);
    if weights <= memory.available {
        return Ok(());
    }
    Err(Error::Device(format!(
        "the model's {parameters} parameters take {} as 32-bit floats, and {} of {} memory are available; \
         use a smaller model, or free memory",
        readable(weights),
        readable(memory.available),
        readable(memory.total)
    )))
}

/// A size for people: `1.2 GiB`.
pub fn readable(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1000.0 && unit + 1 < units.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.*} {}", if size < 10.0 { 2 } else { 1 }, units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shape of SmolLM2-135M, which has 134,515,008 parameters.
    fn smollm2() -> ModelConfig {
        ModelConfig::parse(
            r#"{"model_type": "llama", "vocab_size": 49152, "hidden_size": 576,
                "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
                "num_key_value_heads": 3, "max_position_embeddings": 8192,
                "tie_word_embeddings": true}"#,
        )
        .unwrap()
    }

    #[test]
    fn the_count_of_parameters_is_that_of_the_published_model() {
        assert_eq!(smollm2().parameters(), 134_515_008);
        assert_eq!(smollm2().embedding_parameters(), 49_152 * 576);
    }

    #[test]
    fn training_takes_four_numbers_for_each_trained_parameter_and_one_for_each_frozen_one() {
        let none = BatchShape { rows: 0, tokens: 0 };
        let memory = Memory::of(&smollm2(), none, 16);
        // transformers and PEFT count 4,884,480 parameters for rank 16 on all linear maps.
        assert_eq!(memory.adapter_parameters, 4_884_480);
        assert_eq!(memory.inference, 4 * 134_515_008);
        assert_eq!(memory.full, 16 * 134_515_008);
        assert_eq!(memory.lora, 4 * 134_515_008 + 16 * 4_884_480);
        assert_eq!(memory.cache_per_1024_tokens, 1024 * 2 * 4 * 30 * 3 * 64);
    }

    #[test]
    fn a_model_beyond_the_available_memory_is_refused_with_both_sizes() {
        let memory = HostMemory { total: 8 << 30, available: 1 << 29 };
        assert!(fits(1 << 27, memory).is_ok());
        let message = fits((1 << 27) + 1, memory).unwrap_err().to_string();
        assert!(message.contains("take 512.0 MiB as 32-bit floats"), "{message}");
        assert!(message.contains("512.0 MiB of 8.00 GiB memory are available"), "{message}");
    }

    #[test]
    fn sizes_are_written_with_three_digits_and_a_unit() {
        let written = [0, 1536, 10 << 20, 1000 << 20, u64::MAX].map(readable);
        assert_eq!(written, ["0.00 KiB", "1.50 KiB", "10.0 MiB", "0.98 GiB", "16.0 EiB"]);
    }
}
