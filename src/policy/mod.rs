//! Policies: what answers an observation.
//!
//! A policy has two halves. Its [`Encoder`] lives on the host: it turns texts into rows of numbers
//! and keeps, for every episode, whatever the policy remembers. The [`Policy`] itself is a burn
//! module: it reads rows and answers them, and later says again how likely an answer was.
//!
//! A *response* is a list of tokens. For the [`scorer`] it is one token, the index of the
//! admissible action taken; for a language model it is the generated tokens. Log-probabilities,
//! entropies and masks therefore have the shape `[rows, tokens]` in both, and one loss serves both.

pub mod scorer;

use burn::module::Module;
use burn::tensor::Tensor;
use rand_chacha::ChaCha8Rng;

use crate::env::Texts;
use crate::error::Result;

/// How an answer is drawn from the policy's distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampling {
    /// The most likely answer; ties go to the first.
    Greedy,
    /// A draw from the distribution whose logits are divided by this temperature (above 0).
    Temperature(f32),
}

impl Sampling {
    /// What a setting means: 0 plays greedily, more samples at that temperature.
    pub fn at(temperature: f32) -> Self {
        if temperature == 0.0 { Self::Greedy } else { Self::Temperature(temperature) }
    }

    /// The temperature that log-probabilities are stated at. Greedy answers are stated at 1.
    pub fn temperature(self) -> f32 {
        match self {
            Self::Greedy => 1.0,
            Self::Temperature(temperature) => temperature,
        }
    }
}

/// What the environment is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The admissible action at this index.
    Admissible(usize),
    /// A text of the policy's own, admissible or not.
    Text(String),
}

/// Responses to many rows, laid end to end.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Responses {
    /// All tokens.
    pub tokens: Vec<u32>,
    /// The log-probability that each token had when it was drawn, in nats.
    pub log_probs: Vec<f32>,
    /// Where each response ends in `tokens`.
    pub ends: Vec<usize>,
}

impl Responses {
    /// How many responses there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Appends a response. `tokens` and `log_probs` have the same length.
    pub fn push(&mut self, tokens: &[u32], log_probs: &[f32]) {
        debug_assert_eq!(tokens.len(), log_probs.len());
        self.tokens.extend_from_slice(tokens);
        self.log_probs.extend_from_slice(log_probs);
        self.ends.push(self.tokens.len());
    }

    /// Appends all responses of another list.
    pub fn append(&mut self, other: &Self) {
        let shift = self.tokens.len();
        self.tokens.extend_from_slice(&other.tokens);
        self.log_probs.extend_from_slice(&other.log_probs);
        self.ends.extend(other.ends.iter().map(|end| end + shift));
    }

    /// The place of a response in `tokens`.
    pub fn range(&self, row: usize) -> std::ops::Range<usize> {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        start..self.ends[row]
    }

    /// The responses of `rows`, in that order.
    pub fn select(&self, rows: &[usize]) -> Self {
        let mut selected = Self::default();
        for &row in rows {
            let range = self.range(row);
            selected.push(&self.tokens[range.clone()], &self.log_probs[range]);
        }
        selected
    }

    /// The length of the longest response, at least 1.
    pub fn width(&self) -> usize {
        (0..self.len()).map(|row| self.range(row).len()).max().unwrap_or(0).max(1)
    }
}

/// How likely given responses are under a policy. Both tensors have the shape `[rows, tokens]` of the
/// longest response; what stands beyond a response's end is finite and means nothing.
#[derive(Debug, Clone)]
pub struct TokenScores {
    /// Log-probability of each token, in nats.
    pub log_probs: Tensor<2>,
    /// Entropy of the distribution that each token was drawn from, in nats.
    pub entropy: Tensor<2>,
}

/// Encoded steps of many episodes, in a form that a policy reads.
pub trait Inputs: Default + Send + Sync {
    /// How many rows there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts the rows into another order: row `i` becomes what row `order[i]` was. An index may be
    /// left out, which drops its row.
    fn reorder(&mut self, order: &[usize]);

    /// Puts another's rows behind these.
    fn append(&mut self, other: Self);
}

/// The half of a policy that lives on the host and reads text.
pub trait Encoder: Send {
    /// Encoded steps.
    type Inputs: Inputs;
    /// What is remembered of one episode.
    type Memory: Send;

    /// Begins an episode.
    fn begin(&self, goal: &str, inputs: &mut Self::Inputs) -> Self::Memory;

    /// Appends one row: the step that `memory`'s episode now stands at.
    fn encode(
        &self,
        memory: &mut Self::Memory,
        observation: &str,
        admissible: &Texts,
        inputs: &mut Self::Inputs,
    );

    /// The tokens by which this policy would take an action of those that are admissible, none if it
    /// has no way to.
    fn response(&self, admissible: &Texts, action: &str) -> Option<Vec<u32>>;

    /// Notes which action was taken at the step that was encoded last.
    fn acted(&self, memory: &mut Self::Memory, action: &str, inputs: &mut Self::Inputs);
}

/// The half of a policy that has weights.
pub trait Policy: Module + Sync {
    /// The host half.
    type Encoder: Encoder;

    /// Answers `rows` of `inputs`, drawing from one stream a row. A response whose distribution is
    /// not finite has a log-probability that is not finite either.
    ///
    /// # Errors
    /// Fails where the device does.
    fn respond(
        &self,
        inputs: &<Self::Encoder as Encoder>::Inputs,
        rows: &[usize],
        sampling: Sampling,
        draws: &mut [&mut ChaCha8Rng],
    ) -> Result<(Vec<Answer>, Responses)>;

    /// How likely `responses` are as answers to `rows` (one response a row), with the logits divided
    /// by `temperature`.
    fn evaluate(
        &self,
        inputs: &<Self::Encoder as Encoder>::Inputs,
        rows: &[usize],
        responses: &Responses,
        temperature: f32,
    ) -> TokenScores;

    /// The policy's own embedding of the states that `rows` stand at, without gradients:
    /// `[rows, width]`.
    fn embed(&self, inputs: &<Self::Encoder as Encoder>::Inputs, rows: &[usize]) -> Tensor<2>;
}
