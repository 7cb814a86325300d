//! The objective that an update descends.
//!
//! For every token with log-probability l under the policy, l_old when it was drawn, l_ref under the
//! reference policy, advantage A and ratio r = exp(l - l_old):
//!
//! ```text
//! surrogate = min( r A, clip(r, 1 - clip_low, 1 + clip_high) A )      Schulman et al. 2017, eq. 7
//! kl        = exp(l_ref - l) - (l_ref - l) - 1                        Schulman 2020, the estimator "k3"
//! loss      = weighted mean over tokens of ( -surrogate + kl_weight kl - entropy_weight entropy )
//! ```
//!
//! The weights say what is aggregated over: every token alike, or every response, or every episode.

use burn::tensor::Tensor;

use super::config::UpdateConfig;
use crate::policy::TokenScores;

/// What a loss is computed from. All tensors have the shape `[rows, tokens]`.
#[derive(Debug, Clone)]
pub struct LossInputs {
    /// The policy's view of the responses, with gradients.
    pub scores: TokenScores,
    /// Log-probabilities when the responses were drawn.
    pub old_log_probs: Tensor<2>,
    /// Log-probabilities under the reference policy.
    pub reference_log_probs: Option<Tensor<2>>,
    /// The advantage of each token's step.
    pub advantages: Tensor<2>,
    /// What each token weighs, 0 where there is none. The weights of a minibatch add up to 1; those
    /// of a part of it to the part's share.
    pub weights: Tensor<2>,
}

/// The loss and what it is made of, each a weighted mean over tokens of shape `[1]`.
#[derive(Debug, Clone)]
pub struct Loss {
    /// What is descended.
    pub total: Tensor<1>,
    /// Minus the clipped surrogate.
    pub policy: Tensor<1>,
    /// Divergence from the reference policy; 0 without one.
    pub kl: Tensor<1>,
    /// Entropy, in nats.
    pub entropy: Tensor<1>,
    /// Share of tokens whose ratio the clip changed the objective of.
    pub clip_fraction: Tensor<1>,
}

impl Loss {
    /// How many numbers a loss is.
    pub const NUMBERS: usize = 5;

    /// Total, policy, kl, entropy and clip fraction, in that order, without gradients.
    pub fn numbers(&self) -> Tensor<1> {
        let parts = [&self.total, &self.policy, &self.kl, &self.entropy, &self.clip_fraction];
        Tensor::cat(parts.into_iter().map(|part| part.clone().without_autodiff()).collect(), 0)
    }
}

/// Differences of log-probabilities are held within this bound, so that their exponential is finite.
const MAX_LOG_RATIO: f32 = 20.0;

/// Computes the loss.
pub fn loss(inputs: LossInputs, config: &UpdateConfig) -> Loss {
    let LossInputs { scores, old_log_probs, reference_log_probs, advantages, weights } = inputs;
    let mean = |values: Tensor<2>| (values * weights.clone()).sum();

    let log_ratio = (scores.log_probs.clone() - old_log_probs).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO);
    let ratio = log_ratio.exp();
    let clipped = ratio.clone().clamp(1.0 - config.clip_low, 1.0 + config.clip_high);
    let free = ratio * advantages.clone();
    let bound = clipped * advantages;
    let clip_fraction = mean(bound.clone().lower(free.clone()).float()).detach();
    let policy = mean(free.min_pair(bound)).neg();

    let kl = match reference_log_probs {
        Some(reference) => {
            let log_ratio = (reference - scores.log_probs).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO);
            mean(log_ratio.clone().exp() - log_ratio - 1.0)
        }
        None => policy.zeros_like(),
    };
    let entropy = mean(scores.entropy);
    let total = policy.clone() + kl.clone().mul_scalar(config.kl_weight)
        - entropy.clone().mul_scalar(config.entropy_weight);
    Loss { total, policy, kl, entropy, clip_fraction }
}

/// What a policy descends that imitates: minus the weighted mean log-probability of given responses.
pub(super) fn imitation_loss(scores: TokenScores, weights: Tensor<2>) -> Loss {
    let mean = |values: Tensor<2>| (values * weights.clone()).sum();
    let total = mean(scores.log_probs).neg();
    let none = total.zeros_like();
    Loss {
        policy: total.clone(),
        kl: none.clone(),
        entropy: mean(scores.entropy),
        clip_fraction: none,
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

    /// The formulas at the head of this file, token by token in f64.
    #[test]
    fn agrees_with_the_formulas() {
        let config = UpdateConfig {
            clip_low: 0.2,
            clip_high: 0.3,
            kl_weight: 0.5,
            entropy_weight: 0.25,
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
                scores: TokenScores { log_probs: tensor(log_probs), entropy: tensor(entropy) },
                old_log_probs: tensor(old),
                reference_log_probs: Some(tensor(reference)),
                advantages: tensor(advantages),
                weights: tensor(
                    present.map(|row| row.map(|token| f32::from(u8::from(token)) / 3.0)),
                ),
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
        close(scalar(result.total), (policy + 0.5 * kl - 0.25 * bonus) / tokens);
    }
}
