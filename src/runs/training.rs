//! A trainer whose kind of policy is chosen at run time.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Device;

use super::checkpoint::{self, BestEvaluation, RunState};
use super::demonstrations::demonstrations;
use super::recorder::PolicySummary;
use crate::env::Environment;
use crate::episodes::EpisodeRecord;
use crate::error::Result;
use crate::policy::{InputsOf, PolicyDescription, PolicySpec, SpecVisitor};
use crate::ranks::Ranks;
use crate::rollout::{Demonstration, EnvironmentError, RolloutBatch, replay_parts};
use crate::train::{
    Config, Evaluation, EvaluationPlan, EvaluationProgress, IterationMetrics, IterationProgress,
    Trainer, evaluate_on_ranks_async,
};

/// The result of one iteration.
pub(super) struct Iteration {
    /// Its metrics.
    pub metrics: IterationMetrics,
    /// Episodes that were lost to environment errors.
    pub errors: Vec<EnvironmentError>,
    /// Losses after which an episode was played again.
    pub replayed: Vec<EnvironmentError>,
    /// The last episode that was played or imitated, on the leader.
    pub last_episode: Option<EpisodeRecord>,
    /// The episodes that were played, if `run.save_episodes` is set.
    pub episodes: Option<Vec<EpisodeRecord>>,
}

/// The part of [`Trainer`] that a run needs, without the type of the policy.
pub(super) trait Training {
    /// All settings.
    fn config(&self) -> &Config;

    /// Iterations done.
    fn iteration(&self) -> u64;

    /// The policy's kind and size.
    fn policy(&self) -> PolicySummary;

    /// Starts from the weights of a checkpoint, which also become the reference policy. A value head that the
    /// checkpoint lacks keeps its initial weights.
    fn start_from(&mut self, checkpoint: &Path) -> Result<()>;

    /// Restores the state of a checkpoint.
    fn restore(&mut self, checkpoint: &Path) -> Result<RunState>;

    /// From now on, iterations imitate `demonstrations`.
    fn imitate(
        &mut self,
        environment: &dyn Environment,
        demonstrations: &[Demonstration],
    ) -> Result<()>;

    /// Trains one iteration, and tells `watch` how far it is.
    fn advance(
        &mut self,
        environment: &dyn Environment,
        progress: f64,
        watch: &mut dyn FnMut(IterationProgress),
    ) -> Result<Iteration>;

    /// Evaluates the policy.
    fn evaluate(
        &mut self,
        environment: &dyn Environment,
        plan: &EvaluationPlan,
        progress: &mut dyn FnMut(EvaluationProgress),
    ) -> Result<Evaluation>;

    /// A digest of the policy's weights.
    fn digest(&self) -> Result<Vec<u8>>;

    /// Writes a checkpoint into the folder of a run.
    fn save(&mut self, run: &Path, elapsed: f64, best: Option<BestEvaluation>) -> Result<PathBuf>;
}

/// A trainer at iteration 0 for a described policy. `device` is a device without autodiff.
///
/// # Errors
/// Fails if the policy cannot be built.
pub(super) fn new_training(
    description: &PolicyDescription,
    config: Config,
    device: &Device,
    ranks: &Ranks,
) -> Result<Box<dyn Training>> {
    description.visit(NewTraining { config, device, ranks })
}

struct NewTraining<'a> {
    config: Config,
    device: &'a Device,
    ranks: &'a Ranks,
}

impl SpecVisitor for NewTraining<'_> {
    type Output = Result<Box<dyn Training>>;

    fn visit<S: PolicySpec>(self, spec: &S) -> Self::Output {
        let device = self.device.clone().autodiff();
        let (policy, encoder) = spec.build(self.config.run.seed, &device)?;
        let trainer = Trainer::new(self.config, policy, encoder).on_ranks(self.ranks);
        Ok(Box::new(SpecTraining { spec: spec.clone(), trainer, demonstrations: None, of: None }))
    }
}

/// A trainer with the specification of its policy.
struct SpecTraining<S: PolicySpec> {
    spec: S,
    trainer: Trainer<S::Policy>,
    demonstrations: Option<RolloutBatch<InputsOf<S::Policy>>>,
    /// The iteration that the demonstrations are for, if the expert plays anew for each.
    of: Option<u64>,
}

