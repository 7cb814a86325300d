//! How far an iteration or an evaluation is.

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

/// How far an evaluation is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct EvaluationProgress {
    /// Tasks to play; of several ranks, those of this one.
    pub tasks: usize,
    /// Those of them that are done.
    pub done: usize,
    /// Those of the done ones whose goal was reached. `None` as long as none has told. Tasks that are played
    /// at the same time end the earlier the sooner they are won, so that this is no estimate of the end.
    pub won: Option<usize>,
    /// Estimate of the share of the work that is done, in [0, 1]: a task under way counts by its steps
    /// relative to the step limit.
    pub share: f64,
}
