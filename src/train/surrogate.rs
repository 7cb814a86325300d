//! The clipped surrogate objective.

use burn::tensor::{Bool, Tensor};

/// Settings of [`clipped_surrogate`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossConfig {
    /// Probability ratios are clipped from below at `1 - clip_low`.
    pub clip_low: f32,
    /// Probability ratios are clipped from above at `1 + clip_high`.
    pub clip_high: f32,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self { clip_low: 0.2, clip_high: 0.2 }
    }
}

/// The weight of each token in a mean, of shape `[rows, tokens]`; 0 for padding.
#[derive(Debug, Clone)]
pub struct TokenWeights(Tensor<2>);

impl TokenWeights {
    /// The weighted sum of values of shape `[rows, tokens]`: a mean if the weights add up to 1.
    pub fn mean(&self, values: Tensor<2>) -> Tensor<1> {
        (values * self.0.clone()).sum()
    }
}

/// Weights as given.
impl From<Tensor<2>> for TokenWeights {
    fn from(weights: Tensor<2>) -> Self {
        Self(weights)
    }
}

/// Equal weights, which add up to 1, for the tokens of a mask. Without any token all weights are 0.
impl From<Tensor<2, Bool>> for TokenWeights {
    fn from(mask: Tensor<2, Bool>) -> Self {
        let mask = mask.float();
        let count = mask.clone().sum().clamp_min(1.0);
        Self(mask / count.unsqueeze())
    }
}

/// The loss of [`clipped_surrogate`] and its statistics, each of shape `[1]`.
#[derive(Debug, Clone)]
pub struct SurrogateLoss {
    /// Minus the mean clipped surrogate: minimise this.
    pub loss: Tensor<1>,
    /// Fraction of tokens whose objective the clip reduced. It has no gradient.
    pub clip_fraction: Tensor<1>,
}

/// Bound of differences of log-probabilities, so that their exponential is finite.
pub(super) const MAX_LOG_RATIO: f32 = 20.0;

