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
use crate::device::{computes_here, read};
use crate::error::{Error, Result};
use crate::parallel::par_map;

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

/// A CPU answers so many rows at a time, side by side with the next. Fixed, and not by the number of
/// threads: the last digits of a row's numbers may depend on how many are computed together.
const ROWS_A_PART: usize = 64;

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

    /// Log-probabilities of the actions of all rows, end to end, on the host.
    fn read_log_probs(
        &self,
        inputs: &ScorerInputs,
        rows: &[usize],
        temperature: f32,
    ) -> Result<Vec<f32>> {
        let here = computes_here(&self.network.device());
        let size = if here { ROWS_A_PART } else { rows.len().max(1) };
        let parts: Vec<&[usize]> = rows.chunks(size).collect();
        let parts = par_map(parts.len(), |part| {
            let (padded, _, width) = self.distribution(inputs, parts[part], temperature);
            let padded = read(padded)?;
            let rows = padded.chunks_exact(width).zip(parts[part]);
            Ok(rows
                .flat_map(|(padded, &row)| &padded[..inputs.action_range(row).len()])
                .copied()
                .collect())
        });
        let parts: Result<Vec<Vec<f32>>> = parts.into_iter().collect();
        Ok(parts?.concat())
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
        let mut answers = Vec::with_capacity(rows.len());
        let mut responses = Responses::default();
        let log_probs = self.read_log_probs(inputs, rows, sampling.temperature())?;
        let mut next = 0;
        for (&row, draw) in rows.iter().zip(draws) {
            let end = next + inputs.action_range(row).len();
            let log_probs = &log_probs[next..end];
            next = end;
            // Whoever plays knows which episode this is, and says so.
            let chosen = choose(log_probs, sampling, draw);
            let (choice, log_prob) = chosen.map_or((0, f32::NAN), |one| (one, log_probs[one]));
            answers.push(Answer::Admissible(choice));
            responses.push(&[choice as u32], &[log_prob]);
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
        TokenScores { log_probs: log_probs.gather(1, chosen), entropy: products.sum_dim(1).neg() }
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
