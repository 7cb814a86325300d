//! One iteration's experience.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::limits::{EnvironmentError, expect_some};
use super::snapshot::Snapshot;
use crate::env::Texts;
use crate::episodes::Batch;
use crate::error::Result;
use crate::policy::{Inputs, Responses, TokenUsage};

/// What an environment reports at the end of an episode.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EpisodeEnd {
    /// The quality of the result, from 0 to 1.
    pub score: Option<f64>,
    /// Further numbers, by name.
    pub metrics: BTreeMap<String, f64>,
}

impl EpisodeEnd {
    /// What the last state of an episode reports.
    pub(super) fn of(last: &Snapshot) -> Self {
        Self { score: last.transition.score, metrics: last.metrics.clone() }
    }
}

/// The episodes of an iteration with tasks, actions, responses and policy inputs.
#[derive(Debug, Clone, Default)]
pub struct RolloutBatch<I> {
    /// `[groups]`: the task of each group.
    pub tasks: Vec<usize>,
    /// `[groups]`: the description of each group's task.
    pub goals: Vec<String>,
    /// Observations, rewards and outcomes: one row a step.
    pub data: Batch,
    /// `[rows]`: the action taken.
    pub actions: Texts,
    /// `[rows]`: the policy's responses, with their log-probabilities when sampled.
    pub responses: Responses,
    /// `[rows]`: the policy's inputs.
    pub inputs: I,
    /// Rows, in ascending order, that no update learns from.
    pub left_out: Vec<usize>,
    /// `[episodes]`: what the environment reports at the end of each episode, beside its success.
    pub ends: Vec<EpisodeEnd>,
    /// Episodes that were lost to environment errors. They are in no other field.
    pub errors: Vec<EnvironmentError>,
    /// Losses after which an episode was played again from its seed. The batch is as if they had not
    /// happened.
    pub replayed: Vec<EnvironmentError>,
    /// What the responses have cost, those of lost episodes included.
    pub usage: TokenUsage,
}

impl<I: Inputs> RolloutBatch<I> {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.data.rows()
    }

    /// The number of episodes.
    pub fn episodes(&self) -> usize {
        self.data.episodes()
    }

    /// The number of groups.
    pub fn groups(&self) -> usize {
        self.tasks.len()
    }

    /// Checks that at least one episode was not lost to an environment error.
    ///
    /// # Errors
    /// Returns the last environment error if all episodes were lost.
    pub fn expect_episodes(&self) -> Result<()> {
        expect_some(self.episodes(), &self.errors)
    }
}
