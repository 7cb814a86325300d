//! How far an iteration is.

use crate::rollout::CollectionProgress;

/// How far an iteration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IterationProgress {
    /// Its episodes are being played.
    Collecting(CollectionProgress),
    /// The policy is being updated.
    Updating(UpdateProgress),
}

/// How far the updates of an iteration are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateProgress {
    /// Updates done.
    pub done: usize,
    /// Updates of the iteration.
    pub total: usize,
}
