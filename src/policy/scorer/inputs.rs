//! Encoded steps as flat arrays.

use super::mentions::MENTION_FEATURES;
use super::texts::TextTable;
use crate::error::Result;
use crate::policy::interface::Inputs;
use crate::ranks::{decode, encode};

/// Number of features of an action besides its text: its history in the episode, and the overlap of
/// its words and those of its last outcome with the goal and the observation.
pub const ACTION_FEATURES: usize = 10;

/// Encoded steps of many episodes. Texts are indices into one shared table.
#[derive(Debug, Clone, Default)]
pub struct ScorerInputs {
    /// The distinct texts that rows and actions refer to.
    pub texts: TextTable,
    /// Per row: the goal's text.
    pub goals: Vec<u32>,
    /// Per row: the observation's text.
    pub observations: Vec<u32>,
    /// Per row: the text of the previous action, or the empty text.
    pub last_actions: Vec<u32>,
    /// Per row: the fraction of the episode's step limit that is used, in [0, 1).
    pub progress: Vec<f32>,
    /// Words of past actions, concatenated over rows.
    pub history_words: Vec<u32>,
    /// For each of `history_words`: ln(1 + its number of occurrences in past actions).
    pub history_counts: Vec<f32>,
    /// Per row: end of its history.
    pub history_ends: Vec<usize>,
    /// Texts of the admissible actions, concatenated over rows.
    pub actions: Vec<u32>,
    /// Per action: the observation that followed when it was last taken, or the empty text.
    pub outcomes: Vec<u32>,
    /// Per action: [`ACTION_FEATURES`] numbers.
    pub features: Vec<f32>,
    /// Per action: [`MENTION_FEATURES`] numbers, or none if the scorer does not use them.
    pub mentions: Vec<f32>,
    /// Per row: end of its actions.
    pub action_ends: Vec<usize>,
}

impl ScorerInputs {
    /// The range of a row's actions in `actions` and `outcomes`.
    pub fn action_range(&self, row: usize) -> std::ops::Range<usize> {
        range(&self.action_ends, row)
    }

    /// A row's part of `mentions`: empty if there are none.
    pub fn mentions_of(&self, row: usize) -> &[f32] {
        let actions = self.action_range(row);
        let range = actions.start * MENTION_FEATURES..actions.end * MENTION_FEATURES;
        self.mentions.get(range).unwrap_or_default()
    }

    /// The range of a row's history in `history_words`.
    pub fn history_range(&self, row: usize) -> std::ops::Range<usize> {
        range(&self.history_ends, row)
    }
}

fn range(ends: &[usize], row: usize) -> std::ops::Range<usize> {
    let start = if row == 0 { 0 } else { ends[row - 1] };
    start..ends[row]
}

impl Inputs for ScorerInputs {
    fn len(&self) -> usize {
        self.goals.len()
    }

    fn reorder(&mut self, order: &[usize]) {
        let mut new = Self { texts: std::mem::take(&mut self.texts), ..Self::default() };
        for &row in order {
            new.goals.push(self.goals[row]);
            new.observations.push(self.observations[row]);
            new.last_actions.push(self.last_actions[row]);
            new.progress.push(self.progress[row]);
            let history = self.history_range(row);
            new.history_words.extend_from_slice(&self.history_words[history.clone()]);
            new.history_counts.extend_from_slice(&self.history_counts[history]);
            new.history_ends.push(new.history_words.len());
            let actions = self.action_range(row);
            new.actions.extend_from_slice(&self.actions[actions.clone()]);
            new.outcomes.extend_from_slice(&self.outcomes[actions.clone()]);
            let features = actions.start * ACTION_FEATURES..actions.end * ACTION_FEATURES;
            new.features.extend_from_slice(&self.features[features]);
            new.mentions.extend_from_slice(self.mentions_of(row));
            new.action_ends.push(new.actions.len());
        }
        *self = new;
    }

    fn append(&mut self, other: Self) {
        let numbers = self.texts.absorb(&other.texts);
        let renumber = |texts: Vec<u32>| texts.into_iter().map(|text| numbers[text as usize]);
        self.goals.extend(renumber(other.goals));
        self.observations.extend(renumber(other.observations));
        self.last_actions.extend(renumber(other.last_actions));
        self.progress.extend(other.progress);
        let shift = |ends: &mut Vec<usize>, others: Vec<usize>, base: usize| {
            ends.extend(others.into_iter().map(|end| base + end));
        };
        shift(&mut self.history_ends, other.history_ends, self.history_words.len());
        self.history_words.extend(other.history_words);
        self.history_counts.extend(other.history_counts);
        shift(&mut self.action_ends, other.action_ends, self.actions.len());
        self.actions.extend(renumber(other.actions));
        self.outcomes.extend(renumber(other.outcomes));
        self.features.extend(other.features);
        self.mentions.extend(other.mentions);
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        encode(&(
            self.texts.parts(),
            (&self.goals, &self.observations, &self.last_actions, &self.progress),
            (&self.history_words, &self.history_counts, &self.history_ends),
            (&self.actions, &self.outcomes, &self.features, &self.mentions, &self.action_ends),
        ))
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (texts, of_rows, history, actions) = decode(bytes)?;
        let (goals, observations, last_actions, progress) = of_rows;
        let (history_words, history_counts, history_ends) = history;
        let (actions, outcomes, features, mentions, action_ends) = actions;
        Ok(Self {
            texts: TextTable::of_parts(texts),
            goals,
            observations,
            last_actions,
            progress,
            history_words,
            history_counts,
            history_ends,
            actions,
            outcomes,
            features,
            mentions,
            action_ends,
        })
    }
}
