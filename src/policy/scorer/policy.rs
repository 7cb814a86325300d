//! The scorer as a policy: distributions over admissible actions, and draws from them.

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Int, Tensor, TensorData};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::inputs::ScorerInputs;
use super::memory::ScorerEncoder;
use super::network::{ScorerNetwork, ScorerNetworkConfig};
use super::pack::Packed;
use crate::device::computes_here;
use crate::error::{Error, Result};
use crate::policy::interface::Policy;
use crate::policy::parts::read_parts;
use crate::policy::response::{Answer, Responses, Sampling, TokenScores};

/// The scorer: its network and the size of its vocabulary.
#[derive(Module, Debug)]
pub struct Scorer {
    network: ScorerNetwork,
    #[module(skip)]
    words: usize,
}

/// The log-probability of padding: far below any real one, and finite, so that 0 times it is not NaN.
const PADDING_LOG_PROB: f32 = -1e30;

/// Number of rows that one thread of a CPU backend computes at a time. It is fixed and does not depend
/// on the number of threads, because the last digits of a row's results may depend on the batch.
const ROWS_PER_PART: usize = 64;

impl Scorer {
    /// A scorer with initial weights drawn from `seed`.
    pub fn new(config: &ScorerNetworkConfig, seed: u64, device: &burn::tensor::Device) -> Self {
        Self { network: config.init(seed, device), words: config.words }
    }

    /// Log-probabilities of all actions, `[rows, width]`, and the mask of actions that exist.
    fn distribution(
        &self,
        inputs: &ScorerInputs,
        rows: &[usize],
        temperature: f32,
    ) -> (Tensor<2>, Tensor<2, Bool>) {
        let packed = Packed::new(inputs, rows, self.words);
        self.normalized(self.network.scores(&packed), &packed, temperature)
    }

    /// Log-probabilities from scores, as [`Scorer::distribution`].
    fn normalized(
        &self,
        scores: Tensor<2>,
        packed: &Packed,
        temperature: f32,
    ) -> (Tensor<2>, Tensor<2, Bool>) {
        let shape = [packed.rows, packed.width];
        let device = self.network.device();
        let mask = Tensor::<2, Bool>::from_data(TensorData::new(packed.mask(), shape), &device);
        let scores = scores.div_scalar(temperature);
        let padding = mask.clone().bool_not();
        (log_softmax(scores.mask_fill(padding, PADDING_LOG_PROB), 1), mask)
    }

    /// Log-probabilities of the actions of all rows, concatenated, on the host.
    async fn read_log_probs(
        &self,
        inputs: &ScorerInputs,
        rows: &[usize],
        temperature: f32,
    ) -> Result<Vec<f32>> {
        let device = self.network.device();
        let size = if computes_here(&device) { ROWS_PER_PART } else { rows.len().max(1) };
        let parts: Vec<&[usize]> = rows.chunks(size).collect();
        let compute = |part: usize| self.distribution(inputs, parts[part], temperature).0;
        let padded = read_parts(&device, parts.len(), compute).await?;
        let mut log_probs = Vec::new();
        for (padded, rows) in padded.iter().zip(parts) {
            let width = padded.len() / rows.len();
            for (padded, &row) in padded.chunks_exact(width).zip(rows) {
                log_probs.extend_from_slice(&padded[..inputs.action_range(row).len()]);
            }
        }
        Ok(log_probs)
    }
}

impl Policy for Scorer {
    type Encoder = ScorerEncoder;
    type Cache = ();

    fn cache(&self) {}

    async fn respond_async(
        &self,
        (): &mut (),
        inputs: &ScorerInputs,
        rows: &[usize],
        sampling: Sampling,
        draws: &mut [&mut ChaCha8Rng],
    ) -> Result<(Vec<Answer>, Responses)> {
        if let Some(row) = rows.iter().find(|&&row| inputs.action_range(row).is_empty()) {
            let message = format!("row {row} has no admissible action");
            return Err(Error::Environment(message));
        }
        let mut answers = Vec::with_capacity(rows.len());
        let mut responses = Responses::default();
        let log_probs = self.read_log_probs(inputs, rows, sampling.temperature()).await?;
        let mut next = 0;
        for (&row, draw) in rows.iter().zip(draws) {
            let end = next + inputs.action_range(row).len();
            let log_probs = &log_probs[next..end];
            next = end;
            // The caller names the episode in its error.
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
        let packed = Packed::new(inputs, rows, self.words);
        let (scores, values) = self.network.scores_and_values(&packed);
        let (log_probs, present) = self.normalized(scores, &packed, temperature);
        let device = self.network.device();
        let chosen: Vec<i32> = responses.tokens.iter().map(|&token| token as i32).collect();
        let chosen = Tensor::<2, Int>::from_data(TensorData::new(chosen, [rows.len(), 1]), &device);
        // Padding has probability 0; its log-probability is masked out of the product.
        let padding = present.bool_not();
        let products = log_probs.clone().exp() * log_probs.clone().mask_fill(padding, 0.0);
        TokenScores {
            log_probs: log_probs.gather(1, chosen),
            entropy: products.sum_dim(1).neg(),
            values,
        }
    }

    fn estimates_values(&self) -> bool {
        self.network.estimates_values()
    }

    fn is_value_weight(&self, weight: &str) -> bool {
        weight.starts_with("network.value.")
    }

    fn values(&self, inputs: &ScorerInputs, rows: &[usize]) -> Option<Tensor<1>> {
        self.network.values(&Packed::states(inputs, rows, self.words))
    }

    fn embed(&self, inputs: &ScorerInputs, rows: &[usize]) -> Tensor<2> {
        self.network.states(&Packed::new(inputs, rows, self.words)).without_autodiff()
    }
}

/// Draws from a distribution by its cumulative sum, or takes the most likely action. `None` if the
/// distribution is not finite.
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
    // If rounding leaves the draw beyond the last sum, the most likely action is taken, never one of
    // probability 0.
    let draw: f64 = rng.random();
    let mut sum = 0.0;
    let place = log_probs.iter().position(|value| {
        sum += f64::from(*value).exp();
        draw < sum
    });
    Some(place.unwrap_or(best))
}
