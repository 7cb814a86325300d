//! Episodes of an environment that the caller plays.

use rand_chacha::ChaCha8Rng;

use crate::env::Texts;
use crate::error::{Error, Result};
use crate::policy::{Answer, Encoder, EncoderOf, InputsOf, Policy, Responses, Sampling};

/// What a policy does in a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    /// The action.
    pub action: String,
    /// Its place among the admissible actions, if it is one of them.
    pub index: Option<usize>,
    /// The probability of the response, at the temperature that it was drawn at, or 1 if that is 0.
    pub probability: f64,
}

/// An episode in which a policy acts step by step. It remembers what a rollout would remember.
pub struct ActedEpisode<'a, P: Policy> {
    policy: &'a P,
    encoder: &'a EncoderOf<P>,
    sampling: Sampling,
    draws: ChaCha8Rng,
    memory: <EncoderOf<P> as Encoder>::Memory,
    inputs: InputsOf<P>,
    cache: P::Cache,
}

impl<'a, P: Policy> ActedEpisode<'a, P> {
    /// Begins an episode. Actions are drawn from `draws`.
    pub fn begin(
        policy: &'a P,
        encoder: &'a EncoderOf<P>,
        goal: &str,
        sampling: Sampling,
        draws: ChaCha8Rng,
    ) -> Self {
        let mut inputs = InputsOf::<P>::default();
        let memory = encoder.begin(goal, &mut inputs);
        Self { policy, encoder, sampling, draws, memory, inputs, cache: policy.cache() }
    }

    /// [`ActedEpisode::act_async`], blocking.
    ///
    /// # Errors
    /// As [`ActedEpisode::act_async`].
    pub fn act(&mut self, observation: &str, admissible: &Texts) -> Result<Act> {
        pollster::block_on(self.act_async(observation, admissible))
    }

    /// Chooses the action of the next step. The policy takes it as done.
    ///
    /// # Errors
    /// Fails if there is no admissible action, the policy's log-probabilities are not finite, or the
    /// device fails. The episode cannot go on after the latter two.
    pub async fn act_async(&mut self, observation: &str, admissible: &Texts) -> Result<Act> {
        if admissible.is_empty() {
            return Err(Error::input("admissible", "is empty, expected at least one action"));
        }
        let Self { policy, encoder, sampling, draws, memory, inputs, cache } = self;
        encoder.encode(memory, observation, admissible, inputs);
        let row = crate::policy::Inputs::len(inputs) - 1;
        let (rows, mut draws) = ([row], [draws]);
        let answered = policy.respond_async(cache, inputs, &rows, *sampling, &mut draws);
        let (answers, responses) = answered.await?;
        let log_prob = log_prob(&responses)?;
        let action = match answers.into_iter().next() {
            Some(Answer::Text(text)) => Some(text),
            Some(Answer::Admissible(index)) => admissible.get(index).map(str::to_string),
            None => None,
        };
        let action = action.ok_or_else(|| Error::Run("the policy gave no answer".into()))?;
        encoder.acted(memory, &action, &responses.tokens, inputs);
        let index = admissible.position(&action);
        Ok(Act { action, index, probability: log_prob.exp() })
    }
}

/// The log-probability of the one response.
fn log_prob(responses: &Responses) -> Result<f64> {
    let sum: f64 = responses.log_probs.iter().map(|&value| f64::from(value)).sum();
    match sum.is_finite() {
        true => Ok(sum),
        false => {
            let message =
                "the policy's log-probabilities are not finite: its weights have diverged";
            Err(Error::Run(message.into()))
        }
    }
}
