//! How far a collection of episodes is.

/// How far a collection of episodes is. Episodes that are played again count again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CollectionProgress {
    /// Episodes to play.
    pub episodes: usize,
    /// Those of them that have begun.
    pub started: usize,
    /// Those of them that have ended.
    pub ended: usize,
    /// Steps taken in them.
    pub steps: usize,
}
