//! The gradient of the objective over some rows.
//!
//! On a CPU, and on several ranks, the rows are split into shards whose gradients are computed in parallel
//! and added. The number of shards is a setting, independent of the number of threads and ranks, because
//! the last digits of a sum depend on how it is split.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};

use super::loss::{Loss, LossInputs, imitation_loss, loss};
use super::update_batch::UpdateBatch;
use super::update_config::Aggregation;
use super::value_loss::ValueTargets;
use crate::device::{computes_here, read_async};
use crate::error::Result;
use crate::gradients::Gradient;
use crate::parallel::par_map;
use crate::policy::{Inputs, InputsOf, Policy, TokenScores};
use crate::ranks::{Addend, GradientSum, Ranks};
use crate::rollout::RolloutBatch;

/// The objective of an update.
pub(super) enum Objective {
    /// The clipped surrogate of the policy's own episodes, with the reference policy's log-probability
    /// of every token of the batch, if there is a reference policy.
    Surrogate(Option<Vec<f32>>),
    /// The negative log-likelihood of the responses of the batch, and that of the environment's tokens,
    /// each a mean, with a weight.
    Imitation {
        /// Weight of the environment's tokens.
        observation_weight: f64,
    },
}

/// The loss values over `rows`, and the gradient.
///
/// Each rank computes some of the shards; all get the sum over all shards, in their order or in that of
/// the ranks.
///
/// # Errors
/// Fails if the device or another rank does.
pub(super) async fn differentiate<P: Policy>(
    policy: &P,
    update: &UpdateBatch<'_, InputsOf<P>>,
    rows: &[usize],
    objective: &Objective,
    ranks: &Ranks,
) -> Result<(Tensor<1>, Gradient)> {
    let minibatch = Minibatch::new(policy, update, rows, objective);
    let shards = minibatch.shards(ranks.parts());
    if shards.len() == 1 && ranks.is_alone() {
        return Ok(minibatch.differentiate(policy, 0..rows.len()));
    }
    let own = ranks.own(shards.len());
    let own: Vec<Range<usize>> = own.into_iter().map(|shard| shards[shard].clone()).collect();
    let mut computed = minibatch.differentiate_all(own);
    if ranks.is_alone() {
        let sum = computed.reduce(|sum, part| added(policy, sum, part));
        return Ok(sum.unwrap_or_else(|| minibatch.differentiate(policy, 0..rows.len())));
    }
    if ranks.gradient_sum() == GradientSum::ByRank {
        computed = Box::new(computed.reduce(|sum, part| added(policy, sum, part)).into_iter());
    }
    let mut addends = Ok(Vec::new());
    while let (Ok(done), Some((values, gradient))) = (&mut addends, computed.next()) {
        match addend(policy, values, &gradient).await {
            Ok(one) => done.push(one),
            Err(error) => addends = Err(error),
        }
    }
    let lengths = Gradient::lengths(policy);
    let sum = match ranks.gradient_sum() {
        GradientSum::ByPart => ranks.sum_in_order(shards.len(), &lengths, addends),
        GradientSum::ByRank => ranks.sum_of_ranks(&lengths, addends.map(|mut own| own.pop())),
    }?;
    let device = policy.devices().into_iter().next().unwrap_or_default().without_autodiff();
    let values = Tensor::from_data(sum.head.as_slice(), &device);
    Ok((values, Gradient::of_flat(policy, &sum.present, &sum.values)))
}

/// The loss values and the gradient of a shard, on the host.
async fn addend<P: Policy>(policy: &P, values: Tensor<1>, gradient: &Gradient) -> Result<Addend> {
    let (present, flat) = gradient.flat(policy).await?;
    Ok(Addend { head: read_async(values).await?, present, values: flat })
}

