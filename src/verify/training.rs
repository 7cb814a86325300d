//! The same training on another device: losses, gradients and weights against flex's.
//!
//! Episodes, initial weights and the order of rows all come from the host, and so do advantages except
//! in the test of the device engine: only arithmetic can differ.

use std::sync::LazyLock;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use super::cases::rng;
use super::comparisons::Comparisons;
use crate::credit::{self, CreditConfig, CreditState, Embedding};
use crate::device::read_async;
use crate::env::Environment;
use crate::env::alfworld::AlfWorldConfig;
use crate::env::household::HouseholdConfig;
use crate::episodes::{Batch, Embeddings};
use crate::error::{Error, Result};
use crate::kernels;
use crate::policy::scorer::{Scorer, ScorerEncoder, ScorerInputs, ScorerNetworkConfig, Vocabulary};
use crate::policy::{Policy, Sampling};
use crate::ranks::Ranks;
use crate::rollout::{Limits, Plan, RolloutBatch, collect_with_async};
use crate::stream::{Purpose, Stream};
use crate::train::{Learner, LossInputs, UpdateBatch, UpdateConfig, UpdateStats, loss};

/// How many updates are compared.
pub const UPDATES: u64 = 20;

/// The bound between gradients at the same weights, as a share of the largest number in them. Sums of
/// 32-bit numbers in another order differ by about 1e-7 of their terms.
pub const GRADIENT_BOUND: f64 = 5e-5;

/// The bound between losses, and between gradient norms: absolute, or relative for those above 1.
pub const LOSS_BOUND: f64 = 2e-5;

/// The bound between weights after any update. AdamW divides a gradient by its own size, so a gradient
/// that is all rounding moves a weight by up to the learning rate in either direction.
pub const WEIGHT_BOUND: f64 = 2e-4;

/// The bound between the engines' advantages at the same weights, as a share of the largest. Embeddings of
/// 32-bit numbers and their cosines are off by about 1e-7, which a temperature of 0.1 magnifies.
pub const CREDIT_BOUND: f64 = 2e-5;

const LEARNING_RATE: f64 = 3e-3;

/// The rows of the training, and its course on flex.
struct Reference {
    batch: RolloutBatch<ScorerInputs>,
    advantages: Vec<f32>,
    /// The episodes with random rewards, for credit to be assigned to.
    rewarded: Batch,
    network: ScorerNetworkConfig,
    /// The initial policy's log-probabilities, the reference of the KL term: `[rows]`.
    log_probs: Vec<f32>,
    /// Weights before each update, and after the last.
    weights: Vec<Vec<f32>>,
    /// The gradient at the weights before each update.
    gradients: Vec<Vec<f32>>,
    stats: Vec<UpdateStats>,
}

static REFERENCE: LazyLock<Result<Reference>> =
    LazyLock::new(|| pollster::block_on(Reference::new()));

/// One update of a training whose credit the host engine assigns.
struct HostUpdate {
    /// The weights before it.
    weights: Vec<f32>,
    advantages: Vec<f32>,
    /// The gradient of the objective with these advantages.
    gradient: Vec<f32>,
}

/// A training on flex whose credit the host engine assigns from the policy's embeddings.
static HOST_CREDIT: LazyLock<Result<Vec<HostUpdate>>> =
    LazyLock::new(|| pollster::block_on(host_updates()));

async fn host_updates() -> Result<Vec<HostUpdate>> {
    let reference = reference()?;
    let mut learner = reference.learner(&Device::flex());
    let mut updates = Vec::new();
    for update in 0..UPDATES {
        let advantages = reference.host_credit(reference.embed(&learner.policy.valid())).await?;
        let weights = weights_async(&learner.policy).await?;
        let gradient = reference.gradient_by(&learner.policy, &advantages).await?;
        reference.update_by(&mut learner, &advantages, update).await?;
        updates.push(HostUpdate { weights, advantages, gradient });
    }
    Ok(updates)
}

fn reference() -> Result<&'static Reference> {
    REFERENCE.as_ref().map_err(|error| Error::Run(format!("flex cannot train: {error}")))
}

/// Settings of the training. Every part of the objective has a weight, and the gradient norm is clipped
/// in some updates.
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

/// ProxMO with the policy's embeddings.
fn credit_settings() -> CreditConfig {
    CreditConfig { embedding: Embedding::Policy, ..CreditConfig::default() }
}

