//! One iteration's updates: epochs of shuffled minibatches.

use burn::optim::ModuleOptimizer;
use rand::seq::SliceRandom;

use super::gradient::{Objective, differentiate, read_back};
use super::locate::describe_non_finite;
use super::loss::Loss;
use super::progress::UpdateProgress;
use super::update_batch::UpdateBatch;
use crate::error::{Error, Result};
use crate::policy::{Inputs, InputsOf, Policy, read_parts};
use crate::ranks::Ranks;

/// A policy in training, and the state of its optimizer.
pub struct Learner<P> {
    /// The policy, on a device with autodiff.
    pub policy: P,
    /// The reference policy of the KL term, on the device without autodiff.
    pub reference: Option<P>,
    /// AdamW.
    pub optimizer: ModuleOptimizer,
    /// Number of consecutive updates that were skipped because a value was not finite.
    pub consecutive_skips: usize,
    /// The ranks that train together. Each computes some shards of a minibatch.
    pub ranks: Ranks,
}

/// Means over an iteration's updates.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct UpdateStats {
    /// The loss.
    pub loss: f64,
    /// Its surrogate term.
    pub policy_loss: f64,
    /// KL divergence from the reference policy.
    pub kl: f64,
    /// Entropy, in nats.
    pub entropy: f64,
    /// Fraction of tokens whose objective the clip reduced.
    pub clip_fraction: f64,
    /// Mean of `|l - l_old|` over the tokens of the first minibatch, before any step: the rounding
    /// between sampling and scoring.
    pub ratio_gap: f64,
    /// Gradient norm before clipping.
    pub gradient_norm: f64,
    /// Loss of the value head; 0 without one.
    pub value_loss: f64,
    /// Number of updates.
    pub updates: usize,
    /// Number of updates that were skipped because a value was not finite.
    pub skipped: usize,
}

impl<P: Policy> Learner<P> {
    /// Updates the policy on one iteration's rows.
    ///
    /// An update whose loss or gradient is not finite is skipped and counted; it changes nothing else.
    ///
    /// # Errors
    /// Fails if the device fails, or after `max_skipped_updates` consecutive skipped updates.
    pub async fn learn_async(
        &mut self,
        update: &UpdateBatch<'_, InputsOf<P>>,
    ) -> Result<UpdateStats> {
        self.learn_watched_async(update, &mut |_| {}).await
    }

    /// [`Learner::learn_async`] that tells `watch` how far it is.
    ///
    /// # Errors
    /// As [`Learner::learn_async`].
    pub async fn learn_watched_async(
        &mut self,
        update: &UpdateBatch<'_, InputsOf<P>>,
        watch: &mut dyn FnMut(UpdateProgress),
    ) -> Result<UpdateStats> {
        let reference = self.reference_log_probs(update).await?;
        self.minimise(update, &Objective::Surrogate(reference), watch).await
    }

    /// [`Learner::learn_async`], blocking.
    ///
    /// # Errors
    /// As [`Learner::learn_async`].
    pub fn learn(&mut self, update: &UpdateBatch<InputsOf<P>>) -> Result<UpdateStats> {
        pollster::block_on(self.learn_async(update))
    }

    /// Updates the policy towards the batch's responses, and towards predictions of its observations with
    /// `observation_weight`. Advantages are ignored.
    ///
    /// # Errors
    /// As [`Learner::learn_async`].
    pub async fn imitate_async(
        &mut self,
        update: &UpdateBatch<'_, InputsOf<P>>,
        observation_weight: f64,
    ) -> Result<UpdateStats> {
        self.imitate_watched_async(update, observation_weight, &mut |_| {}).await
    }

    /// [`Learner::imitate_async`] that tells `watch` how far it is.
    ///
    /// # Errors
    /// As [`Learner::learn_async`].
    pub async fn imitate_watched_async(
        &mut self,
        update: &UpdateBatch<'_, InputsOf<P>>,
        observation_weight: f64,
        watch: &mut dyn FnMut(UpdateProgress),
    ) -> Result<UpdateStats> {
        self.minimise(update, &Objective::Imitation { observation_weight }, watch).await
    }

    /// [`Learner::imitate_async`], blocking.
    ///
    /// # Errors
    /// As [`Learner::learn_async`].
    pub fn imitate(
        &mut self,
        update: &UpdateBatch<InputsOf<P>>,
        observation_weight: f64,
    ) -> Result<UpdateStats> {
        pollster::block_on(self.imitate_async(update, observation_weight))
    }

    /// Minimises an objective over epochs of shuffled minibatches.
    async fn minimise(
        &mut self,
        update: &UpdateBatch<'_, InputsOf<P>>,
        objective: &Objective,
        watch: &mut dyn FnMut(UpdateProgress),
    ) -> Result<UpdateStats> {
        let config = update.config;
        let rows: Vec<usize> = learnt_rows(update.batch.rows(), &update.batch.left_out);
        let mut units = units(&update.batch.inputs, &rows);
        let size = minibatch_size(rows.len(), config.minibatch);
        let mut rng = update.shuffle.rng();
        let mut stats = UpdateStats::default();
        let mut done = 0;
        for epoch in 0..config.epochs {
            units.shuffle(&mut rng);
            let minibatches = minibatches(&units, size);
            // Later epochs are shuffled in another way, and may have one more or less.
            let total = done + minibatches.len() * (config.epochs - epoch);
            for rows in minibatches {
                watch(UpdateProgress { done, total });
                done += 1;
                self.step(update, &rows, objective, &mut stats).await?;
                if self.consecutive_skips >= config.max_skipped_updates {
                    return Err(Error::Run(format!(
                        "{} consecutive updates had a loss or gradient that is not finite; the last: \
                         {}; lower update.learning_rate, or check the rewards for extreme values (the \
                         last good state is in the checkpoints)",
                        self.consecutive_skips,
                        describe_non_finite(&self.policy, update, &rows).await?
                    )));
                }
            }
        }
        stats.finish();
        Ok(stats)
    }

