//! The scorer's network.
//!
//! With e(x) the encoding of a text (the scaled sum of its words' vectors, through one layer), a
//! state s and an action a with its last outcome o are scored as
//!
//! ```text
//! u(s)    = W_g e(goal) + W_x e(observation) + W_l e(last action) + W_h history + b
//! z(s, a) = relu( u(s) + W_a e(a) + W_o e(o) + W_m [ P e(a) * Q e(goal) ; R e(o) * Q e(goal) ] + W_f f(a) )
//! score   = w . relu( V z + c )
//! ```
//!
//! where `*` is the elementwise product. A [value head](ValueHead), if there is one, reads u(s) too.
//! Everything that depends on a text alone is computed once per
//! distinct text and gathered, so an action costs additions and one small matrix product.

use burn::config::Config;
use burn::module::{Module, Param, ParamId};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::inputs::ACTION_FEATURES;
use super::pack::Packed;
use super::value::ValueHead;
use crate::stream::{Purpose, Stream};

/// The size of a [`ScorerNetwork`].
#[derive(Config, Debug, PartialEq, Eq)]
pub struct ScorerNetworkConfig {
    /// Number of words in the vocabulary, including the buckets for unknown words.
    pub words: usize,
    /// Length of word vectors and text encodings.
    pub embedding: usize,
    /// Width of the two hidden layers.
    pub hidden: usize,
    /// Number of features of an action besides its text.
    #[config(default = "ACTION_FEATURES")]
    pub features: usize,
    /// Whether there is a value head.
    #[config(default = "false")]
    pub value_head: bool,
}

/// The scorer's weights. A matrix has the shape `[inputs, outputs]`.
#[derive(Module, Debug)]
pub struct ScorerNetwork {
    word: Param<Tensor<2>>,
    text: Param<Tensor<2>>,
    text_bias: Param<Tensor<1>>,
    goal: Param<Tensor<2>>,
    observation: Param<Tensor<2>>,
    last_action: Param<Tensor<2>>,
    history: Param<Tensor<2>>,
    state_bias: Param<Tensor<1>>,
    action: Param<Tensor<2>>,
    outcome: Param<Tensor<2>>,
    goal_key: Param<Tensor<2>>,
    action_key: Param<Tensor<2>>,
    outcome_key: Param<Tensor<2>>,
    matches: Param<Tensor<2>>,
    features: Param<Tensor<2>>,
    hidden: Param<Tensor<2>>,
    hidden_bias: Param<Tensor<1>>,
    score: Param<Tensor<2>>,
    value: Option<ValueHead>,
}

/// Draws initial weights on the host, so that every backend starts from the same values, and numbers
/// the parameters in order, so that a saved optimizer state matches its parameters.
pub(super) struct Initializer<'a> {
    rng: ChaCha8Rng,
    device: &'a Device,
    next: u64,
}

impl Initializer<'_> {
    fn param<const D: usize>(&mut self, shape: [usize; D], bound: f32) -> Param<Tensor<D>> {
        let count = shape.iter().product();
        let draw = |_| if bound > 0.0 { self.rng.random_range(-bound..bound) } else { 0.0 };
        let values: Vec<f32> = (0..count).map(draw).collect();
        let tensor = Tensor::from_data(TensorData::new(values, shape), self.device);
        self.next += 1;
        let tensor = if self.device.is_autodiff() { tensor.require_grad() } else { tensor };
        Param::initialized(ParamId::from(self.next), tensor)
    }

    /// Uniform with variance `gain²` / inputs.
    pub(super) fn matrix(&mut self, inputs: usize, outputs: usize, gain: f32) -> Param<Tensor<2>> {
        self.param([inputs, outputs], gain * (3.0 / inputs as f32).sqrt())
    }

    pub(super) fn bias(&mut self, outputs: usize) -> Param<Tensor<1>> {
        self.param([outputs], 0.0)
    }
}

impl ScorerNetworkConfig {
    /// Length of the vectors by which texts are matched.
    fn key(&self) -> usize {
        (self.embedding / 4).max(1)
    }

    /// A network with initial weights drawn from `seed`. It is trainable if `device` has autodiff.
    pub fn init(&self, seed: u64, device: &Device) -> ScorerNetwork {
        let rng = Stream::new(seed, Purpose::Weights).rng();
        let mut init = Initializer { rng, device, next: 0 };
        let (e, h, k) = (self.embedding, self.hidden, self.key());
        ScorerNetwork {
            word: init.param([self.words, e], 1.0),
            text: init.matrix(e, e, 1.0),
            text_bias: init.bias(e),
            goal: init.matrix(e, h, 1.0),
            observation: init.matrix(e, h, 1.0),
            last_action: init.matrix(e, h, 1.0),
            history: init.matrix(self.words, h, 4.0),
            state_bias: init.bias(h),
            action: init.matrix(e, h, 1.0),
            outcome: init.matrix(e, h, 1.0),
            goal_key: init.matrix(e, k, 1.0),
            action_key: init.matrix(e, k, 1.0),
            outcome_key: init.matrix(e, k, 1.0),
            matches: init.matrix(2 * k, h, 1.0),
            features: init.matrix(self.features, h, 1.0),
            hidden: init.matrix(h, h, 1.4),
            hidden_bias: init.bias(h),
            // Small, so that an untrained policy is close to uniform.
            score: init.matrix(h, 1, 0.1),
            // Last, so that the other weights are the same without.
            value: self.value_head.then(|| ValueHead::init(h, &mut init)),
        }
    }
}

