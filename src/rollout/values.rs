//! The values of the states of played episodes, by the policy that played them.

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::policy::{InputsOf, Policy, read_parts};

/// Number of rows whose values are computed at a time. It is fixed, because the last digits of a value may
/// depend on the batch.
const ROWS_PER_PART: usize = 256;

/// The estimated values of the states of `rows`: `[rows]`.
///
/// # Errors
/// Fails if the device does, and if a value is NaN or infinite.
pub(super) async fn read_values<P: Policy>(
    policy: &P,
    inputs: &InputsOf<P>,
    rows: &[usize],
) -> Result<Vec<f64>> {
    let device = policy.devices().into_iter().next().unwrap_or_default();
    let parts: Vec<&[usize]> = rows.chunks(ROWS_PER_PART).collect();
    let compute = |part: usize| {
        let values = policy.values(inputs, parts[part]);
        values.unwrap_or_else(|| Tensor::zeros([parts[part].len()], &device))
    };
    let values = read_parts(&device, parts.len(), compute).await?.concat();
    match values.iter().find(|value| !value.is_finite()) {
        None => Ok(values.into_iter().map(f64::from).collect()),
        Some(value) => Err(Error::Run(format!(
            "the policy's estimate of a state's value is {value}; its weights have diverged, resume \
             from an earlier checkpoint with a lower update.learning_rate"
        ))),
    }
}
