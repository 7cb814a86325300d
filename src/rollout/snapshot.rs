//! The state of an episode between two steps.

use crate::env::{Session, Texts, Transition};

/// The state of an episode after its start or after a step. All values have been checked.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The observation.
    pub observation: String,
    /// The actions to choose from.
    pub admissible: Texts,
    /// The last step; all zero before the first one.
    pub transition: Transition,
}

impl Snapshot {
    /// Reads the current texts of a session.
    pub(super) fn read(&mut self, session: &dyn Session) {
        self.observation.clear();
        self.admissible.clear();
        session.observe(&mut self.observation);
        session.choices(&mut self.admissible);
    }
}