impl<S: PolicySpec> SpecTraining<S> {
    /// Lets the expert play the demonstrations of this iteration, if it plays anew for each.
    fn renew_demonstrations(&mut self, environment: &dyn Environment) -> Result<()> {
        let iteration = self.trainer.iteration;
        let config = &self.trainer.config;
        if !config.renews_demonstrations() || self.of == Some(iteration) {
            return Ok(());
        }
        let variation = config.variation(environment, iteration);
        let environment = variation.as_deref().unwrap_or(environment);
        let (imitation, seed) = (&config.imitation, config.run.seed);
        let (encoder, ranks) = (&self.trainer.encoder, &self.trainer.learner.ranks);
        let found = ranks.is_leader().then(|| {
            let found = demonstrations(environment, imitation, seed, iteration, &mut |_| {});
            found.map(|found| found.list)
        });
        let list = ranks.of_leader(found)?;
        self.demonstrations = None;
        self.demonstrations = Some(replay_parts(environment, encoder, &list, seed, ranks)?);
        self.of = Some(iteration);
        Ok(())
    }
}

impl<S: PolicySpec> Training for SpecTraining<S> {
    fn config(&self) -> &Config {
        &self.trainer.config
    }

    fn iteration(&self) -> u64 {
        self.trainer.iteration
    }

    fn policy(&self) -> PolicySummary {
        let parameters = self.trainer.learner.policy.num_params();
        PolicySummary { kind: S::KIND, details: self.spec.summary(), parameters }
    }

    fn start_from(&mut self, checkpoint: &Path) -> Result<()> {
        let learner = &mut self.trainer.learner;
        learner.policy = checkpoint::load_initial_weights(learner.policy.clone(), checkpoint)?;
        learner.reference = learner.reference.take().map(|_| learner.policy.valid());
        Ok(())
    }

    fn restore(&mut self, checkpoint: &Path) -> Result<RunState> {
        checkpoint::restore(&mut self.trainer, checkpoint)
    }

    fn imitate(
        &mut self,
        environment: &dyn Environment,
        demonstrations: &[Demonstration],
    ) -> Result<()> {
        let config = &self.trainer.config;
        let (encoder, seed) = (&self.trainer.encoder, config.run.seed);
        if config.renews_demonstrations() && self.trainer.iteration > 0 {
            return self.renew_demonstrations(environment);
        }
        // The first iteration's are given, so the expert need not play them again.
        let variation = config.variation(environment, 0);
        let environment = variation.as_deref().unwrap_or(environment);
        let ranks = &self.trainer.learner.ranks;
        self.of = Some(0);
        self.demonstrations =
            Some(replay_parts(environment, encoder, demonstrations, seed, ranks)?);
        Ok(())
    }

    fn advance(
        &mut self,
        environment: &dyn Environment,
        progress: f64,
        watch: &mut dyn FnMut(IterationProgress),
    ) -> Result<Iteration> {
        if self.demonstrations.is_some() {
            self.renew_demonstrations(environment)?;
        }
        let is_leader = self.trainer.learner.ranks.is_leader();
        if let Some(demonstrations) = &self.demonstrations {
            let iteration = self.trainer.imitate_watched_async(demonstrations, progress, watch);
            let metrics = pollster::block_on(iteration)?;
            return Ok(Iteration {
                metrics,
                errors: Vec::new(),
                replayed: Vec::new(),
                last_episode: is_leader.then(|| demonstrations.last_record()).flatten(),
                episodes: None,
            });
        }
        let iteration = self.trainer.iterate_watched_async(environment, progress, watch);
        let (metrics, batch) = pollster::block_on(iteration)?;
        let is_kept = self.trainer.config.run.save_episodes && is_leader;
        let episodes = is_kept.then(|| batch.records());
        let last_episode = is_leader.then(|| batch.last_record()).flatten();
        let (errors, replayed) = (batch.errors, batch.replayed);
        Ok(Iteration { metrics, errors, replayed, last_episode, episodes })
    }

    fn evaluate(
        &mut self,
        environment: &dyn Environment,
        plan: &EvaluationPlan,
        progress: &mut dyn FnMut(EvaluationProgress),
    ) -> Result<Evaluation> {
        let Trainer { learner, encoder, .. } = &self.trainer;
        let (policy, ranks) = (learner.policy.valid(), &learner.ranks);
        let evaluation =
            evaluate_on_ranks_async(environment, &policy, encoder, plan, ranks, progress);
        pollster::block_on(evaluation)
    }

    fn digest(&self) -> Result<Vec<u8>> {
        checkpoint::digest(&self.trainer.learner.policy.valid())
    }

    fn save(&mut self, run: &Path, elapsed: f64, best: Option<BestEvaluation>) -> Result<PathBuf> {
        checkpoint::save(run, &self.trainer, &self.spec, elapsed, best)
    }
}
