//! Rotary position embedding (RoFormer, arXiv 2104.09864), in the half-split form of Llama.

use std::f64::consts::TAU;

use burn::tensor::{Device, Tensor, TensorData};

use super::config::{ModelConfig, RopeScaling};
use crate::kernels::rotate;

/// Cosines and sines of the positions of a sequence, `[1, tokens, 1, head_width / 2]` each.
#[derive(Debug, Clone)]
pub struct Rope {
    cosines: Tensor<4>,
    sines: Tensor<4>,
}

impl Rope {
    /// Tables for positions 0 to `tokens - 1`. Angles are computed in 64 bits.
    pub fn new(config: &ModelConfig, tokens: usize, device: &Device) -> Self {
        Self::at(config, 0..tokens, device)
    }

    /// Tables for given positions, one a token.
    pub fn at(
        config: &ModelConfig,
        positions: impl Iterator<Item = usize> + Clone,
        device: &Device,
    ) -> Self {
        let frequencies = config.frequencies();
        let table = |of: fn(f64) -> f64| {
            let values: Vec<f32> = (positions.clone())
                .flat_map(|at| frequencies.iter().map(move |one| of(at as f64 * one) as f32))
                .collect();
            let shape = [1, values.len() / frequencies.len(), 1, frequencies.len()];
            Tensor::from_data(TensorData::new(values, shape), device)
        };
        Self { cosines: table(f64::cos), sines: table(f64::sin) }
    }

    /// Rotates each pair `(x_i, x_{i + width / 2})` of `x`, `[rows, tokens, heads, width]`, by the angle
    /// `θ` of its position: `(a cos θ − b sin θ, b cos θ + a sin θ)`.
    pub fn apply(&self, x: Tensor<4>) -> Tensor<4> {
        rotate(x, self.cosines.clone(), self.sines.clone())
    }
}

impl ModelConfig {
    /// Angle per position of each pair, `[head_width / 2]`: `theta^(−2i / width)`, scaled.
    pub(super) fn frequencies(&self) -> Vec<f64> {
        let half = self.head_width / 2;
        let plain = |i: usize| self.rope_theta.powf(-(i as f64) / half as f64);
        (0..half).map(|i| scaled(plain(i), self.rope_scaling.as_ref())).collect()
    }
}

fn scaled(frequency: f64, scaling: Option<&RopeScaling>) -> f64 {
    match scaling {
        None => frequency,
        Some(RopeScaling::Linear { factor }) => frequency / factor,
        Some(RopeScaling::Llama3 { factor, low, high, original_context }) => {
            // Turns within the original context: below `low` scaled, above `high` kept.
            let turns = original_context * frequency / TAU;
            let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
            kept * frequency + (1.0 - kept) * frequency / factor
        }
    }
}
