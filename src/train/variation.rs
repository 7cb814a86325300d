//! Variations of tasks, others in each iteration.

use rand::RngCore;

use super::config::Config;
use super::imitation_config::EXPERT;
use crate::env::Environment;
use crate::stream::{Purpose, Stream};

impl Config {
    /// The variation of an environment whose tasks are played in an iteration, or `None` if the tasks
    /// themselves are: if the settings ask for no variations, if demonstrations do not come from the
    /// expert, or if the environment cannot vary its tasks.
    pub fn variation(
        &self,
        environment: &dyn Environment,
        iteration: u64,
    ) -> Option<Box<dyn Environment>> {
        let plays = self.imitation.from.is_empty() || self.imitation.from == EXPERT;
        if !(plays && self.rollout.vary_tasks) {
            return None;
        }
        let stream = Stream::new(self.run.seed, Purpose::Variation).at(iteration);
        environment.varied(stream.rng().next_u64())
    }

    /// Whether the expert plays new demonstrations for each iteration.
    pub fn renews_demonstrations(&self) -> bool {
        self.imitation.from == EXPERT && (self.imitation.noise > 0.0 || self.rollout.vary_tasks)
    }
}
