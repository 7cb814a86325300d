//! The operations on the CPU backends.

mod episodes;
mod lanes;
mod proximity;
mod tensors;
mod units;

pub(super) use episodes::{discounted_returns, episode_advantages};
pub(super) use proximity::{GradientInputs, proximity, proximity_gradients};