/// The rows of an update.
struct Minibatch<'a, P: Policy> {
    policy: &'a P,
    update: &'a UpdateBatch<'a, InputsOf<P>>,
    rows: &'a [usize],
    objective: &'a Objective,
    /// `[rows]`: the weight of each decision.
    weights: Vec<f32>,
    /// The weight of each token of the environment.
    observed: f64,
    /// The weight of each row in the loss of values.
    row_weight: f32,
    /// Whether shards are computed in parallel: on a CPU, unless the policy divides its minibatches by
    /// itself to bound their memory.
    is_parallel: bool,
}

impl<'a, P: Policy> Minibatch<'a, P> {
    fn new(
        policy: &'a P,
        update: &'a UpdateBatch<'a, InputsOf<P>>,
        rows: &'a [usize],
        objective: &'a Objective,
    ) -> Self {
        let observed = match *objective {
            Objective::Imitation { observation_weight } if observation_weight > 0.0 => {
                let inputs = &update.batch.inputs;
                let tokens: usize = rows.iter().map(|&row| inputs.observed_tokens(row)).sum();
                observation_weight / tokens.max(1) as f64
            }
            _ => 0.0,
        };
        let weights = token_weights(update.batch, rows, update.config.aggregation);
        let one = rows.get(..1).unwrap_or_default();
        let is_divided = policy.parts(&update.batch.inputs, one).is_some();
        let is_parallel = !is_divided && policy.devices().iter().all(computes_here);
        let row_weight = 1.0 / rows.len().max(1) as f32;
        Self { policy, update, rows, objective, weights, observed, row_weight, is_parallel }
    }

    /// The shards that are computed one by one, as ranges of `rows`. A shard has whole units.
    ///
    /// There are as many as the work has parts, or more for the threads of a CPU.
    fn shards(&self, parts: usize) -> Vec<Range<usize>> {
        let (inputs, rows) = (&self.update.batch.inputs, self.rows);
        let count = match self.is_parallel {
            true => self.update.config.shards.max(parts),
            false => parts,
        };
        let size = rows.len().div_ceil(count).max(1);
        let is_same = |one: &usize, other: &usize| inputs.unit(*one) == inputs.unit(*other);
        let mut shards: Vec<Range<usize>> = Vec::new();
        let mut first = 0;
        for unit in rows.chunk_by(is_same) {
            let end = first + unit.len();
            match shards.last_mut().filter(|shard| shard.len() < size) {
                Some(shard) => shard.end = end,
                None => shards.push(first..end),
            }
            first = end;
        }
        if shards.is_empty() {
            shards.push(0..0);
        }
        shards
    }

    /// The loss values and the gradients of some shards, in their order.
    fn differentiate_all(
        &self,
        shards: Vec<Range<usize>>,
    ) -> Box<dyn Iterator<Item = (Tensor<1>, Gradient)> + '_> {
        if !self.is_parallel || shards.len() < 2 {
            let policy = self.policy;
            return Box::new(
                shards.into_iter().map(move |shard| self.differentiate(policy, shard)),
            );
        }
        let computed = par_map(shards.len(), |place| {
            // Separate leaves give each shard a separate graph, because backward locks its graph.
            self.differentiate(&self.policy.valid().train(), shards[place].clone())
        });
        Box::new(computed.into_iter())
    }

    /// The loss values and the gradient of a shard, which the policy may divide further.
    fn differentiate(&self, policy: &P, shard: Range<usize>) -> (Tensor<1>, Gradient) {
        let (rows, weights) = (&self.rows[shard.clone()], &self.weights[shard]);
        let Some(parts) = policy.parts(&self.update.batch.inputs, rows) else {
            return self.differentiate_at_once(policy, rows, weights);
        };
        let part = |places: &Vec<usize>| {
            let weights: Vec<f32> = places.iter().map(|&place| weights[place]).collect();
            let rows: Vec<usize> = places.iter().map(|&place| rows[place]).collect();
            self.differentiate_at_once(policy, &rows, &weights)
        };
        let sum = parts.iter().map(part).reduce(|sum, part| added(policy, sum, part));
        sum.unwrap_or_else(|| self.differentiate_at_once(policy, rows, weights))
    }

    fn differentiate_at_once(
        &self,
        policy: &P,
        rows: &[usize],
        weights: &[f32],
    ) -> (Tensor<1>, Gradient) {
        let Self { update, observed, .. } = *self;
        let responses = update.batch.responses.select(rows);
        let loss = |scores, log_prob: Option<Tensor<1>>| {
            let weights = (weights, self.row_weight);
            let mut loss = loss_of(scores, update, rows, weights, self.objective);
            if let Some(log_prob) = log_prob {
                loss.total = loss.total - log_prob.mul_scalar(observed);
            }
            let values = loss.values();
            (loss.total, values)
        };
        let (values, gradients) = policy.differentiate(
            &update.batch.inputs,
            rows,
            &responses,
            update.temperature,
            observed > 0.0,
            loss,
        );
        (values, Gradient(gradients))
    }
}

