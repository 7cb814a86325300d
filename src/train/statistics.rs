//! Statistics of an iteration's rollout, including groups that the update leaves out.

use std::collections::BTreeMap;

use super::evaluate::mean_ends;
use super::metrics::TokenMetrics;
use crate::policy::{Inputs, TokenUsage};
use crate::rollout::{EpisodeEnd, RolloutBatch};

/// Counts over all groups of a rollout.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct RolloutStatistics {
    groups: usize,
    mixed_groups: usize,
    zero_variance: usize,
    episodes: usize,
    successes: usize,
    lacks_success: bool,
    ends: Vec<EpisodeEnd>,
    reward: f64,
    invalid: usize,
    /// Episodes lost to environment errors. No other count includes them.
    pub environment_errors: usize,
    /// Environment steps.
    pub steps: usize,
    usage: TokenUsage,
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
        let groups = 0..batch.groups();
        self.zero_variance += groups.filter(|&group| batch.is_zero_variance(group)).count();
        self.groups += batch.groups();
        self.episodes += batch.episodes();
        self.successes += successes(0..batch.episodes());
        self.lacks_success |= !batch.data.has_success();
        self.ends.extend(batch.ends.iter().cloned());
        self.reward += batch.data.rewards().iter().sum::<f64>();
        self.invalid += batch.data.valid().iter().filter(|&&valid| !valid).count();
        self.steps += batch.rows();
        self.environment_errors += batch.errors.len();
        self.usage.add(&batch.usage);
    }

    /// Fraction of episodes that reached their goal, if every episode tells.
    pub fn success(&self) -> Option<f64> {
        let tells = self.episodes > 0 && !self.lacks_success;
        tells.then_some(self.successes as f64 / self.episodes.max(1) as f64)
    }

    /// The mean score of an episode, and the means of the environment's further numbers.
    pub fn mean_ends(&self) -> (Option<f64>, BTreeMap<String, f64>) {
        mean_ends(self.ends.iter())
    }

    /// The tokens of the rollout, if the policy generates tokens.
    pub fn tokens(&self) -> Option<TokenMetrics> {
        let TokenUsage { read, drawn, forced, cache_bytes } = self.usage;
        let forced_share = forced as f64 / (drawn + forced).max(1) as f64;
        let metrics = TokenMetrics { read, drawn, forced, forced_share, cache_bytes };
        (read + drawn + forced > 0).then_some(metrics)
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

    /// Fraction of groups whose episodes all have the same return.
    pub fn zero_variance(&self) -> f64 {
        self.zero_variance as f64 / self.groups.max(1) as f64
    }

    /// Fraction of groups with both successful and failed episodes.
    pub fn mixed_groups(&self) -> f64 {
        self.mixed_groups as f64 / self.groups.max(1) as f64
    }
}
