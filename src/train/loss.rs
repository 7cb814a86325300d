//! The objective that an update minimises.
//!
//! The loss adds two terms to the [clipped surrogate](super::surrogate::clipped_surrogate). For every
//! token with log-probability l under the policy and l_ref under the reference policy:
//!
//! ```text
//! kl   = exp(l_ref - l) - (l_ref - l) - 1                             Schulman 2020, the estimator "k3",
//!        or (l - l_ref)² / 2 ("k2"), or l - l_ref ("k1")
//! loss = surrogate loss + weighted mean over tokens of ( kl_weight kl - entropy_weight entropy )
//! ```
//!
//! k3 is never negative and varies least as a value. Of the gradients, that of k2 is the one whose mean is
//! the gradient of the divergence; that of k1 has the mean 0, so k1 serves as a measurement only.
//!
//! If a [value head](super::value_loss::clipped_value_loss) is trained, `value_coefficient` times its loss is
//! added.
//!
//! The weights decide whether the mean is over tokens, responses or episodes.

use burn::tensor::Tensor;

use super::surrogate::{MAX_LOG_RATIO, SurrogateLoss, TokenWeights, clipped_surrogate};
use super::update_config::{KlEstimator, UpdateConfig};
use super::value_loss::{ValueTargets, clipped_value_loss};
use crate::policy::TokenScores;

/// The inputs of a loss. Tensors of tokens have the shape `[rows, tokens]`.
#[derive(Debug, Clone)]
pub struct LossInputs {
    /// Scores of the responses under the policy, with gradients.
    pub scores: TokenScores,
    /// Log-probabilities when the responses were sampled.
    pub old_log_probs: Tensor<2>,
    /// Log-probabilities under the reference policy.
    pub reference_log_probs: Option<Tensor<2>>,
    /// The advantage of each token's step.
    pub advantages: Tensor<2>,
    /// The weight of each token, 0 for padding. The weights of a minibatch add up to 1; those of a
    /// shard of it add up to the shard's share.
    pub weights: Tensor<2>,
    /// What the values among the scores are trained towards, if they are.
    pub values: Option<ValueTargets>,
}

/// The loss and its terms, each a weighted mean over tokens (the value's over rows) of shape `[1]`.
#[derive(Debug, Clone)]
pub struct Loss {
    /// The loss that is minimised.
    pub total: Tensor<1>,
    /// Minus the clipped surrogate.
    pub policy: Tensor<1>,
    /// KL divergence from the reference policy; 0 without one.
    pub kl: Tensor<1>,
    /// Entropy, in nats.
    pub entropy: Tensor<1>,
    /// Fraction of tokens whose objective the clip reduced.
    pub clip_fraction: Tensor<1>,
    /// Mean of `|l - l_old|`: the distance of the policy from the one that sampled the responses.
    pub ratio_gap: Tensor<1>,
    /// The loss of the value head; 0 without one.
    pub value: Tensor<1>,
}

impl Loss {
    /// Number of values in [`Loss::values`].
    pub const VALUES: usize = 7;

    /// Total, policy, KL, entropy, clip fraction, ratio gap and value, in that order, without gradients.
    pub fn values(&self) -> Tensor<1> {
        let Self { total, policy, kl, entropy, clip_fraction, ratio_gap, value } = self;
        let parts = [total, policy, kl, entropy, clip_fraction, ratio_gap, value];
        Tensor::cat(parts.into_iter().map(|part| part.clone().without_autodiff()).collect(), 0)
    }
}

/// Computes the loss.
pub fn loss(inputs: LossInputs, config: &UpdateConfig) -> Loss {
    let LossInputs { scores, old_log_probs, reference_log_probs, advantages, weights, values } =
        inputs;
    let weights = TokenWeights::from(weights);
    let ratio_gap = scores.log_probs.clone().without_autodiff() - old_log_probs.clone();
    let ratio_gap = weights.mean(ratio_gap.abs());
    let SurrogateLoss { loss: policy, clip_fraction } = clipped_surrogate(
        scores.log_probs.clone(),
        old_log_probs,
        advantages,
        weights.clone(),
        &config.surrogate(),
    );
    let kl = match reference_log_probs {
        Some(reference) => {
            let log_ratio = (reference - scores.log_probs).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO);
            weights.mean(match config.kl_estimator {
                KlEstimator::K1 => log_ratio.neg(),
                KlEstimator::K2 => log_ratio.square().mul_scalar(0.5),
                KlEstimator::K3 => log_ratio.clone().exp() - log_ratio - 1.0,
            })
        }
        None => policy.zeros_like(),
    };
    let entropy = weights.mean(scores.entropy);
    let total = policy.clone() + kl.clone().mul_scalar(config.kl_weight)
        - entropy.clone().mul_scalar(config.entropy_weight);
    let (total, value) = match scores.values.zip(values) {
        Some((values, targets)) => {
            let value = clipped_value_loss(values, targets, config.value_clip);
            (total + value.clone().mul_scalar(config.value_coefficient), value)
        }
        None => (total, policy.zeros_like()),
    };
    Loss { total, policy, kl, entropy, clip_fraction, ratio_gap, value }
}

