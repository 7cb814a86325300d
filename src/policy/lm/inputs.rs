//! Transcripts: the tokens of episodes, and the steps within them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::lm::{Branch, Trie};
use crate::policy::Inputs;
use crate::ranks::{decode, encode};

/// A step.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// The transcript that it lies in.
    pub transcript: usize,
    /// Number of tokens of the transcript before those of the environment that precede the response.
    pub from: usize,
    /// Number of tokens of the transcript before the step's response.
    pub start: usize,
    /// How its response is constrained.
    pub constraint: Constraint,
}

/// How a response is constrained.
#[derive(Debug, Clone)]
pub(super) enum Constraint {
    /// Not at all.
    Free,
    /// To choices, token by token. The response is still to come.
    Choices(Arc<Trie>),
    /// To choices by their probabilities as wholes. The response is still to come; after that, it counts as
    /// written freely.
    Whole(Arc<Trie>),
    /// To choices. These are the decisions that led to the response.
    Decided(Vec<Branch>),
}

impl Constraint {
    /// The choices of a response that is still to come.
    pub fn choices(&self) -> Option<&Trie> {
        match self {
            Self::Choices(choices) | Self::Whole(choices) => Some(choices),
            Self::Free | Self::Decided(_) => None,
        }
    }

    /// Whether a choice is made among wholes.
    pub fn is_whole(&self) -> bool {
        matches!(self, Self::Whole(_))
    }
}

/// Transcripts and their steps. A transcript only grows: the tokens that were sampled are the tokens that
/// are trained on.
#[derive(Debug, Clone, Default)]
pub struct LmInputs {
    pub(super) transcripts: Vec<Vec<u32>>,
    pub(super) rows: Vec<Row>,
    /// The length of each transcript after its last response. The first token, which no state predicts,
    /// counts as a response.
    answered: Vec<usize>,
}

impl LmInputs {
    /// The tokens of the transcript that a row lies in.
    pub fn transcript(&self, row: usize) -> &[u32] {
        &self.transcripts[self.rows[row].transcript]
    }

    /// The length of the longest transcript, in tokens.
    pub fn longest(&self) -> usize {
        self.transcripts.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Starts a transcript and gives its number.
    pub(super) fn begin(&mut self, tokens: Vec<u32>) -> usize {
        self.transcripts.push(tokens);
        self.answered.push(1);
        self.transcripts.len() - 1
    }

    /// Appends a row for the next response to a transcript.
    pub(super) fn push_row(&mut self, transcript: usize, constraint: Constraint) -> usize {
        let start = self.transcripts[transcript].len();
        let from = self.answered[transcript].min(start);
        self.rows.push(Row { transcript, from, start, constraint });
        self.rows.len() - 1
    }

    /// Appends the response of a row to its transcript, of which it is the last row.
    pub(super) fn respond(&mut self, row: usize, response: &[u32]) {
        let row = &mut self.rows[row];
        self.transcripts[row.transcript].extend_from_slice(response);
        self.answered[row.transcript] = self.transcripts[row.transcript].len();
        row.constraint = match &row.constraint {
            Constraint::Choices(choices) => {
                let choice = (0..choices.len()).find(|&choice| choices.tokens(choice) == response);
                let branches = choice.map(|choice| choices.branches(choice));
                Constraint::Decided(branches.unwrap_or_default())
            }
            Constraint::Whole(_) => Constraint::Free,
            Constraint::Free | Constraint::Decided(_) => return,
        };
    }
}

impl Inputs for LmInputs {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn unit(&self, row: usize) -> usize {
        self.rows[row].transcript
    }

    fn observed_tokens(&self, row: usize) -> usize {
        self.rows[row].start - self.rows[row].from
    }

    /// A token that is the only one possible is no decision.
    fn is_decision(&self, row: usize, token: usize) -> bool {
        match &self.rows[row].constraint {
            Constraint::Decided(branches) => branches.iter().any(|branch| branch.at == token),
            Constraint::Free | Constraint::Choices(_) | Constraint::Whole(_) => true,
        }
    }