impl ScorerNetwork {
    /// The device of the weights, with autodiff if they are trainable.
    pub fn device(&self) -> Device {
        self.word.val().device()
    }

    /// Encodings of a batch's distinct texts: `[texts, embedding]`.
    fn encode(&self, batch: &Packed) -> Tensor<2> {
        let words = self.matrix(&batch.text_words, batch.words);
        let encoded = words.matmul(self.word.val()).matmul(self.text.val());
        relu(encoded + self.text_bias.val().unsqueeze())
    }

    /// u(s) of a batch's rows, from the encodings of its texts: `[rows, hidden]`.
    fn state(&self, batch: &Packed, encoded: &Tensor<2>) -> Tensor<2> {
        let of = |texts: &[i32], weight: &Param<Tensor<2>>| {
            encoded.clone().select(0, self.ints(texts)).matmul(weight.val())
        };
        of(&batch.goals, &self.goal)
            + of(&batch.observations, &self.observation)
            + of(&batch.last_actions, &self.last_action)
            + self.matrix(&batch.history, batch.words).matmul(self.history.val())
            + self.state_bias.val().unsqueeze()
    }

    /// The state vectors u(s) of a batch: `[rows, hidden]`.
    pub fn states(&self, batch: &Packed) -> Tensor<2> {
        self.state(batch, &self.encode(batch))
    }

    /// Whether there is a value head.
    pub fn estimates_values(&self) -> bool {
        self.value.is_some()
    }

    /// The values of a batch's states: `[rows]`. `None` without a value head.
    pub fn values(&self, batch: &Packed) -> Option<Tensor<1>> {
        self.value.as_ref().map(|head| head.values(batch, self.states(batch)))
    }

    fn ints(&self, values: &[i32]) -> Tensor<1, Int> {
        Tensor::from_data(TensorData::from(values), &self.device())
    }

    fn matrix(&self, values: &[f32], columns: usize) -> Tensor<2> {
        let shape = [values.len() / columns.max(1), columns];
        Tensor::from_data(TensorData::new(values.to_vec(), shape), &self.device())
    }

    /// Scores of all actions of a batch: `[rows, width]`. Padding has the score of the first action.
    pub fn scores(&self, batch: &Packed) -> Tensor<2> {
        let encoded = self.encode(batch);
        let state = self.state(batch, &encoded);
        self.score(batch, encoded, state)
    }

    /// The scores of all actions of a batch, as [`ScorerNetwork::scores`], and the values of its states,
    /// as [`ScorerNetwork::values`].
    pub fn scores_and_values(&self, batch: &Packed) -> (Tensor<2>, Option<Tensor<1>>) {
        let encoded = self.encode(batch);
        let state = self.state(batch, &encoded);
        let values = self.value.as_ref().map(|head| head.values(batch, state.clone()));
        (self.score(batch, encoded, state), values)
    }

    /// Scores of all actions, from the encodings of the texts and the state vectors.
    fn score(&self, batch: &Packed, encoded: Tensor<2>, state: Tensor<2>) -> Tensor<2> {
        let rows = self.ints(&batch.action_rows);
        let actions = self.ints(&batch.actions);
        let outcomes = self.ints(&batch.outcomes);
        let goals = encoded.clone().matmul(self.goal_key.val()).select(0, self.ints(&batch.goals));
        let goals = goals.select(0, rows.clone());
        let action_keys = encoded.clone().matmul(self.action_key.val());
        let outcome_keys = encoded.clone().matmul(self.outcome_key.val());
        let matches = Tensor::cat(
            vec![
                action_keys.select(0, actions.clone()) * goals.clone(),
                outcome_keys.select(0, outcomes.clone()) * goals,
            ],
            1,
        );
        let first = state.select(0, rows)
            + encoded.clone().matmul(self.action.val()).select(0, actions)
            + encoded.matmul(self.outcome.val()).select(0, outcomes)
            + matches.matmul(self.matches.val())
            + self
                .matrix(&batch.features, self.features.val().dims()[0])
                .matmul(self.features.val());
        let second = relu(first).matmul(self.hidden.val()) + self.hidden_bias.val().unsqueeze();
        let scores = relu(second).matmul(self.score.val()).reshape([-1]);
        let places = self.ints(&batch.places);
        scores.select(0, places).reshape([batch.rows as i32, batch.width as i32])
    }
}
