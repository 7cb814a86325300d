//! Settings of the update of the policy.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::surrogate::{LossConfig, Ratio};
use crate::schedule::Schedule;

/// The unit that the objective is a mean over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Aggregation {
    /// Mean over tokens: a longer response has more weight.
    #[default]
    Token,
    /// Mean over responses, each the mean of its tokens.
    Response,
    /// Mean over episodes, each the mean of its tokens: all episodes have the same weight.
    Episode,
}

/// The estimator of the KL divergence from the reference policy, by token (Schulman 2020, "Approximating
/// KL Divergence"), with `d = ln(reference / policy)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KlEstimator {
    /// `-d`. Its gradient has the mean 0, so it measures and does not hold the policy back.
    K1,
    /// `d² / 2`.
    K2,
    /// `exp(d) - d - 1`.
    #[default]
    K3,
}

/// The update of the policy: loss and optimizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateConfig {
    /// Passes over the rows of an iteration.
    #[garde(range(min = 1, max = 100))]
    pub epochs: usize,
    /// Rows in a minibatch.
    #[garde(range(min = 1, max = 1_000_000))]
    pub minibatch: usize,
    /// Parts of a minibatch that a CPU computes in parallel. It is independent of the number of
    /// threads, because the order of a sum changes its last digits.
    #[garde(range(min = 1, max = 1024))]
    pub shards: usize,
    /// Unit that the objective is a mean over.
    #[garde(skip)]
    pub aggregation: Aggregation,
    /// Initial learning rate of AdamW.
    #[garde(range(min = 1e-9, max = 10.0))]
    pub learning_rate: f64,
    /// Change of the learning rate over the run.
    #[garde(skip)]
    pub schedule: Schedule,
    /// Iterations over which the schedules of the learning rate and the entropy weight run; after
    /// them, both keep their last value. 0 takes `run.iterations` as it is when the run starts. A
    /// resumed run keeps it.
    #[garde(range(max = 10_000_000))]
    pub schedule_iterations: u64,
    /// Minutes over which the schedules run, if that is sooner. 0 sets no time; if
    /// `update.schedule_iterations` is 0 too, `run.minutes` is taken as it is when the run starts.
    #[garde(range(min = 0.0, max = 1e6))]
    pub schedule_minutes: f64,
    /// Iterations over which the learning rate rises from 0 at the start.
    #[garde(range(max = 1_000_000))]
    pub warmup: u64,
    /// Decoupled weight decay of AdamW.
    #[garde(range(min = 0.0, max = 10.0))]
    pub weight_decay: f32,
    /// Lower clip range: probability ratios are clipped at 1 - clip_low.
    #[garde(range(min = 0.0, max = 1.0))]
    pub clip_low: f32,
    /// Upper clip range: probability ratios are clipped at 1 + clip_high.
    #[garde(range(min = 0.0, max = 100.0))]
    pub clip_high: f32,
    /// Bound of the objective of a negative advantage, as a multiple of it (dual clip). Above 1, or 0 for
    /// none.
    #[garde(custom(zero_or_above_one))]
    pub dual_clip: f32,
    /// Probability ratio that is clipped: each token's own, or that of the whole response (GSPO).
    #[garde(skip)]
    pub ratio: Ratio,
    /// Weight of the KL divergence from the reference policy. 0 turns it off.
    ///
    /// The paper's 0.01 keeps a pretrained model near its initial weights. Here the reference is the
    /// untrained policy, which is close to uniform, and a tenth of that keeps exploration up.
    #[garde(range(min = 0.0, max = 100.0))]
    pub kl_weight: f32,
    /// Estimator of the KL divergence.
    #[garde(skip)]
    pub kl_estimator: KlEstimator,
    /// Initial weight of the entropy bonus. 0 turns it off.
    #[garde(range(min = 0.0, max = 100.0))]
    pub entropy_weight: f32,
    /// Change of the entropy weight over the run.
    #[garde(skip)]
    pub entropy_schedule: Schedule,
    /// Weight of the loss of the value head, which estimator `ppo` and `credit.value_weight` ask for.
    #[garde(range(min = 0.0, max = 1e6))]
    pub value_coefficient: f32,
    /// Distance from the value of the rollout beyond which the value head gains nothing in an update, in
    /// units of return. 0 turns the clip off.
    ///
    /// PPO's code clips at 0.2. Here values learned faster without.
    #[garde(range(min = 0.0, max = 1e6))]
    pub value_clip: f32,
    /// Penalty on the reward of a step whose action was not admissible.
    #[garde(range(min = 0.0, max = 1e6))]
    pub invalid_action_penalty: f32,
    /// Maximum gradient norm. Larger gradients are scaled down to it.
    #[garde(range(min = 1e-6, max = 1e9))]
    pub max_gradient_norm: f32,
    /// Consecutive updates that may be skipped because loss or gradient was not finite. More end the
    /// run.
    #[garde(range(min = 1, max = 1_000_000))]
    #[schemars(extend("x-former-keys" = ["max_bad_updates"], "x-aliases" = ["max-bad-updates"]))]
    pub max_skipped_updates: usize,
}