/// The sums of the loss values and gradients of two parts of a minibatch.
fn added<P: Policy>(
    policy: &P,
    (values, gradient): (Tensor<1>, Gradient),
    (other_values, other): (Tensor<1>, Gradient),
) -> (Tensor<1>, Gradient) {
    (values + other_values, gradient.add(policy, other))
}

/// The loss of the scores of some rows' responses. Each row weighs `row_weight` in the value's loss.
fn loss_of<I: Inputs>(
    scores: TokenScores,
    update: &UpdateBatch<I>,
    rows: &[usize],
    (weights, row_weight): (&[f32], f32),
    objective: &Objective,
) -> Loss {
    let batch = update.batch;
    let device = scores.log_probs.device();
    let width = scores.log_probs.dims()[1];
    let pad = |token: &dyn Fn(usize, usize, usize) -> f32| {
        padded(rows, width, &device, |row| batch.responses.range(row), token)
    };
    let weights = pad(&|place, row, token| {
        let token = token - batch.responses.range(row).start;
        if batch.inputs.is_decision(row, token) { weights[place] } else { 0.0 }
    });
    let Objective::Surrogate(reference) = objective else {
        return imitation_loss(scores, weights);
    };
    let inputs = LossInputs {
        old_log_probs: pad(&|_, _, token| batch.responses.log_probs[token]),
        reference_log_probs: reference.as_ref().map(|values| pad(&|_, _, token| values[token])),
        advantages: pad(&|_, row, _| update.advantages[row]),
        weights,
        values: value_targets(update, rows, row_weight, &device),
        scores,
    };
    loss(inputs, update.config)
}

/// What the values of some rows are trained towards, if they are.
fn value_targets<I: Inputs>(
    update: &UpdateBatch<I>,
    rows: &[usize],
    row_weight: f32,
    device: &Device,
) -> Option<ValueTargets> {
    let values = update.batch.data.values().filter(|_| !update.returns.is_empty())?;
    let vector = |number: &dyn Fn(usize) -> f32| {
        let numbers: Vec<f32> = rows.iter().map(|&row| number(row)).collect();
        Tensor::from_data(TensorData::new(numbers, [rows.len()]), device)
    };
    Some(ValueTargets {
        returns: vector(&|row| update.returns[row]),
        old_values: vector(&|row| values.states[row] as f32),
        weights: vector(&|_| row_weight),
    })
}

