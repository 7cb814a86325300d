//! The same training on another device: losses, gradients and weights against flex's.
//!
//! What was played, what it was worth, the first weights and the order of rows all come from the host,
//! so that nothing but arithmetic can differ.

use std::sync::LazyLock;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use super::cases::rng;
use super::compare::Tally;
use crate::device::read;
use crate::env::Environment;
use crate::env::alfworld::AlfWorldConfig;
use crate::env::household::HouseholdConfig;
use crate::error::{Error, Result};
use crate::policy::scorer::{Scorer, ScorerEncoder, ScorerInputs, ScorerNetworkConfig, Vocabulary};
use crate::policy::{Policy, Sampling};
use crate::rollout::{Plan, RolloutBatch, collect};
use crate::stream::{Purpose, Stream};
use crate::train::{Learner, Lesson, LossInputs, UpdateConfig, UpdateStats, loss};

/// How many updates are compared.
pub const UPDATES: u64 = 20;

/// How far gradients at the same weights may be apart, as a share of the largest number in them. Sums
/// of 32-bit numbers in another order differ by about 1e-7 of what is summed.
pub const GRADIENT_BOUND: f64 = 5e-5;

/// How far losses, and norms of gradients, may be apart: absolutely, or as a share of those above 1.
pub const LOSS_BOUND: f64 = 2e-5;

/// How far any weight may be apart after any update. AdamW divides a gradient by its own size, so that
/// one that is all rounding moves a weight by up to the learning rate in either direction.
pub const WEIGHT_BOUND: f64 = 2e-4;

const LEARNING_RATE: f64 = 3e-3;

/// What is trained on, and what flex makes of it.
struct Reference {
    batch: RolloutBatch<ScorerInputs>,
    advantages: Vec<f32>,
    network: ScorerNetworkConfig,
    /// The first policy's log-probabilities, `[rows]`, which the KL term holds to.
    log_probs: Vec<f32>,
    /// Weights before each update, and after the last.
    weights: Vec<Vec<f32>>,
    /// The gradient at the weights before each update.
    gradients: Vec<Vec<f32>>,
    stats: Vec<UpdateStats>,
}

static REFERENCE: LazyLock<Result<Reference>> = LazyLock::new(Reference::new);

fn reference() -> Result<&'static Reference> {
    REFERENCE.as_ref().map_err(|error| Error::Run(format!("flex cannot train: {error}")))
}

/// Settings of the training. Every part of the objective has a say, and the norm of the gradient is
/// held down in some updates.
fn settings() -> UpdateConfig {
    UpdateConfig {
        epochs: 1,
        minibatch: usize::MAX,
        kl_weight: 0.05,
        entropy_weight: 0.01,
        max_gradient_norm: 0.05,
        ..UpdateConfig::default()
    }
}

impl Reference {
    fn new() -> Result<Self> {
        let rules = AlfWorldConfig { max_steps: 6, ..AlfWorldConfig::default() };
        let household = HouseholdConfig { tasks: 4, rules, ..HouseholdConfig::default() };
        let environment = household.generate(Some("train"))?;
        let vocabulary = Vocabulary::from_environment(&environment, 4, 200, 0)?;
        let network = ScorerNetworkConfig::new(vocabulary.len(), 16, 16);
        let encoder = ScorerEncoder { vocabulary, max_steps: environment.max_steps() };
        let flex = Device::flex();
        let plan = Plan {
            tasks: &[0, 1, 2, 3],
            first_group: 0,
            episodes: 4,
            sampling: Sampling::Temperature(1.0),
            seed: 0,
            iteration: 0,
        };
        let policy = Scorer::new(&network, 0, &flex);
        let batch = collect(&environment, &policy, &encoder, &plan)?;
        let rows: Vec<usize> = (0..batch.rows()).collect();
        let scores = policy.evaluate(&batch.inputs, &rows, &batch.responses, 1.0);
        let mut rng = rng(batch.rows());
        let mut reference = Self {
            advantages: rows.iter().map(|_| rng.random_range(-1.0..1.0)).collect(),
            log_probs: read(scores.log_probs)?,
            batch,
            network,
            weights: Vec::new(),
            gradients: Vec::new(),
            stats: Vec::new(),
        };
        let mut learner = reference.learner(&flex);
        for update in 0..UPDATES {
            reference.weights.push(weights(&learner.policy)?);
            reference.gradients.push(reference.gradient(&learner.policy)?);
            reference.stats.push(reference.update(&mut learner, update)?);
        }
        reference.weights.push(weights(&learner.policy)?);
        Ok(reference)
    }

