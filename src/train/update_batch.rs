//! The input of an iteration's updates.

use super::update_config::UpdateConfig;
use crate::rollout::RolloutBatch;
use crate::stream::Stream;

/// The rows of one iteration with their advantages, and how to update from them.
pub struct UpdateBatch<'a, I> {
    /// The rollout.
    pub batch: &'a RolloutBatch<I>,
    /// `[rows]`: advantage of each step.
    pub advantages: &'a [f32],
    /// `[rows]`: the return that the value of each state is trained towards. Empty: no value is trained.
    pub returns: &'a [f32],
    /// Temperature at which the responses were sampled.
    pub temperature: f32,
    /// Settings of the update.
    pub config: &'a UpdateConfig,
    /// Learning rate of this iteration.
    pub learning_rate: f64,
    /// Random stream of the order of rows.
    pub shuffle: Stream,
}
