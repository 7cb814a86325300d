//! The trainer: one iteration, from tasks to an updated policy.

use std::mem::take;

use rand::seq::index;
use web_time::Instant;

use super::assign::CreditStep;
use super::config::Config;
use super::distributed_config::DistributedConfig;
use super::metrics::{IterationMetrics, Seconds, ValueMetrics};
use super::progress::{IterationProgress, UpdateProgress};
use super::rank_metrics::RankMetrics;
use super::statistics::RolloutStatistics;
use super::update::{Learner, UpdateStats};
use super::update_batch::UpdateBatch;
use super::update_config::UpdateConfig;
use crate::credit::diagnostics::explained;
use crate::credit::{self, Credit};
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::kernels;
use crate::optimizer::adamw;
use crate::policy::{EncoderOf, InputsOf, Policy, Sampling};
use crate::ranks::Ranks;
use crate::rollout::{Collected, CollectionProgress, Plan, RolloutBatch, collect_parts_async};
use crate::stream::{Purpose, Stream};

/// Added to the root of the second moment in AdamW.
const EPSILON: f32 = 1e-5;

/// Trains a policy, one iteration per call. It uses no files and no terminal.
pub struct Trainer<P: Policy> {
    /// All settings.
    pub config: Config,
    /// The policy and its optimizer.
    pub learner: Learner<P>,
    /// The policy's host half.
    pub encoder: EncoderOf<P>,
    /// Iterations done.
    pub iteration: u64,
    /// Environment steps done.
    pub steps: u64,
    /// State that credit assignment carries from one iteration to the next.
    pub credit_state: credit::CreditState,
    /// The credit of the last iteration's steps, in the order of the batch that it returned. `None` before
    /// the first iteration that plays episodes. No checkpoint keeps it.
    pub last_credit: Option<Credit>,
}

type Rollout<P> = RolloutBatch<InputsOf<P>>;

/// The episodes of an iteration.
struct Played<P: Policy> {
    batch: Rollout<P>,
    /// Of all groups, including those that the update leaves out.
    statistics: RolloutStatistics,
    /// Environment steps of this rank.
    steps: usize,
    /// Seconds that it played.
    seconds: f64,
}

impl<P: Policy> Trainer<P> {
    /// A trainer at iteration 0. `policy` lives on a device with autodiff; a copy of it is the
    /// reference policy of the KL term.
    pub fn new(config: Config, policy: P, encoder: EncoderOf<P>) -> Self {
        let optimizer = adamw(config.update.weight_decay, EPSILON);
        let reference = (config.update.kl_weight > 0.0).then(|| policy.valid());
        let ranks = Ranks::alone().with_parts(config.distributed.parts);
        let learner = Learner { policy, reference, optimizer, consecutive_skips: 0, ranks };
        let credit_state = credit::CreditState::default();
        let (iteration, steps, last_credit) = (0, 0, None);
        Self { config, learner, encoder, iteration, steps, credit_state, last_credit }
    }

    /// Trains together with other ranks. All of them call the same methods in the same order, with equal
    /// policies and settings. Work has the number of parts that `distributed.parts` names, or else as
    /// many as there are ranks.
    pub fn on_ranks(mut self, ranks: &Ranks) -> Self {
        self.config.distributed.fix_parts(ranks.size());
        let DistributedConfig { parts, gradient_sum, .. } = self.config.distributed;
        self.learner.ranks = ranks.with_parts(parts).with_gradient_sum(gradient_sum);
        self
    }

    /// One iteration: plays episodes, assigns credit, updates the policy. `progress` is the fraction of
    /// the schedules (of the learning rate and the entropy weight) that is done, in [0, 1].
    ///
    /// # Errors
    /// Fails if an environment or the device fails, or after too many consecutive skipped updates.
    pub async fn iterate_async(
        &mut self,
        environment: &dyn Environment,
        progress: f64,
    ) -> Result<(IterationMetrics, Rollout<P>)> {
        self.iterate_watched_async(environment, progress, &mut |_| {}).await
    }

    /// [`Trainer::iterate_async`] that tells `watch` how far it is.
    ///
    /// # Errors
    /// As [`Trainer::iterate_async`].
    pub async fn iterate_watched_async(
        &mut self,
        environment: &dyn Environment,
        progress: f64,
        watch: &mut dyn FnMut(IterationProgress),
    ) -> Result<(IterationMetrics, Rollout<P>)> {
        kernels::check_training(&self.config.credit)?;
        self.expect_values()?;
        let begun = Instant::now();
        let mut collecting = |progress| watch(IterationProgress::Collecting(progress));
        let Played { batch, statistics, steps, seconds } =
            self.play(environment, &mut collecting).await?;
        let played = Instant::now();
        let credit = self.assign(&batch).await?;
        let assigned = Instant::now();
        let mut updating = |progress| watch(IterationProgress::Updating(progress));
        let updated = self.learn(&batch, &credit, progress, &mut updating).await?;
        self.steps += statistics.steps as u64;
        let (score, metrics) = statistics.mean_ends();
        let metrics = IterationMetrics {
            steps: self.steps,
            success: statistics.success(),
            score,
            metrics,
            mean_return: statistics.mean_return(),
            length: statistics.length(),
            environment_errors: statistics.environment_errors,
            invalid: statistics.invalid(),
            mixed_groups: statistics.mixed_groups(),
            zero_variance: statistics.zero_variance(),
            tokens: statistics.tokens(),
            credit: serde_json::to_value(&credit.diagnostics)
                .map_err(|error| Error::Run(format!("cannot write credit diagnostics: {error}")))?,
            ranks: RankMetrics::gather(&self.learner.ranks, steps, seconds)?,
            seconds: Seconds {
                rollout: (played - begun).as_secs_f64(),
                credit: (assigned - played).as_secs_f64(),
                update: assigned.elapsed().as_secs_f64(),
                elapsed: 0.0,
            },
            ..updated
        };
        self.last_credit = Some(credit);
        Ok((metrics, batch))
    }

