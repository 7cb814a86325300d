//! Responses: what a policy answers, and how likely it finds an answer.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// How a response is drawn from the policy's distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampling {
    /// The most likely response; the first of equally likely ones.
    Greedy,
    /// A draw from the distribution whose logits are divided by this temperature (above 0).
    Temperature(f32),
}

impl Sampling {
    /// Converts a temperature setting: 0 is greedy, a larger value samples at that temperature.
    pub fn at(temperature: f32) -> Self {
        if temperature == 0.0 { Self::Greedy } else { Self::Temperature(temperature) }
    }

    /// The temperature at which log-probabilities are computed; 1 for greedy responses.
    pub fn temperature(self) -> f32 {
        match self {
            Self::Greedy => 1.0,
            Self::Temperature(temperature) => temperature,
        }
    }
}

/// The action that is sent to the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The admissible action at this index.
    Admissible(usize),
    /// Free text, admissible or not.
    Text(String),
}

/// Responses of many rows, concatenated.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Responses {
    /// The tokens of all responses.
    pub tokens: Vec<u32>,
    /// Log-probability of each token when it was sampled, in nats.
    pub log_probs: Vec<f32>,
    /// End of each response in `tokens`.
    pub ends: Vec<usize>,
}

impl Responses {
    /// Number of responses.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no responses.
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

    /// Appends all responses of `other`.
    pub fn append(&mut self, other: &Self) {
        let shift = self.tokens.len();
        self.tokens.extend_from_slice(&other.tokens);
        self.log_probs.extend_from_slice(&other.log_probs);
        self.ends.extend(other.ends.iter().map(|end| end + shift));
    }

    /// The range of a response in `tokens`.
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

    /// Length of the longest response, at least 1.
    pub fn width(&self) -> usize {
        (0..self.len()).map(|row| self.range(row).len()).max().unwrap_or(0).max(1)
    }
}

/// What the responses of a policy that generates tokens have cost. All 0 for other policies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUsage {
    /// Tokens of observations that were read.
    pub read: u64,
    /// Tokens of responses that were drawn.
    pub drawn: u64,
    /// Tokens of responses that were the only ones possible.
    pub forced: u64,
    /// The largest size of the keys and values that were held at once, in bytes.
    pub cache_bytes: u64,
}

impl TokenUsage {
    /// Adds the tokens of another rollout. The size of the cache is that of the larger one.
    pub fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.drawn += other.drawn;
        self.forced += other.forced;
        self.cache_bytes = self.cache_bytes.max(other.cache_bytes);
    }
}

/// Scores of given responses under a policy. Scores of tokens have the shape `[rows, tokens]`, padded to
/// the longest response; padding is finite and has no meaning.
#[derive(Debug, Clone)]
pub struct TokenScores {
    /// Log-probability of each token, in nats.
    pub log_probs: Tensor<2>,
    /// Entropy of the distribution that each token was drawn from, in nats.
    pub entropy: Tensor<2>,
    /// The estimated value of each row's state, `[rows]`. `None` without a value head.
    pub values: Option<Tensor<1>>,
}