impl Reference {
    async fn new() -> Result<Self> {
        let rules = AlfWorldConfig { max_steps: 6, ..AlfWorldConfig::default() };
        let household = HouseholdConfig { tasks: 4, rules, ..HouseholdConfig::default() };
        let environment = household.generate(Some("train"))?;
        let vocabulary = Vocabulary::from_environment(&environment, 4, 200, 0)?;
        let network = ScorerNetworkConfig::new(vocabulary.len(), 16, 16);
        let encoder =
            ScorerEncoder { vocabulary, max_steps: environment.max_steps(), mentions: false };
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
        let limits = Limits::default();
        let batch = collect_with_async(&environment, &policy, &encoder, &plan, &limits).await?;
        let rows: Vec<usize> = (0..batch.rows()).collect();
        let scores = policy.evaluate(&batch.inputs, &rows, &batch.responses, 1.0);
        let mut rng = rng(batch.rows());
        let rewards = rows.iter().map(|_| rng.random_range(-1.0..1.0)).collect();
        let rewarded = batch.data.with_rewards(rewards)?;
        let mut reference = Self {
            advantages: rows.iter().map(|_| rng.random_range(-1.0..1.0)).collect(),
            log_probs: read_async(scores.log_probs).await?,
            rewarded,
            batch,
            network,
            weights: Vec::new(),
            gradients: Vec::new(),
            stats: Vec::new(),
        };
        let mut learner = reference.learner(&flex);
        for update in 0..UPDATES {
            reference.weights.push(weights_async(&learner.policy).await?);
            reference.gradients.push(reference.gradient(&learner.policy).await?);
            reference.stats.push(reference.update(&mut learner, update).await?);
        }
        reference.weights.push(weights_async(&learner.policy).await?);
        Ok(reference)
    }

    /// The initial policy on a device.
    fn learner(&self, device: &Device) -> Learner<Scorer> {
        let policy = Scorer::new(&self.network, 0, &device.clone().autodiff());
        let reference = Some(policy.valid());
        let optimizer = AdamWConfig::new().with_weight_decay(0.01).init();
        Learner { policy, reference, optimizer, consecutive_skips: 0, ranks: Ranks::alone() }
    }

    /// The policy's own embeddings of all rows, on its device.
    fn embed(&self, policy: &Scorer) -> Tensor<2> {
        let rows: Vec<usize> = (0..self.batch.rows()).collect();
        policy.embed(&self.batch.inputs, &rows)
    }

    /// The host engine's advantages.
    async fn host_credit(&self, embeddings: Tensor<2>) -> Result<Vec<f32>> {
        let [_, width] = embeddings.dims();
        let embeddings = Embeddings::Steps { values: read_async(embeddings).await?, width };
        let batch = self.rewarded.with_embeddings(embeddings)?;
        Ok(credit::assign(&batch, &credit_settings())?.advantages_f32())
    }

    async fn update(&self, learner: &mut Learner<Scorer>, update: u64) -> Result<UpdateStats> {
        self.update_by(learner, &self.advantages, update).await
    }

    async fn update_by(
        &self,
        learner: &mut Learner<Scorer>,
        advantages: &[f32],
        update: u64,
    ) -> Result<UpdateStats> {
        let config = settings();
        let batch = UpdateBatch {
            batch: &self.batch,
            advantages,
            returns: &[],
            temperature: 1.0,
            config: &config,
            learning_rate: LEARNING_RATE,
            shuffle: Stream::new(0, Purpose::Minibatches).at(update),
        };
        learner.learn_async(&batch).await
    }

    /// The gradient of the objective over all rows, all weights end to end.
    async fn gradient(&self, policy: &Scorer) -> Result<Vec<f32>> {
        self.gradient_by(policy, &self.advantages).await
    }

    async fn gradient_by(&self, policy: &Scorer, advantages: &[f32]) -> Result<Vec<f32>> {
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
            advantages: column(advantages),
            weights: column(&vec![1.0 / rows.len() as f32; rows.len()]),
            values: None,
            scores,
        };
        let total = loss(inputs, &settings()).total;
        let gradients = GradientsParams::from_grads(total.backward(), policy);
        let mut all = Gradients { of: &gradients, tensors: Vec::new() };
        policy.visit(&mut all);
        read_async(Tensor::cat(all.tensors, 0)).await
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
/// Fails if the device does.
pub async fn weights_async(policy: &Scorer) -> Result<Vec<f32>> {
    struct Weights(Vec<Tensor<1>>);
    impl ModuleVisitor for Weights {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(param.val().without_autodiff().reshape([-1]));
        }
    }
    let mut weights = Weights(Vec::new());
    policy.visit(&mut weights);
    read_async(Tensor::cat(weights.0, 0)).await
}

