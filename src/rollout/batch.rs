//! One iteration's experience as a struct of arrays.

use std::collections::HashMap;

use super::limits::{EnvironmentError, expect_some};
use crate::env::Texts;
use crate::error::Result;
use crate::policy::{Inputs, Responses};

/// Rows of an iteration: one a step, sorted by group, then episode, then time.
///
/// Offsets say where groups and episodes are, so nothing downstream searches or hashes.
#[derive(Debug, Clone, Default)]
pub struct RolloutBatch<I> {
    /// `[groups]`: the task that each group plays.
    pub tasks: Vec<usize>,
    /// `[groups]`: what each group's task asks for.
    pub goals: Vec<String>,
    /// `[groups + 1]`, into episodes.
    pub group_offsets: Vec<usize>,
    /// `[episodes + 1]`, into rows.
    pub episode_offsets: Vec<usize>,
    /// `[episodes]`: whether the goal was reached.
    pub success: Vec<bool>,
    /// `[episodes]`: the observation after the last step, into `texts`.
    pub final_observations: Vec<u32>,
    /// `[rows]`: the reward of each step.
    pub rewards: Vec<f32>,
    /// `[rows]`: whether the action was admissible.
    pub valid: Vec<bool>,
    /// `[rows]`: the observation that was answered, into `texts`.
    pub observations: Vec<u32>,
    /// Distinct observations, by first appearance.
    pub texts: Vec<String>,
    /// `[rows]`: the action taken.
    pub actions: Texts,
    /// `[rows]`: the policy's responses, with their log-probabilities when drawn.
    pub responses: Responses,
    /// `[rows]`: what the policy read.
    pub inputs: I,
    /// Episodes that were lost to their environment, and are in nothing else here.
    pub errors: Vec<EnvironmentError>,
}

impl<I: Inputs> RolloutBatch<I> {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rewards.len()
    }

    /// How many episodes there are.
    pub fn episodes(&self) -> usize {
        self.success.len()
    }

    /// Checks that the environment left any episode at all.
    ///
    /// # Errors
    /// Names the last error of an environment that lost them all.
    pub fn expect_episodes(&self) -> Result<()> {
        expect_some(self.episodes(), &self.errors)
    }

    /// The rows of an episode.
    pub fn episode_rows(&self, episode: usize) -> std::ops::Range<usize> {
        self.episode_offsets[episode]..self.episode_offsets[episode + 1]
    }
}

/// Numbers distinct texts by first appearance.
#[derive(Debug, Default)]
pub(super) struct Interner {
    index: HashMap<String, u32>,
    pub(super) texts: Vec<String>,
}

impl Interner {
    pub(super) fn intern(&mut self, text: &str) -> u32 {
        if let Some(&id) = self.index.get(text) {
            return id;
        }
        let id = self.texts.len() as u32;
        self.index.insert(text.to_string(), id);
        self.texts.push(text.to_string());
        id
    }
}
