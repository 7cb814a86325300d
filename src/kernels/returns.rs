//! Discounted returns on tensors.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use super::backend::KernelBackend;
use super::shapes;
use crate::episodes::Layout;
use crate::error::{Error, Result};

/// The discounted return of every row, `G_t = r_t + γ · G_{t+1}`, from each episode's end: `[rows]`.
///
/// From a NaN or infinite reward back to the beginning of its episode, returns are NaN; later rows and
/// other episodes are not affected. Denormal rewards, and returns that would be denormal, may count as
/// 0. Returns are constants to autodiff.
///
/// # Errors
/// Fails if `rewards` is not one number a row, or `gamma` is not from 0 to 1.
pub fn discounted_returns(rewards: Tensor<1>, layout: &Layout, gamma: f64) -> Result<Tensor<1>> {
    if !(0.0..=1.0).contains(&gamma) {
        return Err(Error::setting("credit.gamma", format!("is {gamma}, expected from 0 to 1")));
    }
    shapes::vector("rewards", &rewards, layout.rows(), "row")?;
    if layout.rows() == 0 {
        return Ok(Tensor::zeros([0], &rewards.device()));
    }
    let gamma = gamma as f32;
    let returns = Dispatch::discounted_returns(rewards.into_dispatch(), layout.clone(), gamma);
    Ok(Tensor::from_dispatch(returns))
}