    /// [`Trainer::iterate_async`], blocking.
    ///
    /// # Errors
    /// As [`Trainer::iterate_async`].
    pub fn iterate(
        &mut self,
        environment: &dyn Environment,
        progress: f64,
    ) -> Result<(IterationMetrics, Rollout<P>)> {
        pollster::block_on(self.iterate_async(environment, progress))
    }

    /// One iteration of imitation (behaviour cloning): `update.epochs` passes over `demonstrations`. No
    /// episode is played and no credit assigned.
    ///
    /// # Errors
    /// Fails if the device fails, or after too many consecutive skipped updates.
    pub async fn imitate_async(
        &mut self,
        demonstrations: &Rollout<P>,
        progress: f64,
    ) -> Result<IterationMetrics> {
        self.imitate_watched_async(demonstrations, progress, &mut |_| {}).await
    }

    /// [`Trainer::imitate_async`] that tells `watch` how far it is.
    ///
    /// # Errors
    /// As [`Trainer::imitate_async`].
    pub async fn imitate_watched_async(
        &mut self,
        demonstrations: &Rollout<P>,
        progress: f64,
        watch: &mut dyn FnMut(IterationProgress),
    ) -> Result<IterationMetrics> {
        let begun = Instant::now();
        let config = self.update_config(progress);
        let update = self.update_batch(demonstrations, &[], progress, &config);
        let learning_rate = update.learning_rate;
        let weight = self.config.imitation.observation_weight;
        let mut updating = |progress| watch(IterationProgress::Updating(progress));
        let stats = self.learner.imitate_watched_async(&update, weight, &mut updating).await?;
        let mut metrics = self.finish_update(&stats, learning_rate);
        metrics.ranks = RankMetrics::gather(&self.learner.ranks, 0, 0.0)?;
        metrics.seconds.update = begun.elapsed().as_secs_f64();
        Ok(metrics)
    }

    /// [`Trainer::imitate_async`], blocking.
    ///
    /// # Errors
    /// As [`Trainer::imitate_async`].
    pub fn imitate(
        &mut self,
        demonstrations: &Rollout<P>,
        progress: f64,
    ) -> Result<IterationMetrics> {
        pollster::block_on(self.imitate_async(demonstrations, progress))
    }

    /// Checks that the policy estimates values if credit needs them.
    fn expect_values(&self) -> Result<()> {
        let config = &self.config.credit;
        match config.needs_values() && !self.learner.policy.estimates_values() {
            true => Err(config.lacks_values("this policy has no value head")),
            false => Ok(()),
        }
    }

    /// The credit of each row. The ranks share the policy's embeddings of rows, where credit needs them.
    /// The leader assigns credit to the rows of all ranks, which minibatches mix; the others wait for it,
    /// and have its returns and advantages only.
    async fn assign(&mut self, batch: &Rollout<P>) -> Result<Credit> {
        let step = CreditStep {
            config: &self.config.credit,
            invalid_action_penalty: self.config.update.invalid_action_penalty,
            minibatch: self.config.update.minibatch,
        };
        let (policy, ranks) = (self.learner.policy.valid(), &self.learner.ranks);
        let embeddings = step.embed(&policy, batch, ranks).await?;
        let (mut own, mut shared) = (Credit::default(), None);
        if ranks.is_leader() {
            let credit = step.assign(&policy, batch, embeddings, &mut self.credit_state).await;
            shared = Some(credit.map(|credit| {
                own = credit;
                (take(&mut own.returns), take(&mut own.advantages), self.credit_state.clone())
            }));
        }
        let (returns, advantages, state) = ranks.of_leader(shared)?;
        self.credit_state = state;
        Ok(Credit { returns, advantages, ..own })
    }

