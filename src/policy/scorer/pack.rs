//! The arrays that the network reads, built from selected rows.

use super::inputs::{ACTION_FEATURES, ScorerInputs};
use super::mentions::MENTION_FEATURES;

/// A packed batch of rows: the actions of all rows are concatenated, and texts are renumbered so that
/// only those in use are encoded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Packed {
    /// Number of rows.
    pub rows: usize,
    /// Maximum number of actions of a row, at least 1.
    pub width: usize,
    /// Number of words in the vocabulary.
    pub words: usize,
    /// `[texts, words]`: counts of words divided by the square root of their sum of squares.
    pub text_words: Vec<f32>,
    /// `[rows]`, into texts.
    pub goals: Vec<i32>,
    /// `[rows]`, into texts.
    pub observations: Vec<i32>,
    /// `[rows]`, into texts.
    pub last_actions: Vec<i32>,
    /// `[rows]`: the share of the step limit that is used.
    pub progress: Vec<f32>,
    /// `[rows, words]`: ln(1 + count) of the words of past actions.
    pub history: Vec<f32>,
    /// `[actions]`: the row of each action.
    pub action_rows: Vec<i32>,
    /// `[actions]`, into texts.
    pub actions: Vec<i32>,
    /// `[actions]`, into texts.
    pub outcomes: Vec<i32>,
    /// `[actions, features]`: those of `ScorerInputs::features`, then those of `ScorerInputs::mentions`.
    pub features: Vec<f32>,
    /// `[rows · width]`: index into `actions` of each cell of the padded table; 0 for padding.
    pub places: Vec<i32>,
    /// `[rows]`: number of actions of each row.
    pub counts: Vec<usize>,
}

/// Renumbers texts in order of first use.
struct Renumber<'a> {
    inputs: &'a ScorerInputs,
    numbers: Vec<i32>,
    used: Vec<u32>,
}

impl Renumber<'_> {
    fn text(&mut self, text: u32) -> i32 {
        let number = &mut self.numbers[text as usize];
        if *number < 0 {
            *number = self.used.len() as i32;
            self.used.push(text);
        }
        *number
    }

    /// Word counts of the texts in use, scaled to unit length.
    fn text_words(&self, words: usize) -> Vec<f32> {
        let mut table = vec![0.0; self.used.len() * words];
        for (row, &text) in table.chunks_exact_mut(words).zip(&self.used) {
            let counts = self.inputs.texts.counts(text);
            let squares: f32 = counts.iter().map(|&count| f32::from(count).powi(2)).sum();
            let scale = 1.0 / squares.max(1.0).sqrt();
            for (&word, &count) in self.inputs.texts.words(text).iter().zip(counts) {
                row[word as usize] = f32::from(count) * scale;
            }
        }
        table
    }
}

impl Packed {
    /// Packs `rows` of `inputs` for a vocabulary of `words` words.
    pub fn new(inputs: &ScorerInputs, rows: &[usize], words: usize) -> Self {
        Self::of(inputs, rows, words, true)
    }

    /// Packs the states of `rows` without their actions, as [`ScorerNetwork::states`] reads them.
    ///
    /// [`ScorerNetwork::states`]: super::ScorerNetwork::states
    pub fn states(inputs: &ScorerInputs, rows: &[usize], words: usize) -> Self {
        Self::of(inputs, rows, words, false)
    }

    fn of(inputs: &ScorerInputs, rows: &[usize], words: usize, with_actions: bool) -> Self {
        let numbers = vec![-1; inputs.texts.len()];
        let mut renumber = Renumber { inputs, numbers, used: Vec::new() };
        let counts: Vec<usize> = rows.iter().map(|&row| inputs.action_range(row).len()).collect();
        let width = counts.iter().copied().max().unwrap_or(0).max(1);
        let mut packed = Self {
            rows: rows.len(),
            width,
            words,
            history: vec![0.0; rows.len() * words],
            places: vec![0; rows.len() * width],
            ..Self::default()
        };
        for (place, &row) in rows.iter().enumerate() {
            packed.push_state(place, row, &mut renumber);
            if with_actions {
                packed.push_actions(place, row, &mut renumber);
            }
        }
        packed.text_words = renumber.text_words(words);
        packed.counts = counts;
        packed
    }

    fn push_state(&mut self, place: usize, row: usize, renumber: &mut Renumber) {
        let inputs = renumber.inputs;
        self.goals.push(renumber.text(inputs.goals[row]));
        self.observations.push(renumber.text(inputs.observations[row]));
        self.last_actions.push(renumber.text(inputs.last_actions[row]));
        self.progress.push(inputs.progress[row]);
        for at in inputs.history_range(row) {
            let word = inputs.history_words[at] as usize;
            self.history[place * self.words + word] = inputs.history_counts[at];
        }
    }

    fn push_actions(&mut self, place: usize, row: usize, renumber: &mut Renumber) {
        let inputs = renumber.inputs;
        for (column, action) in inputs.action_range(row).enumerate() {
            self.places[place * self.width + column] = self.actions.len() as i32;
            self.action_rows.push(place as i32);
            self.actions.push(renumber.text(inputs.actions[action]));
            self.outcomes.push(renumber.text(inputs.outcomes[action]));
        }
        let actions = inputs.action_range(row);
        let features = actions.start * ACTION_FEATURES..actions.end * ACTION_FEATURES;
        let features = &inputs.features[features];
        let mentions = inputs.mentions_of(row);
        if mentions.is_empty() {
            self.features.extend_from_slice(features);
            return;
        }
        let mentions = mentions.chunks_exact(MENTION_FEATURES);
        for (features, mentions) in features.chunks_exact(ACTION_FEATURES).zip(mentions) {
            self.features.extend_from_slice(features);
            self.features.extend_from_slice(mentions);
        }
    }

    /// `[rows, width]`: whether a cell holds an action.
    pub fn mask(&self) -> Vec<bool> {
        let columns = |&count: &usize| (0..self.width).map(move |column| column < count);
        self.counts.iter().flat_map(columns).collect()
    }
}
