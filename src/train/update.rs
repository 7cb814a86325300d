//! One iteration's updates: epochs of shuffled minibatches.

use burn::module::{ModuleVisitor, Param};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor, TensorData};
use rand::seq::SliceRandom;

use super::blame::blame;
use super::config::UpdateConfig;
use super::loss::{Loss, LossInputs, loss};
use crate::device::read;
use crate::error::{Error, Result};
use crate::policy::{Encoder, Policy};
use crate::rollout::RolloutBatch;
use crate::stream::Stream;

/// What is trained, and the state of its optimizer.
pub struct Learner<P> {
    /// The policy, on a device with autodiff.
    pub policy: P,
    /// What the KL term holds the policy to, on the device without autodiff.
    pub reference: Option<P>,
    /// AdamW.
    pub optimizer: ModuleOptimizer,
    /// Updates in a row that were skipped because a number was not finite.
    pub bad_updates: usize,
}

/// Means over an iteration's updates.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct UpdateStats {
    /// The whole objective.
    pub loss: f64,
    /// Its surrogate part.
    pub policy_loss: f64,
    /// Divergence from the reference policy.
    pub kl: f64,
    /// Entropy, in nats.
    pub entropy: f64,
    /// Share of tokens that the clip held back.
    pub clip_fraction: f64,
    /// Norm of the gradient before it is scaled down.
    pub gradient_norm: f64,
    /// Updates that were made.
    pub updates: usize,
    /// Updates that were skipped because a number was not finite.
    pub skipped: usize,
}

/// Rows of one iteration with their advantages, and how to learn from them.
pub struct Lesson<'a, I> {
    /// What was played.
    pub batch: &'a RolloutBatch<I>,
    /// `[rows]`: what each step is worth.
    pub advantages: &'a [f32],
    /// The temperature that responses were drawn at.
    pub temperature: f32,
    /// How to learn.
    pub config: &'a UpdateConfig,
    /// The learning rate of this iteration.
    pub learning_rate: f64,
    /// Where the order of rows comes from.
    pub shuffle: Stream,
}

impl<P: Policy> Learner<P> {
    /// Learns from one iteration's rows.
    ///
    /// A loss or a gradient that is not finite changes nothing but the count of skipped updates.
    ///
    /// # Errors
    /// Fails where the device does, or after `max_bad_updates` skipped updates in a row.
    pub fn learn(
        &mut self,
        lesson: &Lesson<<P::Encoder as Encoder>::Inputs>,
    ) -> Result<UpdateStats> {
        let config = lesson.config;
        let reference = self.reference_log_probs(lesson)?;
        let mut rows: Vec<usize> = (0..lesson.batch.rows()).collect();
        let mut rng = lesson.shuffle.rng();
        let mut stats = UpdateStats::default();
        for _ in 0..config.epochs {
            rows.shuffle(&mut rng);
            for rows in rows.chunks(even(rows.len(), config.minibatch)) {
                self.step(lesson, rows, reference.as_deref(), &mut stats)?;
                if self.bad_updates >= config.max_bad_updates {
                    return Err(Error::Run(format!(
                        "{} updates in a row had a loss or gradient that was not finite; the last: \
                         {}; lower update.learning_rate, or look for extreme rewards (the last good \
                         state is in the checkpoints)",
                        self.bad_updates,
                        blame(&self.policy, lesson, rows)?
                    )));
                }
            }
        }
        stats.finish();
        Ok(stats)
    }

    /// The reference policy's log-probability of every token, in the order of the batch.
    fn reference_log_probs(
        &self,
        lesson: &Lesson<<P::Encoder as Encoder>::Inputs>,
    ) -> Result<Option<Vec<f32>>> {
        let Some(reference) = self.reference.as_ref().filter(|_| lesson.config.kl_weight > 0.0)
        else {
            return Ok(None);
        };
        let batch = lesson.batch;
        let rows: Vec<usize> = (0..batch.rows()).collect();
        let mut log_probs = Vec::with_capacity(batch.responses.tokens.len());
        for rows in rows.chunks(lesson.config.minibatch) {
            let responses = batch.responses.select(rows);
            let scores = reference.evaluate(&batch.inputs, rows, &responses, lesson.temperature);
            let width = responses.width();
            let padded = read(scores.log_probs)?;
            for (row, padded) in padded.chunks_exact(width).enumerate() {
                log_probs.extend_from_slice(&padded[..responses.range(row).len()]);
            }
        }
        Ok(Some(log_probs))
    }

