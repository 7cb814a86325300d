//! A small policy that reads text and chooses among the admissible actions.

mod inputs;
mod memory;
mod network;
mod pack;
mod texts;
mod vocabulary;

pub use inputs::{ACTION_FEATURES, ScorerInputs};
pub use memory::{ScorerEncoder, ScorerMemory};
pub use network::{ScorerNetwork, ScorerNetworkConfig};
pub use pack::Packed;
pub use texts::TextTable;
pub use vocabulary::{UNKNOWN_BUCKETS, Vocabulary, for_each_word};

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Int, Tensor, TensorData};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{Answer, Policy, Responses, Sampling, TokenScores};
use crate::device::read;
use crate::error::{Error, Result};

/// The scorer: its network, and how many words that network knows.
#[derive(Module, Debug)]
pub struct Scorer {
    network: ScorerNetwork,
    #[module(skip)]
    words: usize,
}

/// Stands in for the log-probability of an action that is not there: far below any real one, and
/// finite, so that nothing times it is NaN.
const IMPOSSIBLE: f32 = -1e30;

impl Scorer {
    /// A scorer with weights drawn from the stream of `seed`.
    pub fn new(config: &ScorerNetworkConfig, seed: u64, device: &burn::tensor::Device) -> Self {
        Self { network: config.init(seed, device), words: config.words }
    }

    /// Log-probabilities of all actions: `[rows, width]`, and the mask of those that are there.
    fn distribution(
        &self,
        inputs: &ScorerInputs,
        rows: &[usize],
        temperature: f32,
    ) -> (Tensor<2>, Tensor<2, Bool>, usize) {
        let packed = Packed::new(inputs, rows, self.words);
        let shape = [packed.rows, packed.width];
        let device = self.network.device();
        let mask = Tensor::<2, Bool>::from_data(TensorData::new(packed.mask(), shape), &device);
        let scores = self.network.scores(&packed).div_scalar(temperature);
        let absent = mask.clone().bool_not();
        (log_softmax(scores.mask_fill(absent, IMPOSSIBLE), 1), mask, packed.width)
    }
}

impl Policy for Scorer {
    type Encoder = ScorerEncoder;

    fn respond(
        &self,
        inputs: &ScorerInputs,
        rows: &[usize],
        sampling: Sampling,
        draws: &mut [&mut ChaCha8Rng],
    ) -> Result<(Vec<Answer>, Responses)> {
        if let Some(row) = rows.iter().find(|&&row| inputs.action_range(row).is_empty()) {
            let message = format!("row {row} has no admissible action to choose from");
            return Err(Error::Environment(message));
        }
        let (log_probs, _, width) = self.distribution(inputs, rows, sampling.temperature());
        let log_probs = read(log_probs)?;
        let mut answers = Vec::with_capacity(rows.len());
        let mut responses = Responses::default();
        for ((&row, draw), log_probs) in rows.iter().zip(draws).zip(log_probs.chunks_exact(width)) {
            let log_probs = &log_probs[..inputs.action_range(row).len()];
            let choice = choose(log_probs, sampling, draw)
                .ok_or_else(|| Error::Run("the policy's probabilities are not finite".into()))?;
            answers.push(Answer::Admissible(choice));
            responses.push(&[choice as u32], &[log_probs[choice]]);
        }
        Ok((answers, responses))
    }

    fn evaluate(
        &self,
        inputs: &ScorerInputs,
        rows: &[usize],
        responses: &Responses,
        temperature: f32,
    ) -> TokenScores {
        let (log_probs, present, _) = self.distribution(inputs, rows, temperature);
        let device = self.network.device();
        let chosen: Vec<i32> = responses.tokens.iter().map(|&token| token as i32).collect();
        let chosen = Tensor::<2, Int>::from_data(TensorData::new(chosen, [rows.len(), 1]), &device);
        // An absent action has probability 0; its log-probability is not let near the product.
        let absent = present.bool_not();
        let products = log_probs.clone().exp() * log_probs.clone().mask_fill(absent, 0.0);
        TokenScores {
            log_probs: log_probs.gather(1, chosen),
            entropy: products.sum_dim(1).neg(),
            mask: Tensor::<2, Bool>::full([rows.len(), 1], true, &device),
        }
    }

    fn embed(&self, inputs: &ScorerInputs, rows: &[usize]) -> Tensor<2> {
        self.network.states(&Packed::new(inputs, rows, self.words)).without_autodiff()
    }
}

/// Draws from a distribution by its cumulative sum, or takes its peak. `None` if it is not finite.
fn choose(log_probs: &[f32], sampling: Sampling, rng: &mut ChaCha8Rng) -> Option<usize> {
    if log_probs.is_empty() || log_probs.iter().any(|value| value.is_nan()) {
        return None;
    }
    let mut best = 0;
    for (place, value) in log_probs.iter().enumerate() {
        if *value > log_probs[best] {
            best = place;
        }
    }
    if sampling == Sampling::Greedy {
        return Some(best);
    }
    // A draw that rounding leaves beyond the last sum falls to the peak, never to an action of
    // probability 0.
    let draw: f64 = rng.random();
    let mut sum = 0.0;
    let place = log_probs.iter().position(|value| {
        sum += f64::from(*value).exp();
        draw < sum
    });
    Some(place.unwrap_or(best))
}