/// [`weights_async`], blocking.
///
/// # Errors
/// As [`weights_async`].
pub fn weights(policy: &Scorer) -> Result<Vec<f32>> {
    pollster::block_on(weights_async(policy))
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

/// Gradients at the weights of flex's updates.
pub(super) async fn gradients(device: &Device) -> Result<Comparisons> {
    let reference = reference()?;
    let mut comparisons = Comparisons::default();
    let mut policy = Scorer::new(&reference.network, 0, &device.clone().autodiff());
    for (update, expected) in reference.gradients.iter().enumerate() {
        policy = with_weights(policy, &reference.weights[update]);
        let found = reference.gradient(&policy).await?;
        let what = format!("the gradient of update {update}");
        comparisons.compare(what, &found, &wide(expected), GRADIENT_BOUND);
        // The training uses the same gradient.
        let norm = found.iter().map(|&one| f64::from(one).powi(2)).sum::<f64>().sqrt();
        let reported = reference.stats[update].gradient_norm;
        comparisons.record(
            format!("the norm of update {update}"),
            off(norm, reported),
            GRADIENT_BOUND,
        );
    }
    Ok(comparisons)
}

/// The statistics of each update.
pub(super) async fn losses(device: &Device) -> Result<Comparisons> {
    let reference = reference()?;
    let mut comparisons = Comparisons::default();
    let mut learner = reference.learner(device);
    for (update, expected) in (0..UPDATES).zip(&reference.stats) {
        let found = reference.update(&mut learner, update).await?;
        let name = |what: &str| format!("{what} of update {update}");
        for (what, found, expected) in [
            ("the loss", found.loss, expected.loss),
            ("the surrogate", found.policy_loss, expected.policy_loss),
            ("the divergence", found.kl, expected.kl),
            ("the entropy", found.entropy, expected.entropy),
            ("the norm of the gradient", found.gradient_norm, expected.gradient_norm),
        ] {
            comparisons.record(name(what), off(found, expected), LOSS_BOUND);
        }
        comparisons.expect(name("the count"), (found.updates, found.skipped) == (1, 0));
    }
    Ok(comparisons)
}

/// Every weight after each update of a training of its own.
pub(super) async fn trained_weights(device: &Device) -> Result<Comparisons> {
    let reference = reference()?;
    let mut comparisons = Comparisons::default();
    let mut learner = reference.learner(device);
    for update in 0..UPDATES {
        reference.update(&mut learner, update).await?;
        let found = weights_async(&learner.policy).await?;
        let expected = &reference.weights[update as usize + 1];
        let apart = found.iter().zip(expected).map(|(a, b)| f64::from((a - b).abs()));
        let worst =
            apart.fold(0.0, |worst, one| if one > worst || one.is_nan() { one } else { worst });
        comparisons.expect("the number of weights", found.len() == expected.len());
        comparisons.record(format!("a weight after update {update}"), worst, WEIGHT_BOUND);
    }
    Ok(comparisons)
}

/// The device engine's credit along a training with the host engine on flex, at the same weights:
/// advantages from the policy's embeddings, and gradients of the objective with them.
pub(super) async fn device_credit(device: &Device) -> Result<Comparisons> {
    let reference = reference()?;
    let updates = HOST_CREDIT.as_ref();
    let updates = updates.map_err(|error| Error::Run(format!("flex cannot train: {error}")))?;
    let mut comparisons = Comparisons::default();
    let mut policy = Scorer::new(&reference.network, 0, &device.clone().autodiff());
    let (config, mut state) = (credit_settings(), CreditState::default());
    for (update, expected) in updates.iter().enumerate() {
        policy = with_weights(policy, &expected.weights);
        let embeddings = Some(reference.embed(&policy.valid()));
        let credit =
            kernels::assign_async(&reference.rewarded, embeddings, device, &config, &mut state);
        let credit = credit.await?;
        let name = format!("the advantages of update {update}");
        let advantages = wide(&expected.advantages);
        comparisons.compare(name, &credit.advantages_f32(), &advantages, CREDIT_BOUND);
        let gradient = reference.gradient_by(&policy, &credit.advantages_f32()).await?;
        let name = format!("the gradient of update {update}");
        comparisons.compare(name, &gradient, &wide(&expected.gradient), GRADIENT_BOUND);
    }
    Ok(comparisons)
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// The distance; relative for numbers above 1.
fn off(found: f64, expected: f64) -> f64 {
    (found - expected).abs() / expected.abs().max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compared_training_changes_weights_and_losses() {
        let reference = reference().unwrap();
        let (first, last) = (&reference.weights[0], &reference.weights[UPDATES as usize]);
        let moved = first.iter().zip(last).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(f64::from(moved) > 10.0 * WEIGHT_BOUND, "weights moved by {moved}");
        let (first, last) = (reference.stats[0], reference.stats[UPDATES as usize - 1]);
        assert!(first.loss - last.loss > 100.0 * LOSS_BOUND, "{} {}", first.loss, last.loss);
        assert!(last.kl > 10.0 * LOSS_BOUND, "{}", last.kl);
        let norms: Vec<f64> = reference.stats.iter().map(|one| one.gradient_norm).collect();
        let most = f64::from(settings().max_gradient_norm);
        assert!(norms.iter().any(|&norm| norm > most), "none was clipped: {norms:?}");
    }

    #[test]
    fn other_weights_fail_the_comparison() {
        let reference = reference().unwrap();
        let mut policy = Scorer::new(&reference.network, 0, &Device::flex().autodiff());
        let mut other = reference.weights[3].clone();
        policy = with_weights(policy, &other);
        assert_eq!(weights(&policy).unwrap(), other);
        let gradient = |policy: &Scorer| pollster::block_on(reference.gradient(policy)).unwrap();
        assert_eq!(gradient(&policy), reference.gradients[3]);
        other[0] += 0.5;
        other[1000] += 0.5;
        policy = with_weights(policy, &other);
        let mut comparisons = Comparisons::default();
        let (found, expected) = (gradient(&policy), &reference.gradients[3]);
        comparisons.compare("gradient", &found, &wide(expected), GRADIENT_BOUND);
        assert_eq!(comparisons.failed, 1);
    }
}