    fn step(
        &mut self,
        lesson: &Lesson<<P::Encoder as Encoder>::Inputs>,
        rows: &[usize],
        reference: Option<&[f32]>,
        stats: &mut UpdateStats,
    ) -> Result<()> {
        let batch = lesson.batch;
        let responses = batch.responses.select(rows);
        let scores = self.policy.evaluate(&batch.inputs, rows, &responses, lesson.temperature);
        let device = scores.log_probs.device();
        let width = responses.width();
        let pad = |token: &dyn Fn(usize, usize) -> f32| {
            padded(rows, width, &device, |row| batch.responses.range(row), token)
        };
        let losses = loss(
            LossInputs {
                old_log_probs: pad(&|_, token| batch.responses.log_probs[token]),
                reference_log_probs: reference.map(|values| pad(&|_, token| values[token])),
                advantages: pad(&|row, _| lesson.advantages[row]),
                scores,
            },
            lesson.config,
        );
        let mut gradients = GradientsParams::from_grads(losses.total.backward(), &self.policy);
        let (numbers, norm) = read_back(&losses, &gradients, &self.policy)?;
        if !(norm.is_finite() && numbers.iter().all(|number| number.is_finite())) {
            stats.skipped += 1;
            self.bad_updates += 1;
            return Ok(());
        }
        self.bad_updates = 0;
        let limit = f64::from(lesson.config.max_gradient_norm);
        if norm > limit {
            let mut scale = Scale { gradients: &mut gradients, factor: (limit / norm) as f32 };
            self.policy.visit(&mut scale);
        }
        self.policy = self.optimizer.step(lesson.learning_rate, self.policy.clone(), gradients);
        stats.add(numbers, norm);
        Ok(())
    }
}

/// The size of equal pieces of at most `largest` that make up `total`.
fn even(total: usize, largest: usize) -> usize {
    let pieces = total.div_ceil(largest.max(1)).max(1);
    total.div_ceil(pieces).max(1)
}

/// Values of tokens as a `[rows, width]` tensor, 0 where there is no token.
fn padded(
    rows: &[usize],
    width: usize,
    device: &Device,
    range: impl Fn(usize) -> std::ops::Range<usize>,
    value: &dyn Fn(usize, usize) -> f32,
) -> Tensor<2> {
    let mut values = vec![0.0; rows.len() * width];
    for (line, &row) in values.chunks_exact_mut(width).zip(rows) {
        for (place, token) in line.iter_mut().zip(range(row)) {
            *place = value(row, token);
        }
    }
    Tensor::from_data(TensorData::new(values, [rows.len(), width]), device)
}

/// Losses and the gradient's norm, in one transfer from the device.
fn read_back<P: Policy>(
    losses: &Loss,
    gradients: &GradientsParams,
    policy: &P,
) -> Result<([f64; 5], f64)> {
    let mut squares = Squares { gradients, sums: Vec::new() };
    policy.visit(&mut squares);
    let parts = [&losses.total, &losses.policy, &losses.kl, &losses.entropy, &losses.clip_fraction];
    let mut all: Vec<Tensor<1>> =
        parts.iter().map(|part| (*part).clone().without_autodiff()).collect();
    all.append(&mut squares.sums);
    let values = read(Tensor::cat(all, 0))?;
    let mut numbers = [0.0; 5];
    for (number, value) in numbers.iter_mut().zip(&values) {
        *number = f64::from(*value);
    }
    let sum: f64 = values[numbers.len()..].iter().map(|value| f64::from(*value)).sum();
    Ok((numbers, sum.sqrt()))
}

struct Squares<'a> {
    gradients: &'a GradientsParams,
    sums: Vec<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.sums.push(gradient.square().sum());
        }
    }
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    factor: f32,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients.register(param.id, gradient.mul_scalar(self.factor));
        }
    }
}

impl UpdateStats {
    fn add(&mut self, [loss, policy, kl, entropy, clip]: [f64; 5], norm: f64) {
        self.loss += loss;
        self.policy_loss += policy;
        self.kl += kl;
        self.entropy += entropy;
        self.clip_fraction += clip;
        self.gradient_norm += norm;
        self.updates += 1;
    }

    /// Turns sums into means.
    fn finish(&mut self) {
        let count = self.updates.max(1) as f64;
        for sum in [
            &mut self.loss,
            &mut self.policy_loss,
            &mut self.kl,
            &mut self.entropy,
            &mut self.clip_fraction,
            &mut self.gradient_norm,
        ] {
            *sum /= count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minibatches_are_even() {
        assert_eq!(even(1000, 300), 250);
        assert_eq!(even(5, 100), 5);
        assert_eq!(even(0, 100), 1);
        assert_eq!(even(101, 100), 51);
    }
}
