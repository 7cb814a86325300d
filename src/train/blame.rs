//! Where a number that is not finite comes from.

use super::update::Lesson;
use crate::device::read;
use crate::error::Result;
use crate::policy::{Encoder, Policy};
use crate::rollout::RolloutBatch;

/// Names the first row of a minibatch with a number that is not finite, and that number.
///
/// # Errors
/// Fails where the device does.
pub(super) fn blame<P: Policy>(
    policy: &P,
    lesson: &Lesson<<P::Encoder as Encoder>::Inputs>,
    rows: &[usize],
) -> Result<String> {
    let batch = lesson.batch;
    let responses = batch.responses.select(rows);
    let scores = policy.valid().evaluate(&batch.inputs, rows, &responses, lesson.temperature);
    let width = responses.width();
    let scores = read(scores.log_probs)?;
    for (&row, scores) in rows.iter().zip(scores.chunks_exact(width)) {
        let old = &batch.responses.log_probs[batch.responses.range(row)];
        let numbers = [
            ("advantage", lesson.advantages.get(row..=row).unwrap_or_default()),
            ("log-probability when it was played", old),
            ("log-probability under the policy", &scores[..old.len()]),
        ];
        for (what, values) in numbers {
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                return Ok(format!("{}: its {what} is {value}", place(batch, row)));
            }
        }
    }
    Ok("every row's own numbers are finite, so it is the gradient that overflows".into())
}

/// A row's group, episode and step in words.
pub(super) fn place<I>(batch: &RolloutBatch<I>, row: usize) -> String {
    let layout = batch.data.layout();
    let episode = layout.episode_of_row(row);
    let group = layout.group_of_episode(episode);
    let step = row - layout.rows_of_episode(episode).start;
    let episode = episode - layout.episodes_of_group(group).start;
    format!("row {row} (group {group}, episode {episode}, step {})", step + 1)
}