/// The clipped surrogate objective of PPO (Schulman et al. 2017, equation 7), as a loss.
///
/// For every token with log-probability `l` under the policy, `l_old` when it was sampled, advantage
/// `A` and ratio `r = exp(l - l_old)`:
///
/// ```text
/// loss = - mean over tokens of min( r A, clip(r, 1 - clip_low, 1 + clip_high) A )
/// ```
///
/// All tensors have the shape `[rows, tokens]`. A row is a response; its advantage is repeated for each
/// of its tokens. `mask` is a boolean tensor of the tokens that exist, whose mean is taken with equal
/// weights, or a float tensor with a weight per token. Padding must be finite. The gradient flows
/// through `log_probs` alone. `l - l_old` is clamped to [-20, 20].
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use proxmo::train::{LossConfig, clipped_surrogate};
///
/// let device = Device::flex();
/// let log_probs = Tensor::<2>::from_data([[-0.5], [-1.0]], &device);
/// let old_log_probs = Tensor::<2>::from_data([[-1.0], [-1.0]], &device);
/// let advantages = Tensor::<2>::from_data([[1.0], [-2.0]], &device);
/// let mask = Tensor::<2>::ones([2, 1], &device).bool();
/// let surrogate =
///     clipped_surrogate(log_probs, old_log_probs, advantages, mask, &LossConfig::default());
/// // -(min(e^0.5 · 1, 1.2 · 1) + 1 · -2) / 2
/// assert!((surrogate.loss.into_scalar::<f32>() - 0.4).abs() < 1e-6);
/// assert_eq!(surrogate.clip_fraction.into_scalar::<f32>(), 0.5);
/// ```
pub fn clipped_surrogate(
    log_probs: Tensor<2>,
    old_log_probs: Tensor<2>,
    advantages: Tensor<2>,
    mask: impl Into<TokenWeights>,
    config: &LossConfig,
) -> SurrogateLoss {
    let weights = mask.into();
    let log_ratio = (log_probs - old_log_probs).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO);
    let ratio = log_ratio.exp();
    let clipped = ratio.clone().clamp(1.0 - config.clip_low, 1.0 + config.clip_high);
    let unclipped = ratio * advantages.clone();
    let clipped = clipped * advantages;
    let clip_fraction = weights.mean(clipped.clone().lower(unclipped.clone()).float()).detach();
    SurrogateLoss { loss: weights.mean(unclipped.min_pair(clipped)).neg(), clip_fraction }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::read;
    use burn::tensor::Device;
    use proptest::prelude::*;

    /// The formula token by token in f64: the loss, the clip fraction and d loss / d log-probability.
    fn reference(tokens: &[(f32, f32, f32, bool)], config: &LossConfig) -> (f64, f64, Vec<f64>) {
        let (low, high) = (1.0 - f64::from(config.clip_low), 1.0 + f64::from(config.clip_high));
        let count = tokens.iter().filter(|token| token.3).count().max(1) as f64;
        let (mut loss, mut clipped, mut gradient) = (0.0, 0.0, Vec::new());
        for &(log_prob, old, advantage, present) in tokens {
            let ratio = (f64::from(log_prob) - f64::from(old)).exp();
            let (free, bound) =
                (ratio * f64::from(advantage), ratio.clamp(low, high) * f64::from(advantage));
            let share = f64::from(u8::from(present)) / count;
            loss -= share * free.min(bound);
            clipped += share * f64::from(u8::from(bound < free));
            gradient.push(if bound < free { 0.0 } else { -share * free });
        }
        (loss, clipped, gradient)
    }

    /// Log-probability, old log-probability, advantage, and whether the mask has it.
    type Token = (f32, f32, f32, bool);

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn loss_and_gradient_agree_with_the_formula(
            tokens in prop::collection::vec(
                (-3f32..0.0, -3f32..0.0, -2f32..2.0, any::<bool>()), 6..7),
            clip_low in 0f32..0.9,
            clip_high in 0f32..2.0,
        ) {
            let config = LossConfig { clip_low, clip_high };
            let device = Device::flex().autodiff();
            let matrix = |values: Vec<f32>| {
                Tensor::<1>::from_floats(values.as_slice(), &device).reshape([3, 2])
            };
            let column = |value: fn(&Token) -> f32| matrix(tokens.iter().map(value).collect());
            let log_probs = column(|token| token.0).require_grad();
            let mask = column(|token| f32::from(u8::from(token.3))).bool();
            let found = clipped_surrogate(
                log_probs.clone(),
                column(|token| token.1),
                column(|token| token.2),
                mask,
                &config,
            );
            let gradients = found.loss.clone().backward();
            let gradient = read(log_probs.grad(&gradients).unwrap()).unwrap();
            let (loss, clipped, expected) = reference(&tokens, &config);
            let close = |found: f32, expected: f64| (f64::from(found) - expected).abs() < 1e-5 * (1.0 + expected.abs());
            prop_assert!(close(read(found.loss).unwrap()[0], loss));
            prop_assert!(close(read(found.clip_fraction).unwrap()[0], clipped));
            for (found, expected) in gradient.into_iter().zip(expected) {
                prop_assert!(close(found, expected), "{} {}", found, expected);
            }
        }
    }

    #[test]
    fn weights_take_the_place_of_a_mask_and_an_empty_mask_gives_zero() {
        let device = Device::flex();
        let tensor = |values: [[f32; 2]; 1]| Tensor::<2>::from_data(values, &device);
        let loss = |mask: TokenWeights| {
            let loss = clipped_surrogate(
                tensor([[-1.0, -1.0]]),
                tensor([[-1.0, -1.0]]),
                tensor([[1.0, 3.0]]),
                mask,
                &LossConfig::default(),
            );
            read(loss.loss).unwrap()[0]
        };
        assert_eq!(loss(tensor([[1.0, 1.0]]).bool().into()), -2.0);
        assert_eq!(loss(tensor([[0.25, 0.5]]).into()), -1.75);
        assert_eq!(loss(tensor([[0.0, 0.0]]).bool().into()), 0.0);
    }
}
