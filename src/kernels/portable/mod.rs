//! The operations in plain tensor operations: the readable statement of what the kernels compute,
//! and what runs on devices that have no kernel. Pairs of rows are laid out group by group.

mod advantages;
mod array;
mod proximity;
mod returns;

pub(super) use advantages::episode_advantages;
pub(super) use proximity::{proximity, proximity_gradients};
pub(super) use returns::discounted_returns;

#[cfg(test)]
mod tests;
