//! A policy that produces a NaN or infinite value at a chosen place.

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use proxmo::Result;
use proxmo::policy::scorer::{Scorer, ScorerEncoder, ScorerInputs};
use proxmo::policy::{Answer, Policy, Responses, Sampling, TokenScores};
use rand_chacha::ChaCha8Rng;

/// The poisoned row.
pub const ROW: usize = 7;

/// The poisoned value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poison {
    /// The log-probability of a response when it is sampled.
    Sampled,
    /// The log-probability of a response in an update.
    Scored,
    /// The gradient, although every other value is finite.
    Gradient,
    /// The embedding of a state.
    Embedding,
}

/// A poisoned scorer.
#[derive(Module, Debug)]
pub struct Poisoned {
    pub scorer: Scorer,
    #[module(skip)]
    pub poison: Poison,
}

impl Poisoned {
    /// `[rows, 1]`: a value at the poisoned row, 0 elsewhere.
    fn at_row(&self, rows: &[usize], value: f32, like: &Tensor<2>) -> Tensor<2> {
        let values = rows.iter().map(|&row| if row == ROW { value } else { 0.0 }).collect();
        Tensor::from_data(TensorData::new::<f32, _>(values, [rows.len(), 1]), &like.device())
    }
}

impl Policy for Poisoned {
    type Encoder = ScorerEncoder;
    type Cache = ();

    fn cache(&self) {}

    async fn respond_async(
        &self,
        cache: &mut (),
        inputs: &ScorerInputs,
        rows: &[usize],
        sampling: Sampling,
        draws: &mut [&mut ChaCha8Rng],
    ) -> Result<(Vec<Answer>, Responses)> {
        let (answers, mut responses) =
            self.scorer.respond_async(cache, inputs, rows, sampling, draws).await?;
        if let (Poison::Sampled, Some(place)) = (self.poison, rows.iter().position(|&r| r == ROW)) {
            responses.log_probs[place] = f32::NEG_INFINITY;
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
        let mut scores = self.scorer.evaluate(inputs, rows, responses, temperature);
        let log_probs = scores.log_probs;
        scores.log_probs = match self.poison {
            Poison::Scored => log_probs.clone() + self.at_row(rows, f32::NAN, &log_probs),
            Poison::Gradient => {
                let nothing = log_probs.clone() - log_probs.clone().detach();
                log_probs + nothing.mul_scalar(f32::MAX)
            }
            _ => log_probs,
        };
        scores
    }

    fn embed(&self, inputs: &ScorerInputs, rows: &[usize]) -> Tensor<2> {
        let embedded = self.scorer.embed(inputs, rows);
        match self.poison {
            Poison::Embedding => embedded.clone() + self.at_row(rows, f32::INFINITY, &embedded),
            _ => embedded,
        }
    }
}