    /// The reference policy's log-probability of every token, in the order of the batch. `None` if the
    /// objective has no KL term.
    async fn reference_log_probs(
        &self,
        update: &UpdateBatch<'_, InputsOf<P>>,
    ) -> Result<Option<Vec<f32>>> {
        let Some(reference) = self.reference.as_ref().filter(|_| update.config.kl_weight > 0.0)
        else {
            return Ok(None);
        };
        let batch = update.batch;
        let rows: Vec<usize> = (0..batch.rows()).collect();
        let parts = match reference.parts(&batch.inputs, &rows) {
            Some(parts) => parts,
            None => rows.chunks(update.config.minibatch).map(<[usize]>::to_vec).collect(),
        };
        let device = reference.devices().into_iter().next().unwrap_or_default();
        let own = self.ranks.own(parts.len());
        let padded = read_parts(&device, own.len(), |place| {
            let part = &parts[own[place]];
            let responses = batch.responses.select(part);
            reference.evaluate(&batch.inputs, part, &responses, update.temperature).log_probs
        });
        let padded = self.ranks.gather_values(parts.len(), padded.await)?;
        let mut log_probs = vec![0.0; batch.responses.tokens.len()];
        for (padded, rows) in padded.iter().zip(&parts) {
            let width = padded.len() / rows.len();
            for (padded, &row) in padded.chunks_exact(width).zip(rows) {
                let range = batch.responses.range(row);
                log_probs[range.clone()].copy_from_slice(&padded[..range.len()]);
            }
        }
        Ok(Some(log_probs))
    }

    /// One minibatch.
    async fn step(
        &mut self,
        update: &UpdateBatch<'_, InputsOf<P>>,
        rows: &[usize],
        objective: &Objective,
        stats: &mut UpdateStats,
    ) -> Result<()> {
        let gradient = differentiate(&self.policy, update, rows, objective, &self.ranks);
        let (loss, mut gradient) = gradient.await?;
        let (loss, norm) = read_back(loss, &gradient, &self.policy).await?;
        if !(norm.is_finite() && loss.iter().all(|value| value.is_finite())) {
            stats.skipped += 1;
            self.consecutive_skips += 1;
            return Ok(());
        }
        self.consecutive_skips = 0;
        let limit = f64::from(update.config.max_gradient_norm);
        if norm > limit {
            gradient.scale(&self.policy, (limit / norm) as f32);
        }
        self.policy = self.optimizer.step(update.learning_rate, self.policy.clone(), gradient.0);
        stats.add(loss, norm);
        Ok(())
    }
}

/// The rows among the first `rows` that are not left out. `left_out` is in ascending order.
fn learnt_rows(rows: usize, left_out: &[usize]) -> Vec<usize> {
    (0..rows).filter(|row| left_out.binary_search(row).is_err()).collect()
}

/// The rows of each unit, which are adjacent.
fn units<I: Inputs>(inputs: &I, rows: &[usize]) -> Vec<Vec<usize>> {
    let is_same = |one: &usize, other: &usize| inputs.unit(*one) == inputs.unit(*other);
    rows.chunk_by(is_same).map(<[usize]>::to_vec).collect()
}

/// Minibatches of whole units, each with at least `size` rows, except the last.
fn minibatches(units: &[Vec<usize>], size: usize) -> Vec<Vec<usize>> {
    let mut minibatches: Vec<Vec<usize>> = Vec::new();
    for unit in units {
        match minibatches.last_mut().filter(|rows| rows.len() < size) {
            Some(rows) => rows.extend(unit),
            None => minibatches.push(unit.clone()),
        }
    }
    minibatches
}

/// The size of minibatches of equal size, at most `largest`, that cover `total` rows.
fn minibatch_size(total: usize, largest: usize) -> usize {
    let pieces = total.div_ceil(largest.max(1)).max(1);
    total.div_ceil(pieces).max(1)
}

impl UpdateStats {
    fn add(
        &mut self,
        [loss, policy, kl, entropy, clip, gap, value]: [f64; Loss::VALUES],
        norm: f64,
    ) {
        if self.updates == 0 {
            self.ratio_gap = gap;
        }
        self.loss += loss;
        self.policy_loss += policy;
        self.kl += kl;
        self.entropy += entropy;
        self.clip_fraction += clip;
        self.value_loss += value;
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
            &mut self.value_loss,
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
    fn a_minibatch_takes_whole_units() {
        let units = [vec![0, 1], vec![2], vec![3, 4, 5], vec![6]];
        assert_eq!(minibatches(&units, 2), [vec![0, 1], vec![2, 3, 4, 5], vec![6]]);
        assert_eq!(minibatches(&units, 100), [(0..7).collect::<Vec<_>>()]);
    }

    #[test]
    fn minibatches_have_equal_sizes() {
        assert_eq!(minibatch_size(1000, 300), 250);
        assert_eq!(minibatch_size(5, 100), 5);
        assert_eq!(minibatch_size(0, 100), 1);
        assert_eq!(minibatch_size(101, 100), 51);
    }
}
