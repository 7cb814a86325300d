//! The clipped surrogate objective.

use burn::tensor::{Bool, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The probability ratio of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ratio {
    /// The token's own (PPO).
    #[default]
    Token,
    /// The geometric mean over the response's tokens (GSPO, arXiv 2507.18071, equation 7).
    Sequence,
}

/// Settings of [`clipped_surrogate`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossConfig {
    /// Probability ratios are clipped from below at `1 - clip_low`.
    pub clip_low: f32,
    /// Probability ratios are clipped from above at `1 + clip_high`.
    pub clip_high: f32,
    /// Bound of the objective of a negative advantage, as a multiple of it (dual clip, arXiv 1912.09729,
    /// equation 5). Above 1, or 0 for none.
    pub dual_clip: f32,
    /// The probability ratio that is clipped.
    pub ratio: Ratio,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self { clip_low: 0.2, clip_high: 0.2, dual_clip: 0.0, ratio: Ratio::Token }
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

    /// The mean of each row over its tokens that are not padding, repeated for every token.
    fn row_means(&self, values: Tensor<2>) -> Tensor<2> {
        let shape = values.dims();
        let present = self.0.clone().greater_elem(0.0).float();
        let count = present.clone().sum_dim(1).clamp_min(1.0);
        ((values * present).sum_dim(1) / count).expand(shape)
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
/// With a dual clip `c`, the objective of a token with `A < 0` is at least `c A`. With
/// [`Ratio::Sequence`], `r` is the exponential of the mean of `l - l_old` over the row's tokens.
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
    let log_ratio = match config.ratio {
        Ratio::Token => log_ratio,
        Ratio::Sequence => weights.row_means(log_ratio),
    };
    let ratio = log_ratio.exp();
    let clipped = ratio.clone().clamp(1.0 - config.clip_low, 1.0 + config.clip_high);
    let unclipped = ratio * advantages.clone();
    let clipped = clipped * advantages.clone();
    let is_clipped = clipped.clone().lower(unclipped.clone());
    let objective = unclipped.min_pair(clipped);
    if config.dual_clip == 0.0 {
        let clip_fraction = weights.mean(is_clipped.float()).detach();
        return SurrogateLoss { loss: weights.mean(objective).neg(), clip_fraction };
    }
    // For a positive advantage the bound must not bind.
    let is_negative = advantages.clone().lower_elem(0.0);
    let bound = advantages.mul_scalar(config.dual_clip);
    let is_bounded = objective.clone().lower(bound.clone()).bool_and(is_negative);
    let clip_fraction = weights.mean(is_clipped.bool_or(is_bounded.clone()).float()).detach();
    let objective = objective.mask_where(is_bounded, bound);
    SurrogateLoss { loss: weights.mean(objective).neg(), clip_fraction }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::read;
    use burn::tensor::Device;
    use proptest::prelude::*;

    /// The formula token by token in f64: the loss, the clip fraction and d loss / d log-probability.
    /// A row has `WIDTH` tokens.
    fn reference(tokens: &[Token], config: &LossConfig) -> (f64, f64, Vec<f64>) {
        let (low, high) = (1.0 - f64::from(config.clip_low), 1.0 + f64::from(config.clip_high));
        let count = tokens.iter().filter(|token| token.3).count().max(1) as f64;
        let (mut loss, mut clipped, mut gradient) = (0.0, 0.0, Vec::new());
        let log_ratio = |token: &Token| f64::from(token.0) - f64::from(token.1);
        for row in tokens.chunks(WIDTH) {
            let present: Vec<&Token> = row.iter().filter(|token| token.3).collect();
            let mean = present.iter().map(|token| log_ratio(token)).sum::<f64>()
                / present.len().max(1) as f64;
            let mut slopes = Vec::new();
            for token in row {
                let ratio = match config.ratio {
                    Ratio::Token => log_ratio(token),
                    Ratio::Sequence => mean,
                }
                .exp();
                let advantage = f64::from(token.2);
                let (free, bound) = (ratio * advantage, ratio.clamp(low, high) * advantage);
                let least = f64::from(config.dual_clip) * advantage;
                let is_bounded =
                    config.dual_clip > 0.0 && advantage < 0.0 && free.min(bound) < least;
                let share = f64::from(u8::from(token.3)) / count;
                let is_clipped = bound < free || is_bounded;
                loss -= share * if is_bounded { least } else { free.min(bound) };
                clipped += share * f64::from(u8::from(is_clipped));
                slopes.push(if is_clipped { 0.0 } else { -share * free });
            }
            let total: f64 = slopes.iter().sum();
            gradient.extend(row.iter().zip(&slopes).map(|(token, slope)| match config.ratio {
                Ratio::Token => *slope,
                Ratio::Sequence if token.3 => total / present.len() as f64,
                Ratio::Sequence => 0.0,
            }));
        }
        (loss, clipped, gradient)
    }

    /// Tokens of a row.
    const WIDTH: usize = 2;

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
            dual_clip in prop::sample::select(vec![0f32, 1.5, 3.0]),
            ratio in prop::sample::select(vec![Ratio::Token, Ratio::Sequence]),
        ) {
            let config = LossConfig { clip_low, clip_high, dual_clip, ratio };
            let device = Device::flex().autodiff();
            let matrix = |values: Vec<f32>| {
                Tensor::<1>::from_floats(values.as_slice(), &device).reshape([3, WIDTH])
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
