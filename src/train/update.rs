//! One iteration's updates: epochs of shuffled minibatches.

use burn::optim::ModuleOptimizer;
use rand::seq::SliceRandom;

use super::blame::blame;
use super::config::UpdateConfig;
use super::gradient::{Objective, differentiate, read_back};
use crate::device::read;
use crate::error::{Error, Result};
use crate::parallel::par_map;
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
    /// Fails where the device does, or after `max_skipped_updates` skipped updates in a row.
    pub fn learn(
        &mut self,
        lesson: &Lesson<<P::Encoder as Encoder>::Inputs>,
    ) -> Result<UpdateStats> {
        let reference = self.reference_log_probs(lesson)?;
        self.descend(lesson, &Objective::Surrogate(reference))
    }

    /// Learns to respond as the batch's responses do. Advantages play no part.
    ///
    /// # Errors
    /// As [`Learner::learn`].
    pub fn imitate(
        &mut self,
        lesson: &Lesson<<P::Encoder as Encoder>::Inputs>,
    ) -> Result<UpdateStats> {
        self.descend(lesson, &Objective::Imitation)
    }

    /// Epochs of shuffled minibatches down an objective.
    fn descend(
        &mut self,
        lesson: &Lesson<<P::Encoder as Encoder>::Inputs>,
        objective: &Objective,
    ) -> Result<UpdateStats> {
        let config = lesson.config;
        let mut rows: Vec<usize> = (0..lesson.batch.rows()).collect();
        let mut rng = lesson.shuffle.rng();
        let mut stats = UpdateStats::default();
        for _ in 0..config.epochs {
            rows.shuffle(&mut rng);
            for rows in rows.chunks(even(rows.len(), config.minibatch)) {
                self.step(lesson, rows, objective, &mut stats)?;
                if self.bad_updates >= config.max_skipped_updates {
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
        let parts: Vec<&[usize]> = rows.chunks(lesson.config.minibatch).collect();
        let log_probs = par_map(parts.len(), |part| {
            let responses = batch.responses.select(parts[part]);
            let scores =
                reference.evaluate(&batch.inputs, parts[part], &responses, lesson.temperature);
            let width = responses.width();
            let padded = read(scores.log_probs)?;
            let own = padded.chunks_exact(width).enumerate();
            Ok(own
                .flat_map(|(row, padded)| &padded[..responses.range(row).len()])
                .copied()
                .collect())
        });
        let log_probs: Result<Vec<Vec<f32>>> = log_probs.into_iter().collect();
        Ok(Some(log_probs?.concat()))
    }

    fn step(
        &mut self,
        lesson: &Lesson<<P::Encoder as Encoder>::Inputs>,
        rows: &[usize],
        objective: &Objective,
        stats: &mut UpdateStats,
    ) -> Result<()> {
        let (numbers, mut gradient) = differentiate(&self.policy, lesson, rows, objective);
        let (numbers, norm) = read_back(numbers, &gradient, &self.policy)?;
        if !(norm.is_finite() && numbers.iter().all(|number| number.is_finite())) {
            stats.skipped += 1;
            self.bad_updates += 1;
            return Ok(());
        }
        self.bad_updates = 0;
        let limit = f64::from(lesson.config.max_gradient_norm);
        if norm > limit {
            gradient.scale(&self.policy, (limit / norm) as f32);
        }
        self.policy = self.optimizer.step(lesson.learning_rate, self.policy.clone(), gradient.0);
        stats.add(numbers, norm);
        Ok(())
    }
}

/// The size of equal pieces of at most `largest` that make up `total`.
fn even(total: usize, largest: usize) -> usize {
    let pieces = total.div_ceil(largest.max(1)).max(1);
    total.div_ceil(pieces).max(1)
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