    /// The first policy on a device, with nothing learnt.
    fn learner(&self, device: &Device) -> Learner<Scorer> {
        let policy = Scorer::new(&self.network, 0, &device.clone().autodiff());
        let reference = Some(policy.valid());
        let optimizer = AdamWConfig::new().with_weight_decay(0.01).init();
        Learner { policy, reference, optimizer, bad_updates: 0 }
    }

    fn update(&self, learner: &mut Learner<Scorer>, update: u64) -> Result<UpdateStats> {
        learner.learn(&Lesson {
            batch: &self.batch,
            advantages: &self.advantages,
            temperature: 1.0,
            config: &settings(),
            learning_rate: LEARNING_RATE,
            shuffle: Stream::new(0, Purpose::Minibatches).at(update),
        })
    }

    /// The gradient of the objective over all rows, all weights end to end.
    fn gradient(&self, policy: &Scorer) -> Result<Vec<f32>> {
        let rows: Vec<usize> = (0..self.batch.rows()).collect();
        let responses = &self.batch.responses;
        let scores = policy.evaluate(&self.batch.inputs, &rows, responses, 1.0);
        let device = scores.log_probs.device();
        let column = |values: &[f32]| -> Tensor<2> {
            Tensor::from_data(TensorData::new(values.to_vec(), [values.len(), 1]), &device)
        };
        let inputs = LossInputs {
            old_log_probs: column(&responses.log_probs),
            reference_log_probs: Some(column(&self.log_probs)),
            advantages: column(&self.advantages),
            weights: column(&vec![1.0 / rows.len() as f32; rows.len()]),
            scores,
        };
        let total = loss(inputs, &settings()).total;
        let gradients = GradientsParams::from_grads(total.backward(), policy);
        let mut all = Gradients { of: &gradients, tensors: Vec::new() };
        policy.visit(&mut all);
        read(Tensor::cat(all.tensors, 0))
    }
}

/// Gradients of weights end to end; 0 for a weight that has none.
struct Gradients<'a> {
    of: &'a GradientsParams,
    tensors: Vec<Tensor<1>>,
}

impl ModuleVisitor for Gradients<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = self.of.get::<D>(param.id);
        let gradient = gradient.unwrap_or_else(|| param.val().without_autodiff().zeros_like());
        self.tensors.push(gradient.reshape([-1]));
    }
}

/// All weights of a policy end to end.
///
/// # Errors
/// Where the device fails.
pub fn weights(policy: &Scorer) -> Result<Vec<f32>> {
    struct Weights(Vec<Tensor<1>>);
    impl ModuleVisitor for Weights {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(param.val().without_autodiff().reshape([-1]));
        }
    }
    let mut weights = Weights(Vec::new());
    policy.visit(&mut weights);
    read(Tensor::cat(weights.0, 0))
}

/// The policy with other weights.
fn with_weights(policy: Scorer, weights: &[f32]) -> Scorer {
    struct Put<'a>(&'a [f32]);
    impl ModuleMapper for Put<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let shape = param.val().dims();
            let (own, rest) = self.0.split_at(shape.iter().product());
            self.0 = rest;
            param.map(|old| {
                Tensor::from_data(TensorData::new(own.to_vec(), shape), &old.device())
                    .require_grad()
            })
        }
    }
    policy.map(&mut Put(weights))
}

