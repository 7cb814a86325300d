//! The traits of a policy's two halves.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use rand_chacha::ChaCha8Rng;

use super::response::{Answer, Responses, Sampling, TokenScores, TokenUsage};
use crate::env::Texts;
use crate::error::{Error, Result};

/// Encoded steps of many episodes, in the form that a policy reads.
pub trait Inputs: Default + Send + Sync {
    /// Number of rows.
    fn len(&self) -> usize;

    /// Whether there are no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The unit of a row: rows of a unit share work, as the steps of an episode do in a policy that
    /// reads it as one sequence. They are adjacent. A minibatch takes whole units.
    fn unit(&self, row: usize) -> usize {
        row
    }

    /// Number of tokens of the environment that a row adds to what the policy reads, and that the policy
    /// can predict. 0 for a policy that predicts responses only.
    fn observed_tokens(&self, _row: usize) -> usize {
        0
    }

    /// Whether a token of a row's response was drawn from several. Others have no part in the objective.
    fn is_decision(&self, _row: usize, _token: usize) -> bool {
        true
    }

    /// Reorders the rows: the new row `i` is the old row `order[i]`. Rows that `order` does not name
    /// are dropped.
    fn reorder(&mut self, order: &[usize]);

    /// Appends the rows of `other`.
    fn append(&mut self, other: Self);

    /// The rows in a form that [`Inputs::from_bytes`] reads, for a training on several
    /// [ranks](crate::ranks).
    ///
    /// # Errors
    /// Fails if there is no such form, as by default: such a policy trains in one process.
    fn to_bytes(&self) -> Result<Vec<u8>> {
        Err(no_bytes())
    }

    /// The rows that [`Inputs::to_bytes`] of a policy with the same specification has written.
    ///
    /// # Errors
    /// Fails if there is no such form, or the bytes are not of it.
    fn from_bytes(_bytes: &[u8]) -> Result<Self> {
        Err(no_bytes())
    }
}

fn no_bytes() -> Error {
    Error::Run(
        "the rows of this policy have no form as bytes, so it trains in one process only; implement \
         Inputs::to_bytes and Inputs::from_bytes"
            .into(),
    )
}

/// The half of a policy that lives on the host and reads text.
pub trait Encoder: Send {
    /// Encoded steps.
    type Inputs: Inputs;
    /// What the policy remembers of one episode.
    type Memory: Send;

    /// Begins an episode.
    fn begin(&self, goal: &str, inputs: &mut Self::Inputs) -> Self::Memory;

    /// Appends one row: the current step of `memory`'s episode.
    fn encode(
        &self,
        memory: &mut Self::Memory,
        observation: &str,
        admissible: &Texts,
        inputs: &mut Self::Inputs,
    );

    /// The tokens with which this policy takes `action`, or `None` if it cannot take that action.
    fn response(&self, admissible: &Texts, action: &str) -> Option<Vec<u32>>;

    /// Records the action that was taken at the step that was encoded last, and the tokens of the
    /// response that took it.
    fn acted(
        &self,
        memory: &mut Self::Memory,
        action: &str,
        response: &[u32],
        inputs: &mut Self::Inputs,
    );
}

/// The half of a policy that has weights.
///
/// Methods that read a tensor back from the device are asynchronous, so that they also run where a
/// thread must not block (a browser). Their futures need not be `Send`.
pub trait Policy: Module + Sync {
    /// The host half.
    type Encoder: Encoder;
    /// What the policy keeps between the steps of episodes that are played together, such as the keys
    /// and values of a transformer.
    type Cache: Send;

    /// An empty cache.
    fn cache(&self) -> Self::Cache;

    /// Whether checkpoints hold the weight of this name. Others come with the policy when it is built,
    /// such as those of a pretrained model that is not trained.
    fn is_stored(&self, _weight: &str) -> bool {
        true
    }

    /// Whether the policy has a value head: it estimates the value of a state, the discounted rewards that
    /// follow.
    fn estimates_values(&self) -> bool {
        false
    }

    /// Whether the weight of this name belongs to the value head, which a run can add to a policy that was
    /// trained without.
    fn is_value_weight(&self, _weight: &str) -> bool {
        false
    }

    /// Number of episodes that may be in progress at once. Others wait for the end of one.
    fn max_active(&self) -> usize {
        usize::MAX
    }

    /// What the responses with a cache have cost so far.
    fn usage(_cache: &Self::Cache) -> TokenUsage {
        TokenUsage::default()
    }

    /// Responds to `rows` of `inputs`, the current steps of all episodes in progress, drawing from one
    /// random stream per row. If a row's distribution is not finite, neither is the log-probability of its response.
    ///
    /// # Errors
    /// Fails if the device fails.
    fn respond_async(
        &self,
        cache: &mut Self::Cache,
        inputs: &<Self::Encoder as Encoder>::Inputs,
        rows: &[usize],
        sampling: Sampling,
        draws: &mut [&mut ChaCha8Rng],
    ) -> impl Future<Output = Result<(Vec<Answer>, Responses)>>;

    /// [`Policy::respond_async`], blocking.
    ///
    /// # Errors
    /// Fails if the device fails.
    fn respond(
        &self,
        cache: &mut Self::Cache,
        inputs: &<Self::Encoder as Encoder>::Inputs,
        rows: &[usize],
        sampling: Sampling,
        draws: &mut [&mut ChaCha8Rng],
    ) -> Result<(Vec<Answer>, Responses)> {
        pollster::block_on(self.respond_async(cache, inputs, rows, sampling, draws))
    }

    /// The parts of a minibatch that are evaluated one after the other, as places in `rows`, to bound
    /// the memory of an update. `None`: an update divides the minibatch evenly. A part takes whole units.
    fn parts(
        &self,
        _inputs: &<Self::Encoder as Encoder>::Inputs,
        _rows: &[usize],
    ) -> Option<Vec<Vec<usize>>> {
        None
    }

    /// Scores `responses` as responses to `rows` (one response per row), with the logits divided by
    /// `temperature`.
    fn evaluate(
        &self,
        inputs: &<Self::Encoder as Encoder>::Inputs,
        rows: &[usize],
        responses: &Responses,
        temperature: f32,
    ) -> TokenScores;

    /// The gradient of a loss by the weights. `loss` turns the scores of [`evaluate`](Self::evaluate) into
    /// the loss, `[1]`, and values that are returned beside the gradient. With `observations` it also gets
    /// the sum of the log-probabilities of the rows' [observed tokens](Inputs::observed_tokens), `[1]`, if
    /// the policy predicts any.
    fn differentiate(
        &self,
        inputs: &<Self::Encoder as Encoder>::Inputs,
        rows: &[usize],
        responses: &Responses,
        temperature: f32,
        _observations: bool,
        loss: impl FnOnce(TokenScores, Option<Tensor<1>>) -> (Tensor<1>, Tensor<1>),
    ) -> (Tensor<1>, GradientsParams) {
        let (loss, values) = loss(self.evaluate(inputs, rows, responses, temperature), None);
        (values, GradientsParams::from_grads(loss.backward(), self))
    }

    /// The estimated values of the states of `rows`, `[rows]`, with gradients. `None` without a value head.
    /// [`evaluate`](Self::evaluate) gives them too.
    fn values(
        &self,
        _inputs: &<Self::Encoder as Encoder>::Inputs,
        _rows: &[usize],
    ) -> Option<Tensor<1>> {
        None
    }

    /// The policy's own embedding of the states of `rows`, without gradients: `[rows, width]`.
    fn embed(&self, inputs: &<Self::Encoder as Encoder>::Inputs, rows: &[usize]) -> Tensor<2>;
}
