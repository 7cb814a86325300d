//! The settings of fitting.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schedule::Schedule;

/// Fitting to sequences of tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct FitConfig {
    /// Number of optimizer steps. 0 takes one pass over the sequences.
    #[garde(range(max = 10_000_000))]
    pub steps: u64,
    /// Sequences in a step's batch. The last batch of a pass may be smaller.
    #[garde(range(min = 1, max = 1_000_000))]
    pub batch: usize,
    /// Parts of about equal size that a batch is computed in, one after another. More parts need less
    /// memory; loss and gradient are those of the whole batch.
    #[garde(range(min = 1, max = 1_000_000))]
    pub accumulate: usize,
    /// Compute the layers again in the backward pass instead of keeping their values. It needs a
    /// fraction of the memory, and about a third more time.
    #[garde(skip)]
    pub recompute: bool,
    /// Initial learning rate of AdamW.
    #[garde(range(min = 1e-9, max = 10.0))]
    pub learning_rate: f64,
    /// Change of the learning rate over the steps.
    #[garde(skip)]
    pub schedule: Schedule,
    /// Steps over which the learning rate rises from 0 at the start.
    #[garde(range(max = 1_000_000))]
    pub warmup: u64,
    /// Decoupled weight decay of AdamW, on every trained weight.
    #[garde(range(min = 0.0, max = 10.0))]
    pub weight_decay: f32,
    /// Maximum gradient norm. Larger gradients are scaled down to it. 0 sets no maximum.
    #[garde(range(min = 0.0, max = 1e9))]
    pub max_gradient_norm: f32,
    /// Shuffle the sequences in every pass.
    #[garde(skip)]
    #[schemars(extend("x-switches" = {"no-shuffle": "false"}))]
    pub shuffle: bool,
    /// Seed of the order and of a new adapter.
    #[garde(range(max = i64::MAX as u64))]
    pub seed: u64,
}

impl Default for FitConfig {
    fn default() -> Self {
        Self {
            steps: 0,
            batch: 8,
            accumulate: 1,
            recompute: false,
            learning_rate: 1e-4,
            schedule: Schedule::Linear,
            warmup: 0,
            weight_decay: 0.0,
            max_gradient_norm: 1.0,
            shuffle: true,
            seed: 0,
        }
    }
}

impl FitConfig {
    /// The learning rate of step `step`, from 0, of `steps`. A schedule decays from the first step to the
    /// last, beside the warm-up.
    pub fn learning_rate_at(&self, step: u64, steps: u64) -> f64 {
        let warm = match self.warmup {
            0 => 1.0,
            warmup => ((step + 1) as f64 / warmup as f64).min(1.0),
        };
        self.learning_rate * warm * self.schedule.factor(step as f64 / steps.max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_learning_rate_rises_and_then_follows_the_schedule() {
        let rate = |schedule, step| {
            let config =
                FitConfig { schedule, warmup: 4, learning_rate: 1.0, ..Default::default() };
            config.learning_rate_at(step, 100)
        };
        assert_eq!([0, 1, 3, 99].map(|step| rate(Schedule::Constant, step)), [0.25, 0.5, 1.0, 1.0]);
        assert!((rate(Schedule::Linear, 50) - 0.55).abs() < 1e-12);
        assert!((rate(Schedule::Cosine, 50) - 0.55).abs() < 1e-12);
        assert!((rate(Schedule::Linear, 99) - 0.109).abs() < 1e-12);
    }
}