    /// Transcripts without rows are dropped.
    fn reorder(&mut self, order: &[usize]) {
        let mut places = HashMap::new();
        let mut transcripts = Vec::new();
        let mut answered = Vec::new();
        let mut rows = Vec::with_capacity(order.len());
        for &row in order {
            let mut row = self.rows[row].clone();
            row.transcript = *places.entry(row.transcript).or_insert_with_key(|&old| {
                transcripts.push(std::mem::take(&mut self.transcripts[old]));
                answered.push(self.answered[old]);
                transcripts.len() - 1
            });
            rows.push(row);
        }
        *self = Self { transcripts, rows, answered };
    }

    fn append(&mut self, other: Self) {
        let shift = self.transcripts.len();
        self.transcripts.extend(other.transcripts);
        self.answered.extend(other.answered);
        let moved = |row: Row| Row { transcript: row.transcript + shift, ..row };
        self.rows.extend(other.rows.into_iter().map(moved));
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        let rows: Vec<SentRow> = self.rows.iter().map(Row::sent).collect::<Result<_>>()?;
        encode(&(&self.transcripts, &self.answered, rows))
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (transcripts, answered, rows): (_, _, Vec<SentRow>) = decode(bytes)?;
        Ok(Self { transcripts, answered, rows: rows.into_iter().map(Row::of_sent).collect() })
    }
}

/// A row in the form in which it travels: transcript, `from`, `start` and, if the response was
/// constrained, its decisions, each with its place, its options and the chosen one.
type SentRow = (usize, usize, usize, Option<Vec<(usize, Vec<u32>, usize)>>);

impl Row {
    fn sent(&self) -> Result<SentRow> {
        let decisions = match &self.constraint {
            Constraint::Free => None,
            Constraint::Decided(branches) => Some(
                branches.iter().map(|branch| (branch.at, branch.options.clone(), branch.chosen)),
            ),
            Constraint::Choices(_) | Constraint::Whole(_) => {
                return Err(Error::Run("a step without a response cannot be sent".into()));
            }
        };
        Ok((self.transcript, self.from, self.start, decisions.map(Iterator::collect)))
    }

    fn of_sent((transcript, from, start, decisions): SentRow) -> Self {
        let branch = |(at, options, chosen)| Branch { at, options, chosen };
        let constraint = match decisions {
            None => Constraint::Free,
            Some(decisions) => Constraint::Decided(decisions.into_iter().map(branch).collect()),
        };
        Self { transcript, from, start, constraint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reordering_and_appending_keep_each_rows_transcript() {
        let with = |token: u32, rows: usize| {
            let mut inputs = LmInputs::default();
            let transcript = inputs.begin(vec![token]);
            for _ in 0..rows {
                inputs.push_row(transcript, Constraint::Free);
            }
            inputs
        };
        let mut inputs = with(7, 2);
        inputs.append(with(8, 1));
        inputs.append(with(9, 1));
        inputs.reorder(&[3, 1, 0]);
        let tokens: Vec<u32> =
            inputs.rows.iter().map(|row| inputs.transcripts[row.transcript][0]).collect();
        assert_eq!(tokens, [9, 7, 7]);
        assert_eq!(inputs.transcripts.len(), 2);
        assert!(inputs.unit(1) == inputs.unit(2) && inputs.unit(0) != inputs.unit(1));
    }

    #[test]
    fn steps_are_the_same_after_they_have_travelled() {
        let mut inputs = LmInputs::default();
        let transcript = inputs.begin(vec![7, 8]);
        let row = inputs.push_row(transcript, Constraint::Free);
        inputs.respond(row, &[9]);
        let choices = Trie::new(&[vec![1, 2], vec![1, 3]], None).unwrap();
        let row = inputs.push_row(transcript, Constraint::Choices(Arc::new(choices)));
        let error = inputs.to_bytes().unwrap_err().to_string();
        assert!(error.contains("without a response"), "{error}");
        inputs.respond(row, &[1, 3]);
        let read = LmInputs::from_bytes(&inputs.to_bytes().unwrap()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{inputs:?}"));
    }
}