/// The loss of imitation: minus the weighted mean log-probability of given responses.
pub(super) fn imitation_loss(scores: TokenScores, weights: Tensor<2>) -> Loss {
    let weights = TokenWeights::from(weights);
    let total = weights.mean(scores.log_probs).neg();
    let zero = total.zeros_like();
    Loss {
        policy: total.clone(),
        kl: zero.clone(),
        entropy: weights.mean(scores.entropy),
        clip_fraction: zero.clone(),
        ratio_gap: zero.clone(),
        value: zero,
        total,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::read;
    use burn::tensor::Device;

    fn tensor(values: [[f32; 2]; 2]) -> Tensor<2> {
        Tensor::from_data(values, &Device::flex())
    }

    fn scalar(value: Tensor<1>) -> f64 {
        f64::from(read(value).unwrap()[0])
    }

    /// The formulas of the module documentation, token by token in f64.
    #[test]
    fn the_loss_agrees_with_its_formulas() {
        let config = UpdateConfig {
            clip_low: 0.2,
            clip_high: 0.3,
            kl_weight: 0.5,
            entropy_weight: 0.25,
            value_coefficient: 2.0,
            value_clip: 0.0,
            ..Default::default()
        };
        let log_probs = [[-0.1, -1.0], [-2.0, -0.5]];
        let old = [[-0.6, -0.9], [-1.0, -9.0]];
        let reference = [[-0.2, -0.4], [-2.5, -9.0]];
        let advantages = [[1.0, -2.0], [-0.5, 9.0]];
        let entropy = [[0.3, 0.6], [0.9, 9.0]];
        let present = [[true, true], [true, false]];

        let (mut policy, mut kl, mut bonus, mut clips, mut tokens) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for i in 0..2 {
            for j in 0..2 {
                if !present[i][j] {
                    continue;
                }
                let (l, a) = (f64::from(log_probs[i][j]), f64::from(advantages[i][j]));
                let ratio = (l - f64::from(old[i][j])).exp();
                let bound = ratio.clamp(0.8, 1.3) * a;
                policy -= (ratio * a).min(bound);
                clips += f64::from(u8::from(bound < ratio * a));
                let difference = f64::from(reference[i][j]) - l;
                kl += difference.exp() - difference - 1.0;
                bonus += f64::from(entropy[i][j]);
                tokens += 1.0;
            }
        }
        let result = loss(
            LossInputs {
                scores: TokenScores {
                    log_probs: tensor(log_probs),
                    entropy: tensor(entropy),
                    values: Some(Tensor::from_floats([0.5, 2.0], &Device::flex())),
                },
                old_log_probs: tensor(old),
                reference_log_probs: Some(tensor(reference)),
                advantages: tensor(advantages),
                weights: tensor(
                    present.map(|row| row.map(|token| f32::from(u8::from(token)) / 3.0)),
                ),
                values: Some(ValueTargets {
                    returns: Tensor::from_floats([1.0, 1.0], &Device::flex()),
                    old_values: Tensor::zeros([2], &Device::flex()),
                    weights: Tensor::from_floats([0.5, 0.5], &Device::flex()),
                }),
            },
            &config,
        );
        let close = |found: f64, expected: f64| {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}")
        };
        close(scalar(result.policy), policy / tokens);
        close(scalar(result.kl), kl / tokens);
        close(scalar(result.entropy), bonus / tokens);
        close(scalar(result.clip_fraction), clips / tokens);
        // Errors of -0.5 and 1: half their mean square.
        let value = 0.5 * (0.25 + 1.0) / 2.0;
        close(scalar(result.value), value);
        close(scalar(result.total), (policy + 0.5 * kl - 0.25 * bonus) / tokens + 2.0 * value);
    }
}
