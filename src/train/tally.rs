//! What an iteration's play came to, be it learned from or not.

use crate::policy::Inputs;
use crate::rollout::RolloutBatch;

/// Counts over all groups that were played.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Tally {
    groups: usize,
    mixed_groups: usize,
    episodes: usize,
    won: usize,
    reward: f64,
    invalid: usize,
    /// Episodes that were lost to their environment, and are in no other number.
    pub environment_errors: usize,
    /// Environment steps.
    pub steps: usize,
}

impl Tally {
    /// Counts a batch's groups too.
    pub fn add<I: Inputs>(&mut self, batch: &RolloutBatch<I>) {
        let won = |episodes: std::ops::Range<usize>| {
            batch.data.success()[episodes].iter().filter(|&&won| won).count()
        };
        for group in batch.data.layout().group_episodes() {
            let (episodes, won) = (group.len(), won(group));
            self.mixed_groups += usize::from(won > 0 && won < episodes);
        }
        self.groups += batch.groups();
        self.episodes += batch.episodes();
        self.won += won(0..batch.episodes());
        self.reward += batch.data.rewards().iter().map(|&reward| f64::from(reward)).sum::<f64>();
        self.invalid += batch.data.valid().iter().filter(|&&valid| !valid).count();
        self.steps += batch.rows();
        self.environment_errors += batch.errors.len();
    }

    /// Share of episodes that reached their goal.
    pub fn success(&self) -> f64 {
        self.won as f64 / self.episodes.max(1) as f64
    }

    /// Mean summed reward of an episode.
    pub fn mean_return(&self) -> f64 {
        self.reward / self.episodes.max(1) as f64
    }

    /// Mean number of steps of an episode.
    pub fn length(&self) -> f64 {
        self.steps as f64 / self.episodes.max(1) as f64
    }

    /// Share of steps whose action was not admissible.
    pub fn invalid(&self) -> f64 {
        self.invalid as f64 / self.steps.max(1) as f64
    }

    /// Share of groups in which some episodes won and some did not.
    pub fn mixed_groups(&self) -> f64 {
        self.mixed_groups as f64 / self.groups.max(1) as f64
    }
}
