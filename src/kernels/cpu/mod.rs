//! The operations on the CPU backends.

mod cached_attention;
mod episodes;
mod lanes;
mod layers;
mod proximity;
mod tensors;
mod token_log_probs;
mod units;
mod vectors;

pub(super) use cached_attention::cached_attention;
pub(super) use episodes::{discounted_returns, episode_advantages};
#[cfg(feature = "lm")]
pub(crate) use lanes::softmax_weights;
pub(super) use layers::{
    adamw, causal_softmax, causal_softmax_gradient, rms_norm, rms_norm_gradients, rotate, swiglu,
    swiglu_gradients,
};
pub(super) use proximity::{GradientInputs, proximity, proximity_gradients};
#[cfg(feature = "lm")]
pub(crate) use token_log_probs::log_sum_and_entropy;
pub(super) use token_log_probs::{logit_gradients, logit_statistics};
