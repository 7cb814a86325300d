//! Statistics of an iteration's rollout, including groups that the update leaves out.

use crate::policy::Inputs;
use crate::rollout::RolloutBatch;

/// Counts over all groups of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct RolloutStatistics {
    groups: usize,
    mixed_groups: usize,
    episodes: usize,
    successes: usize,
    reward: f64,
    invalid: usize,
    /// Episodes lost to environment errors. No other count includes them.
    pub environment_errors: usize,
    /// Environment steps.
    pub steps: usize,
}

impl RolloutStatistics {
    /// Adds the groups of a batch.
    pub fn add<I: Inputs>(&mut self, batch: &RolloutBatch<I>) {
        let successes = |episodes: std::ops::Range<usize>| {
            batch.data.success()[episodes].iter().filter(|&&success| success).count()
        };
        for group in batch.data.layout().group_episodes() {
            let (episodes, won) = (group.len(), successes(group));
            self.mixed_groups += usize::from(won > 0 && won < episodes);
        }
        self.groups += batch.groups();
        self.episodes += batch.episodes();
        self.successes += successes(0..batch.episodes());
        self.reward += batch.data.rewards().iter().sum::<f64>();
        self.invalid += batch.data.valid().iter().filter(|&&valid| !valid).count();
        self.steps += batch.rows();
        self.environment_errors += batch.errors.len();
    }

    /// Fraction of episodes that reached their goal.
    pub fn success(&self) -> f64 {
        self.successes as f64 / self.episodes.max(1) as f64
    }

    /// Mean summed reward of an episode.
    pub fn mean_return(&self) -> f64 {
        self.reward / self.episodes.max(1) as f64
    }

    /// Mean number of steps of an episode.
    pub fn length(&self) -> f64 {
        self.steps as f64 / self.episodes.max(1) as f64
    }

    /// Fraction of steps whose action was not admissible.
    pub fn invalid(&self) -> f64 {
        self.invalid as f64 / self.steps.max(1) as f64
    }

    /// Fraction of groups with both successful and failed episodes.
    pub fn mixed_groups(&self) -> f64 {
        self.mixed_groups as f64 / self.groups.max(1) as f64
    }
}