impl Default for UpdateConfig {
    fn default() -> Self {
        Self {
            epochs: 2,
            minibatch: 1024,
            shards: 2,
            aggregation: Aggregation::Token,
            learning_rate: 1e-3,
            schedule: Schedule::Linear,
            schedule_iterations: 0,
            schedule_minutes: 0.0,
            warmup: 0,
            weight_decay: 0.0,
            clip_low: 0.2,
            clip_high: 0.2,
            dual_clip: 0.0,
            ratio: Ratio::Token,
            kl_weight: 0.001,
            kl_estimator: KlEstimator::K3,
            entropy_weight: 0.0,
            entropy_schedule: Schedule::Constant,
            value_coefficient: 0.5,
            value_clip: 0.0,
            invalid_action_penalty: 0.1,
            max_gradient_norm: 1.0,
            max_skipped_updates: 10,
        }
    }
}

/// Checks a bound that must exceed 1, where 0 turns it off.
fn zero_or_above_one(value: &f32, _: &()) -> garde::Result {
    match *value == 0.0 || (*value > 1.0 && *value <= 1e6) {
        true => Ok(()),
        false => Err(garde::Error::new(format!("is {value}, expected 0 or above 1 to 1000000"))),
    }
}

impl UpdateConfig {
    /// The settings of the clipped surrogate.
    pub(super) fn surrogate(&self) -> LossConfig {
        let Self { clip_low, clip_high, dual_clip, ratio, .. } = *self;
        LossConfig { clip_low, clip_high, dual_clip, ratio }
    }

    /// The learning rate at a point of its schedule, `progress` in [0, 1].
    pub fn learning_rate_at(&self, iteration: u64, progress: f64) -> f64 {
        let warm = if self.warmup == 0 {
            1.0
        } else {
            ((iteration + 1) as f64 / self.warmup as f64).min(1.0)
        };
        self.learning_rate * warm * self.schedule.factor(progress)
    }

    /// The weight of the entropy bonus at a point of its schedule, `progress` in [0, 1].
    pub fn entropy_weight_at(&self, progress: f64) -> f32 {
        self.entropy_weight * self.entropy_schedule.factor(progress) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_learning_rate_warms_up_and_falls_to_a_tenth() {
        let mut config = UpdateConfig { learning_rate: 1.0, warmup: 4, ..Default::default() };
        assert_eq!(config.learning_rate_at(0, 0.0), 0.25);
        for schedule in [Schedule::Linear, Schedule::Cosine] {
            config.schedule = schedule;
            assert!((config.learning_rate_at(9, 0.5) - 0.55).abs() < 1e-12);
            assert!((config.learning_rate_at(9, 1.0) - 0.1).abs() < 1e-12);
        }
        config.schedule = Schedule::Constant;
        assert_eq!(config.learning_rate_at(9, 1.0), 1.0);
    }
}