/// `[rows]`: the weight of each decision of a row in the objective. Over all decisions of all rows the
/// weights add up to 1.
fn token_weights<I: Inputs>(
    batch: &RolloutBatch<I>,
    rows: &[usize],
    aggregation: Aggregation,
) -> Vec<f32> {
    let tokens = |row: usize| {
        let count = batch.responses.range(row).len();
        (0..count).filter(|&token| batch.inputs.is_decision(row, token)).count()
    };
    let raw = |&row: &usize| match aggregation {
        Aggregation::Token => 1.0,
        Aggregation::Response => 1.0 / tokens(row).max(1) as f64,
        Aggregation::Episode => {
            let layout = batch.data.layout();
            let episode = layout.rows_of_episode(layout.episode_of_row(row));
            let tokens: usize = episode.map(tokens).sum();
            1.0 / tokens.max(1) as f64
        }
    };
    let raw: Vec<f64> = rows.iter().map(raw).collect();
    let sum: f64 = rows.iter().zip(&raw).map(|(&row, weight)| tokens(row) as f64 * weight).sum();
    raw.iter().map(|weight| (weight / sum.max(f64::MIN_POSITIVE)) as f32).collect()
}

/// Values of tokens as a `[rows, width]` tensor, padded with 0. The arguments of `value` are the
/// position among `rows`, the row and the token.
fn padded(
    rows: &[usize],
    width: usize,
    device: &Device,
    range: impl Fn(usize) -> std::ops::Range<usize>,
    value: &dyn Fn(usize, usize, usize) -> f32,
) -> Tensor<2> {
    let mut values = vec![0.0; rows.len() * width];
    for (place, (line, &row)) in values.chunks_exact_mut(width).zip(rows).enumerate() {
        for (target, token) in line.iter_mut().zip(range(row)) {
            *target = value(place, row, token);
        }
    }
    Tensor::from_data(TensorData::new(values, [rows.len(), width]), device)
}

/// The loss values and the gradient norm, in one transfer from the device.
pub(super) async fn read_back<P: Policy>(
    loss: Tensor<1>,
    gradient: &Gradient,
    policy: &P,
) -> Result<([f64; Loss::VALUES], f64)> {
    let squares = gradient.squares(policy);
    let values = std::iter::once(loss).chain(squares).collect();
    let values = read_async(Tensor::cat(values, 0)).await?;
    let mut loss = [0.0; Loss::VALUES];
    for (target, value) in loss.iter_mut().zip(&values) {
        *target = f64::from(*value);
    }
    let sum: f64 = values[loss.len()..].iter().map(|value| f64::from(*value)).sum();
    Ok((loss, sum.sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::episodes::{Batch, Episode};
    use crate::policy::Responses;

    #[derive(Default)]
    struct NoInputs;

    impl Inputs for NoInputs {
        fn len(&self) -> usize {
            0
        }

        fn reorder(&mut self, _order: &[usize]) {}

        fn append(&mut self, _other: Self) {}
    }

    /// Episode 0 has responses of 1 and 3 tokens, episode 1 has one of 2.
    fn batch() -> RolloutBatch<NoInputs> {
        let mut responses = Responses::default();
        for tokens in [1, 3, 2] {
            responses.push(&vec![7; tokens], &vec![-1.0; tokens]);
        }
        let episodes =
            [Episode::new().step("a", 0.0).step("b", 0.0), Episode::new().step("a", 0.0)];
        let data = Batch::builder().group(episodes).build().unwrap();
        RolloutBatch { data, responses, ..RolloutBatch::default() }
    }

    #[test]
    fn weights_add_up_to_one_for_every_aggregation() {
        let weights = |rows: &[usize], over| token_weights(&batch(), rows, over);
        let sixth = 1.0 / 6.0;
        assert_eq!(weights(&[0, 1, 2], Aggregation::Token), [sixth, sixth, sixth]);
        let third = 1.0 / 3.0;
        assert_eq!(weights(&[0, 1, 2], Aggregation::Response), [third, third / 3.0, third / 2.0]);
        assert_eq!(weights(&[0, 1, 2], Aggregation::Episode), [0.125, 0.125, 0.25]);
        // So do those of a minibatch with some rows only.
        let some = weights(&[2, 0], Aggregation::Episode);
        assert!((2.0 * some[0] + some[1] - 1.0).abs() < 1e-6, "{some:?}");
        assert!((some[0] - 2.0 * some[1]).abs() < 1e-6, "{some:?}");
    }
}
