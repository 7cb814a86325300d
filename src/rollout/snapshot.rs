//! The state of an episode between two steps.

use std::collections::BTreeMap;

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
    /// Further numbers of the episode so far, by name.
    pub metrics: BTreeMap<String, f64>,
}

impl Snapshot {
    /// Reads the current texts of a session.
    pub(super) fn read(&mut self, session: &dyn Session) {
        self.observation.clear();
        self.admissible.clear();
        session.observe(&mut self.observation);
        session.choices(&mut self.admissible);
        self.metrics.clear();
        session.metrics(&mut |name, number| {
            self.metrics.insert(name.to_string(), number);
        });
    }
}
