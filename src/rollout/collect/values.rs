//! The values of the states of played episodes, by the policy that played them.

use burn::tensor::Tensor;

use super::{Episode, Steps};
use crate::episodes::Values;
use crate::error::{Error, Result};
use crate::policy::{Encoder, Inputs, InputsOf, Policy, read_parts};
use crate::rollout::snapshot::Snapshot;

/// Number of rows whose values are computed at a time. It is fixed, because the last digits of a value may
/// depend on the batch.
const ROWS_PER_PART: usize = 256;

/// The values of the states of all episodes. That of the state after an episode's last step is 0, unless
/// the step limit cut the episode short.
///
/// # Errors
/// Fails if the device does, and if a value is NaN or infinite.
pub(super) async fn estimate<P: Policy>(
    policy: &P,
    encoder: &P::Encoder,
    kept: &mut [Episode<<P::Encoder as Encoder>::Memory>],
    steps: &mut Steps<<P::Encoder as Encoder>::Inputs>,
) -> Result<Values> {
    let mut rows: Vec<usize> = kept.iter().flat_map(|episode| episode.rows.clone()).collect();
    let played = rows.len();
    let mut cut = Vec::new();
    for (number, episode) in kept.iter_mut().enumerate() {
        let Snapshot { observation, admissible, transition, .. } = episode.session.snapshot();
        if transition.truncated && !transition.terminated {
            cut.push(number);
            // These rows come after all that were played, and no update reads them.
            rows.push(steps.inputs.len());
            encoder.encode(&mut episode.memory, observation, admissible, &mut steps.inputs);
        }
    }
    let mut states = read_values(policy, &steps.inputs, &rows).await?;
    let mut ends = vec![0.0; kept.len()];
    for (number, value) in cut.into_iter().zip(states.split_off(played)) {
        ends[number] = value;
    }
    Ok(Values { states, ends })
}

/// The estimated values of the states of `rows`: `[rows]`.
///
/// # Errors
/// Fails if the device does, and if a value is NaN or infinite.
async fn read_values<P: Policy>(
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
