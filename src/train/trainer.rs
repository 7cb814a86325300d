//! The training loop's heart: one iteration, from tasks to a changed policy.

use rand::seq::index;
use web_time::Instant;

use super::config::Config;
use super::metrics::{IterationMetrics, Seconds};
use super::optimizer::adamw;
use super::update::{Learner, Lesson};
use crate::credit::{self, Credit, CreditBatch, Embedding, Embeddings, MOST_REWARD};
use crate::device::read;
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::policy::{Encoder, Policy, Sampling};
use crate::rollout::{Plan, RolloutBatch, collect_with};
use crate::stream::{Purpose, Stream};

/// Trains a policy, one iteration a call. Touches no file.
pub struct Trainer<P: Policy> {
    /// All settings.
    pub config: Config,
    /// The policy and its optimizer.
    pub learner: Learner<P>,
    /// The policy's host half.
    pub encoder: P::Encoder,
    /// Iterations done.
    pub iteration: u64,
    /// Environment steps done.
    pub steps: u64,
    /// What credit assignment carries from one iteration to the next.
    pub credit_state: credit::CreditState,
}

type Batch<P> = RolloutBatch<<<P as Policy>::Encoder as Encoder>::Inputs>;

impl<P: Policy> Trainer<P> {
    /// A trainer at iteration 0. `policy` lives on a device with autodiff; it is also the reference
    /// that the KL term holds it to.
    pub fn new(config: Config, policy: P, encoder: P::Encoder) -> Self {
        let optimizer = adamw(config.update.weight_decay);
        let reference = (config.update.kl_weight > 0.0).then(|| policy.valid());
        let learner = Learner { policy, reference, optimizer, bad_updates: 0 };
        let credit_state = credit::CreditState::default();
        Self { config, learner, encoder, iteration: 0, steps: 0, credit_state }
    }

    /// Plays, assigns credit, learns. `progress` says how much of the run is done, in [0, 1], which
    /// is what the learning rate goes by.
    ///
    /// # Errors
    /// Fails where an environment or the device does, or after too many updates that were not finite.
    pub fn iterate(
        &mut self,
        environment: &dyn Environment,
        progress: f64,
    ) -> Result<(IterationMetrics, Batch<P>)> {
        let begun = Instant::now();
        let batch = self.play(environment)?;
        let played = Instant::now();
        let credit = self.assign(&batch)?;
        let assigned = Instant::now();
        let update = &self.config.update;
        let learning_rate = update.learning_rate_at(self.iteration, progress);
        let stats = self.learner.learn(&Lesson {
            batch: &batch,
            advantages: &credit.advantages,
            temperature: self.config.rollout.temperature,
            config: update,
            learning_rate,
            shuffle: Stream::new(self.config.run.seed, Purpose::Minibatches).at(self.iteration),
        })?;
        self.iteration += 1;
        self.steps += batch.rows() as u64;
        let metrics = IterationMetrics {
            iteration: self.iteration,
            steps: self.steps,
            success: batch.success_rate(),
            mean_return: batch.mean_return(),
            length: batch.mean_length(),
            environment_errors: batch.errors.len(),
            invalid: share(batch.valid.iter().map(|valid| !valid)),
            mixed_groups: mixed_groups(&batch),
            loss: stats.loss,
            policy_loss: stats.policy_loss,
            kl: stats.kl,
            entropy: stats.entropy,
            clip_fraction: stats.clip_fraction,
            gradient_norm: stats.gradient_norm,
            learning_rate,
            skipped_updates: stats.skipped,
            credit: serde_json::to_value(&credit.diagnostics)
                .map_err(|error| Error::Run(format!("cannot write credit diagnostics: {error}")))?,
            seconds: Seconds {
                rollout: (played - begun).as_secs_f64(),
                credit: (assigned - played).as_secs_f64(),
                update: assigned.elapsed().as_secs_f64(),
                elapsed: 0.0,
            },
            evaluation: None,
        };
        Ok((metrics, batch))
    }

    /// Plays this iteration's groups, each on a task of its own.
    fn play(&self, environment: &dyn Environment) -> Result<Batch<P>> {
        let (seed, rollout) = (self.config.run.seed, &self.config.rollout);
        let total = environment.tasks();
        let mut rng = Stream::new(seed, Purpose::Tasks).at(self.iteration).rng();
        let tasks = index::sample(&mut rng, total, rollout.groups.min(total)).into_vec();
        let plan = Plan {
            tasks: &tasks,
            episodes: rollout.episodes,
            sampling: Sampling::Temperature(rollout.temperature),
            seed,
            iteration: self.iteration,
        };
        let policy = self.learner.policy.valid();
        let batch = collect_with(environment, &policy, &self.encoder, &plan, &rollout.limits())?;
        batch.expect_episodes()?;
        Ok(batch)
    }

    /// The policy's own embedding of every row and its width, where the settings ask for embeddings
    /// that are given; else nothing and 0.
    fn embed(&self, batch: &Batch<P>) -> Result<(Vec<f32>, usize)> {
        if self.config.credit.embedding != Embedding::Given {
            return Ok((Vec::new(), 0));
        }
        let (mut values, mut width) = (Vec::new(), 0);
        let policy = self.learner.policy.valid();
        let rows: Vec<usize> = (0..batch.rows()).collect();
        for rows in rows.chunks(self.config.update.minibatch) {
            let embedded = policy.embed(&batch.inputs, rows);
            width = embedded.dims()[1];
            values.extend(read(embedded)?);
        }
        Ok((values, width))
    }

    /// What each step was worth.
    fn assign(&mut self, batch: &Batch<P>) -> Result<Credit> {
        let penalty = self.config.update.invalid_action_penalty;
        let rewards: Vec<f32> = batch
            .rewards
            .iter()
            .zip(&batch.valid)
            .map(
                |(&reward, &valid)| {
                    if valid { reward } else { (reward - penalty).max(-MOST_REWARD) }
                },
            )
            .collect();
        let texts: Vec<&str> = batch.texts.iter().map(String::as_str).collect();
        let (values, width) = self.embed(batch)?;
        let embeddings = (width > 0).then_some(Embeddings::Steps { values: &values, width });
        let rows = CreditBatch {
            group_offsets: &batch.group_offsets,
            episode_offsets: &batch.episode_offsets,
            rewards: &rewards,
            success: &batch.success,
            valid: &batch.valid,
            observations: &batch.observations,
            texts: &texts,
            final_observations: Some(&batch.final_observations),
            embeddings,
        };
        credit::assign_with(&rows, &self.config.credit, &mut self.credit_state)
    }
}

fn share(flags: impl ExactSizeIterator<Item = bool>) -> f64 {
    let total = flags.len().max(1) as f64;
    flags.filter(|&flag| flag).count() as f64 / total
}

/// The share of groups in which some episodes won and some did not.
fn mixed_groups<I>(batch: &RolloutBatch<I>) -> f64 {
    let groups = batch.group_offsets.windows(2).map(|bounds| {
        let won = &batch.success[bounds[0]..bounds[1]];
        won.iter().any(|&won| won) && !won.iter().all(|&won| won)
    });
    share(groups)
}
