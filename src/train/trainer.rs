//! The training loop's heart: one iteration, from tasks to a changed policy.

use rand::seq::index;
use web_time::Instant;

use super::assign::CreditStep;
use super::config::Config;
use super::metrics::{IterationMetrics, Seconds};
use super::optimizer::adamw;
use super::tally::Tally;
use super::update::{Learner, Lesson, UpdateStats};
use crate::credit;
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::kernels;
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

type Inputs<P> = <<P as Policy>::Encoder as Encoder>::Inputs;
type Batch<P> = RolloutBatch<Inputs<P>>;
type LessonOf<'a, P> = Lesson<'a, Inputs<P>>;

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
        kernels::check_training(&self.config.credit)?;
        let begun = Instant::now();
        let (batch, tally) = self.play(environment)?;
        let played = Instant::now();
        let step = CreditStep {
            config: &self.config.credit,
            invalid_action_penalty: self.config.update.invalid_action_penalty,
            minibatch: self.config.update.minibatch,
        };
        let policy = self.learner.policy.valid();
        let credit = step.assign(&policy, &batch, &mut self.credit_state)?;
        let assigned = Instant::now();
        let learned = self.learn(&batch, &credit.advantages, progress, Learner::learn)?;
        self.steps += tally.steps as u64;
        let metrics = IterationMetrics {
            steps: self.steps,
            success: tally.success(),
            mean_return: tally.mean_return(),
            length: tally.length(),
            environment_errors: tally.environment_errors,
            invalid: tally.invalid(),
            mixed_groups: tally.mixed_groups(),
            credit: serde_json::to_value(&credit.diagnostics)
                .map_err(|error| Error::Run(format!("cannot write credit diagnostics: {error}")))?,
            seconds: Seconds {
                rollout: (played - begun).as_secs_f64(),
                credit: (assigned - played).as_secs_f64(),
                update: assigned.elapsed().as_secs_f64(),
                elapsed: 0.0,
            },
            ..learned
        };
        Ok((metrics, batch))
    }

    /// Learns to act as in `demonstrations`: `update.epochs` passes over them a call. No credit is
    /// assigned, and nothing is played.
    ///
    /// # Errors
    /// Fails where the device does, or after too many updates that were not finite.
    pub fn imitate(
        &mut self,
        demonstrations: &Batch<P>,
        progress: f64,
    ) -> Result<IterationMetrics> {
        let begun = Instant::now();
        let mut metrics = self.learn(demonstrations, &[], progress, Learner::imitate)?;
        metrics.seconds.update = begun.elapsed().as_secs_f64();
        Ok(metrics)
    }

    /// Changes the policy, and begins the iteration's line with what that came to.
    fn learn(
        &mut self,
        batch: &Batch<P>,
        advantages: &[f32],
        progress: f64,
        by: impl Fn(&mut Learner<P>, &LessonOf<P>) -> Result<UpdateStats>,
    ) -> Result<IterationMetrics> {
        let mut update = self.config.update.clone();
        update.entropy_weight = update.entropy_weight_at(progress);
        let lesson = Lesson {
            batch,
            advantages,
            temperature: self.config.rollout.temperature,
            config: &update,
            learning_rate: update.learning_rate_at(self.iteration, progress),
            shuffle: Stream::new(self.config.run.seed, Purpose::Minibatches).at(self.iteration),
        };
        let stats = by(&mut self.learner, &lesson)?;
        self.iteration += 1;
        Ok(IterationMetrics {
            iteration: self.iteration,
            steps: self.steps,
            loss: stats.loss,
            policy_loss: stats.policy_loss,
            kl: stats.kl,
            entropy: stats.entropy,
            clip_fraction: stats.clip_fraction,
            gradient_norm: stats.gradient_norm,
            learning_rate: lesson.learning_rate,
            skipped_updates: stats.skipped,
            ..IterationMetrics::default()
        })
    }

    /// Plays this iteration's groups, each on a task of its own, and counts what was played.
    ///
    /// Groups whose episodes all returned the same give way to groups of further tasks, as often as
    /// `rollout.max_resampling_rounds` says (Yu et al. 2025, DAPO, call this dynamic sampling).
    fn play(&self, environment: &dyn Environment) -> Result<(Batch<P>, Tally)> {
        let rollout = &self.config.rollout;
        let total = environment.tasks();
        let wanted = rollout.groups.min(total);
        let mut rng = Stream::new(self.config.run.seed, Purpose::Tasks).at(self.iteration).rng();
        let most = wanted.saturating_mul(1 + rollout.max_resampling_rounds).min(total);
        let tasks = index::sample(&mut rng, total, most).into_vec();
        let mut tally = Tally::default();
        let mut batch = self.play_tasks(environment, &tasks[..wanted], 0)?;
        tally.add(&batch);
        let mut played = wanted;
        for _ in 0..rollout.max_resampling_rounds {
            let even = (0..batch.groups()).filter(|&group| batch.is_zero_variance(group)).count();
            let further = &tasks[played..(played + even).min(most)];
            if further.is_empty() {
                break;
            }
            let more = self.play_tasks(environment, further, played)?;
            tally.add(&more);
            played += further.len();
            batch.retain_groups(|batch, group| !batch.is_zero_variance(group));
            batch.append(more)?;
        }
        if rollout.drop_zero_variance {
            batch.retain_groups(|batch, group| !batch.is_zero_variance(group));
        }
        Ok((batch, tally))
    }

    /// Plays one group a task. `first_group` is how many groups the iteration played before.
    fn play_tasks(
        &self,
        environment: &dyn Environment,
        tasks: &[usize],
        first_group: usize,
    ) -> Result<Batch<P>> {
        let plan = Plan {
            tasks,
            first_group,
            episodes: self.config.rollout.group_size,
            sampling: Sampling::Temperature(self.config.rollout.temperature),
            seed: self.config.run.seed,
            iteration: self.iteration,
        };
        let (policy, limits) = (self.learner.policy.valid(), self.config.rollout.limits());
        let batch = collect_with(environment, &policy, &self.encoder, &plan, &limits)?;
        batch.expect_episodes()?;
        Ok(batch)
    }
}
