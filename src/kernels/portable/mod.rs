//! The operations in plain tensor operations: a readable statement of the kernels, and the body of devices
//! without kernels. Pairs of rows are laid out group by group.

mod advantages;
mod array;
mod cached_attention;
mod layers;
mod proximity;
mod returns;
mod token_log_probs;

pub(super) use advantages::episode_advantages;
pub(super) use cached_attention::cached_attention;
pub(super) use layers::{
    adamw, causal_softmax, causal_softmax_gradient, rms_norm, rms_norm_gradients, rotate, swiglu,
    swiglu_gradients,
};
pub(super) use proximity::{proximity, proximity_gradients};
pub(super) use returns::discounted_returns;
pub(super) use token_log_probs::{logit_gradients, logit_statistics};

#[cfg(test)]
mod tests;
