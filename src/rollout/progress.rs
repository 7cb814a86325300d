//! How far a collection of episodes is.

/// How far a collection of episodes is. Episodes that are lost and played again begin again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CollectionProgress {
    /// Episodes to play.
    pub episodes: usize,
    /// Those of them that have begun.
    pub started: usize,
    /// Those of them that have ended.
    pub ended: usize,
    /// Those of the ended ones that reached their goal. `None` as long as none has told.
    pub won: Option<usize>,
    /// Steps taken, also in episodes that were lost.
    pub steps: usize,
    /// Those of them in episodes that have begun and not ended.
    pub open_steps: usize,
}

impl CollectionProgress {
    /// The progress of this collection and of one that is complete.
    pub(super) fn after(self, complete: Self) -> Self {
        let won = self.won.into_iter().chain(complete.won).reduce(|own, before| own + before);
        Self {
            episodes: self.episodes + complete.episodes,
            started: self.started + complete.started,
            ended: self.ended + complete.ended,
            won,
            steps: self.steps + complete.steps,
            open_steps: self.open_steps + complete.open_steps,
        }
    }
}
