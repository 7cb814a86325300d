//! The origin of a NaN or infinite value.

use super::update_batch::UpdateBatch;
use crate::device::read_async;
use crate::error::Result;
use crate::policy::{InputsOf, Policy};
use crate::rollout::RolloutBatch;

/// Describes the first row of a minibatch that has a NaN or infinite value, and that value.
///
/// # Errors
/// Fails if the device fails.
pub(super) async fn describe_non_finite<P: Policy>(
    policy: &P,
    update: &UpdateBatch<'_, InputsOf<P>>,
    rows: &[usize],
) -> Result<String> {
    let batch = update.batch;
    let responses = batch.responses.select(rows);
    let scores = policy.valid().evaluate(&batch.inputs, rows, &responses, update.temperature);
    let width = responses.width();
    let scores = read_async(scores.log_probs).await?;
    for (&row, scores) in rows.iter().zip(scores.chunks_exact(width)) {
        let old = &batch.responses.log_probs[batch.responses.range(row)];
        let candidates = [
            ("advantage", update.advantages.get(row..=row).unwrap_or_default()),
            ("return", update.returns.get(row..=row).unwrap_or_default()),
            ("log-probability when it was sampled", old),
            ("log-probability under the policy", &scores[..old.len()]),
        ];
        for (name, values) in candidates {
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                return Ok(format!("{}: its {name} is {value}", describe_row(batch, row)));
            }
        }
    }
    Ok("the values of every row are finite, so the gradient overflows".into())
}

/// The group, episode and step of a row, for messages.
pub(super) fn describe_row<I>(batch: &RolloutBatch<I>, row: usize) -> String {
    let layout = batch.data.layout();
    let episode = layout.episode_of_row(row);
    let group = layout.group_of_episode(episode);
    let step = row - layout.rows_of_episode(episode).start;
    let episode = episode - layout.episodes_of_group(group).start;
    format!("row {row} (group {group}, episode {episode}, step {})", step + 1)
}