    /// Updates the policy, and returns the part of the metrics that an update determines. Values are
    /// trained towards the returns of credit, if credit needs them.
    async fn learn(
        &mut self,
        batch: &Rollout<P>,
        credit: &Credit,
        progress: f64,
        watch: &mut dyn FnMut(UpdateProgress),
    ) -> Result<IterationMetrics> {
        let config = self.update_config(progress);
        let advantages = credit.advantages_f32();
        let values = batch.data.values().filter(|_| self.config.credit.needs_values());
        let returns = values.map_or_else(Vec::new, |_| credit.returns_f32());
        let mut update = self.update_batch(batch, &advantages, progress, &config);
        update.returns = &returns;
        let learning_rate = update.learning_rate;
        let stats = self.learner.learn_watched_async(&update, watch).await?;
        let mut metrics = self.finish_update(&stats, learning_rate);
        metrics.value = values.map(|values| ValueMetrics {
            loss: stats.value_loss,
            explained_variance: explained(&credit.returns, &values.states),
        });
        Ok(metrics)
    }

    /// The settings of the update at a point of the run.
    fn update_config(&self, progress: f64) -> UpdateConfig {
        let mut config = self.config.update.clone();
        config.entropy_weight = config.entropy_weight_at(progress);
        config
    }

    fn update_batch<'a>(
        &self,
        batch: &'a Rollout<P>,
        advantages: &'a [f32],
        progress: f64,
        config: &'a UpdateConfig,
    ) -> UpdateBatch<'a, InputsOf<P>> {
        UpdateBatch {
            batch,
            advantages,
            returns: &[],
            temperature: self.config.rollout.temperature,
            config,
            learning_rate: config.learning_rate_at(self.iteration, progress),
            shuffle: Stream::new(self.config.run.seed, Purpose::Minibatches).at(self.iteration),
        }
    }

    /// Counts the iteration, and begins its metrics.
    fn finish_update(&mut self, stats: &UpdateStats, learning_rate: f64) -> IterationMetrics {
        self.iteration += 1;
        IterationMetrics {
            iteration: self.iteration,
            steps: self.steps,
            loss: stats.loss,
            policy_loss: stats.policy_loss,
            kl: stats.kl,
            entropy: stats.entropy,
            clip_fraction: stats.clip_fraction,
            ratio_gap: stats.ratio_gap,
            gradient_norm: stats.gradient_norm,
            learning_rate,
            skipped_updates: stats.skipped,
            ..IterationMetrics::default()
        }
    }

    /// Plays this iteration's groups, each on a different task or a variation of one, and collects their
    /// statistics.
    ///
    /// Zero-variance groups are replaced by groups of further tasks for up to
    /// `rollout.max_resampling_rounds` rounds (dynamic sampling; DAPO, Yu et al. 2025).
    async fn play(
        &self,
        environment: &dyn Environment,
        watch: &mut dyn FnMut(CollectionProgress),
    ) -> Result<Played<P>> {
        let variation = self.config.variation(environment, self.iteration);
        let environment = variation.as_deref().unwrap_or(environment);
        let rollout = &self.config.rollout;
        let total = environment.tasks();
        let groups = rollout.groups.min(total);
        let mut rng = Stream::new(self.config.run.seed, Purpose::Tasks).at(self.iteration).rng();
        let max_groups = groups.saturating_mul(1 + rollout.max_resampling_rounds).min(total);
        let tasks = index::sample(&mut rng, total, max_groups).into_vec();
        let mut statistics = RolloutStatistics::default();
        let Collected { mut batch, mut steps, mut seconds } =
            self.play_tasks(environment, &tasks[..groups], 0, watch).await?;
        statistics.add(&batch);
        let mut played = groups;
        for _ in 0..rollout.max_resampling_rounds {
            let uniform =
                (0..batch.groups()).filter(|&group| batch.is_zero_variance(group)).count();
            let further = &tasks[played..(played + uniform).min(max_groups)];
            if further.is_empty() {
                break;
            }
            let more = self.play_tasks(environment, further, played, watch).await?;
            statistics.add(&more.batch);
            (steps, seconds) = (steps + more.steps, seconds + more.seconds);
            played += further.len();
            batch.retain_groups(|batch, group| !batch.is_zero_variance(group));
            batch.append(more.batch)?;
        }
        if rollout.drop_zero_variance {
            batch.retain_groups(|batch, group| !batch.is_zero_variance(group));
        }
        Ok(Played { batch, statistics, steps, seconds })
    }

    /// Plays one group per task. `first_group` is the number of groups that the iteration has played.
    async fn play_tasks(
        &self,
        environment: &dyn Environment,
        tasks: &[usize],
        first_group: usize,
        watch: &mut dyn FnMut(CollectionProgress),
    ) -> Result<Collected<InputsOf<P>>> {
        let plan = Plan {
            tasks,
            first_group,
            episodes: self.config.rollout.group_size,
            sampling: Sampling::Temperature(self.config.rollout.temperature),
            seed: self.config.run.seed,
            iteration: self.iteration,
        };
        let (policy, limits) = (self.learner.policy.valid(), self.config.rollout.limits());
        let (encoder, ranks) = (&self.encoder, &self.learner.ranks);
        let collected =
            collect_parts_async(environment, &policy, encoder, &plan, &limits, ranks, watch);
        let collected = collected.await?;
        collected.batch.expect_episodes()?;
        Ok(collected)
    }
}
