//! Plays a plan in parts, each on one rank.

use std::ops::Range;

use web_time::Instant;

use super::batch::RolloutBatch;
use super::collect::{Plan, collect_watched_async};
use super::limits::Limits;
use super::progress::CollectionProgress;
use super::replay::{Demonstration, replay_from};
use crate::env::Environment;
use crate::error::Result;
use crate::policy::{Encoder, Inputs, InputsOf, Policy};
use crate::ranks::Ranks;

/// A collection of all ranks, and what this rank did of it.
pub(crate) struct Collected<I> {
    /// The episodes of all ranks, in the order of the plan.
    pub batch: RolloutBatch<I>,
    /// Environment steps of this rank.
    pub steps: usize,
    /// Seconds that it played.
    pub seconds: f64,
}

/// Plays a plan: its groups are divided into [parts](Ranks::parts) that are played one by one, each in
/// lock-step, by the rank that it belongs to. All ranks get the whole batch.
///
/// The last digits of a policy's answers may depend on the episodes that it plays at the same time, and so
/// on the number of parts; the number of ranks changes nothing.
///
/// # Errors
/// Returns an error if more episodes are lost than the limits allow, or if the policy, the device or
/// another rank fails.
pub(crate) async fn collect_parts_async<P: Policy>(
    environment: &dyn Environment,
    policy: &P,
    encoder: &P::Encoder,
    plan: &Plan<'_>,
    limits: &Limits,
    ranks: &Ranks,
    watch: &mut dyn FnMut(CollectionProgress),
) -> Result<Collected<<P::Encoder as Encoder>::Inputs>> {
    let begun = Instant::now();
    let parts = divided(plan.tasks.len(), ranks.parts());
    let own: Vec<Range<usize>> =
        ranks.own(parts.len()).into_iter().map(|part| parts[part].clone()).collect();
    let episodes = |part: &Range<usize>| part.len() * plan.episodes;
    let total: usize = own.iter().map(episodes).sum();
    let mut before = CollectionProgress::default();
    let mut played: Result<Vec<RolloutBatch<InputsOf<P>>>> = Ok(Vec::new());
    let mut steps = 0;
    for part in &own {
        let Ok(batches) = &mut played else { break };
        let first_group = plan.first_group + part.start;
        let its = Plan { tasks: &plan.tasks[part.clone()], first_group, ..plan.clone() };
        let mut last = before;
        let mut watch = |progress: CollectionProgress| {
            last = progress.after(before);
            watch(CollectionProgress { episodes: total, ..last });
        };
        match collect_watched_async(environment, policy, encoder, &its, limits, &mut watch).await {
            Ok(mut batch) => {
                let losses = batch.errors.iter_mut().chain(&mut batch.replayed);
                losses.for_each(|loss| loss.group += part.start);
                before = last;
                steps += batch.rows();
                batches.push(batch);
            }
            Err(error) => played = Err(error),
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let batches =
        ranks.gather(parts.len(), played, RolloutBatch::to_bytes, RolloutBatch::from_bytes)?;
    let batch = whole(batches)?;
    limits.check(&batch.errors)?;
    Ok(Collected { batch, steps, seconds })
}

/// [`replay`](super::replay) of demonstrations, of which each rank replays some. All ranks get the whole
/// batch.
///
/// # Errors
/// As [`replay`](super::replay), on all ranks.
pub(crate) fn replay_parts<E: Encoder>(
    environment: &dyn Environment,
    encoder: &E,
    demonstrations: &[Demonstration],
    seed: u64,
    ranks: &Ranks,
) -> Result<RolloutBatch<E::Inputs>> {
    let parts = divided(demonstrations.len(), ranks.parts());
    let own = ranks.own(parts.len()).into_iter().map(|part| {
        let part = parts[part].clone();
        replay_from(environment, encoder, &demonstrations[part.clone()], seed, part.start)
    });
    let batches = ranks.gather(
        parts.len(),
        own.collect(),
        RolloutBatch::to_bytes,
        RolloutBatch::from_bytes,
    )?;
    whole(batches)
}

/// The batch that parts make up.
fn whole<I: Inputs>(batches: Vec<RolloutBatch<I>>) -> Result<RolloutBatch<I>> {
    let mut batches = batches.into_iter();
    let mut batch = batches.next().unwrap_or_default();
    batches.try_for_each(|further| batch.append(further))?;
    Ok(batch)
}

/// `count` things in at most `parts` adjacent parts of about the same size, none empty.
pub(crate) fn divided(count: usize, parts: usize) -> Vec<Range<usize>> {
    let parts = parts.min(count);
    (0..parts).map(|part| part * count / parts..(part + 1) * count / parts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_adjacent_and_none_is_empty() {
        assert_eq!(divided(7, 3), [0..2, 2..4, 4..7]);
        assert_eq!(divided(2, 4), [0..1, 1..2]);
        assert_eq!(divided(5, 1), std::slice::from_ref(&(0..5)));
        assert!(divided(0, 3).is_empty());
    }
}