/// Gradients along the path that flex took, at the very same weights.
pub(super) fn gradients(device: &Device) -> Result<Tally> {
    let reference = reference()?;
    let mut tally = Tally::default();
    let mut policy = Scorer::new(&reference.network, 0, &device.clone().autodiff());
    for (update, expected) in reference.gradients.iter().enumerate() {
        policy = with_weights(policy, &reference.weights[update]);
        let found = reference.gradient(&policy)?;
        let what = format!("the gradient of update {update}");
        tally.numbers(what, &found, &wide(expected), GRADIENT_BOUND);
        // It is this gradient that the training goes by.
        let norm = found.iter().map(|&one| f64::from(one).powi(2)).sum::<f64>().sqrt();
        let told = reference.stats[update].gradient_norm;
        tally.note(format!("the norm of update {update}"), off(norm, told), GRADIENT_BOUND);
    }
    Ok(tally)
}

/// What the training says of each of its updates.
pub(super) fn losses(device: &Device) -> Result<Tally> {
    let reference = reference()?;
    let mut tally = Tally::default();
    let mut learner = reference.learner(device);
    for (update, expected) in (0..UPDATES).zip(&reference.stats) {
        let found = reference.update(&mut learner, update)?;
        let told = |what: &str| format!("{what} of update {update}");
        for (what, found, expected) in [
            ("the loss", found.loss, expected.loss),
            ("the surrogate", found.policy_loss, expected.policy_loss),
            ("the divergence", found.kl, expected.kl),
            ("the entropy", found.entropy, expected.entropy),
            ("the norm of the gradient", found.gradient_norm, expected.gradient_norm),
        ] {
            tally.note(told(what), off(found, expected), LOSS_BOUND);
        }
        tally.holds(told("the count"), (found.updates, found.skipped) == (1, 0));
    }
    Ok(tally)
}

/// Every weight after each update of a training of its own.
pub(super) fn trained_weights(device: &Device) -> Result<Tally> {
    let reference = reference()?;
    let mut tally = Tally::default();
    let mut learner = reference.learner(device);
    for update in 0..UPDATES {
        reference.update(&mut learner, update)?;
        let found = weights(&learner.policy)?;
        let expected = &reference.weights[update as usize + 1];
        let pairs = found.iter().zip(expected);
        let apart = pairs.map(|(a, b)| f64::from((a - b).abs()));
        let worst =
            apart.fold(0.0, |worst, one| if one > worst || one.is_nan() { one } else { worst });
        tally.holds("the number of weights", found.len() == expected.len());
        tally.note(format!("a weight after update {update}"), worst, WEIGHT_BOUND);
    }
    Ok(tally)
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// How far apart, as a share where numbers are above 1.
fn off(found: f64, expected: f64) -> f64 {
    (found - expected).abs() / expected.abs().max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_training_compared_is_one_that_does_something() {
        let reference = reference().unwrap();
        let (first, last) = (&reference.weights[0], &reference.weights[UPDATES as usize]);
        let moved = first.iter().zip(last).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(f64::from(moved) > 10.0 * WEIGHT_BOUND, "weights moved by {moved}");
        let (first, last) = (reference.stats[0], reference.stats[UPDATES as usize - 1]);
        assert!(first.loss - last.loss > 100.0 * LOSS_BOUND, "{} {}", first.loss, last.loss);
        assert!(last.kl > 10.0 * LOSS_BOUND, "{}", last.kl);
        let norms: Vec<f64> = reference.stats.iter().map(|one| one.gradient_norm).collect();
        let most = f64::from(settings().max_gradient_norm);
        assert!(norms.iter().any(|&norm| norm > most), "none was held down: {norms:?}");
    }

    #[test]
    fn other_weights_are_found_out() {
        let reference = reference().unwrap();
        let mut policy = Scorer::new(&reference.network, 0, &Device::flex().autodiff());
        let mut other = reference.weights[3].clone();
        policy = with_weights(policy, &other);
        assert_eq!(weights(&policy).unwrap(), other);
        assert_eq!(reference.gradient(&policy).unwrap(), reference.gradients[3]);
        other[0] += 0.5;
        other[1000] += 0.5;
        policy = with_weights(policy, &other);
        let mut tally = Tally::default();
        let (found, expected) = (reference.gradient(&policy).unwrap(), &reference.gradients[3]);
        tally.numbers("gradient", &found, &wide(expected), GRADIENT_BOUND);
        assert_eq!(tally.failed, 1);
    }
}
