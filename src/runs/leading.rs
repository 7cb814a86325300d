//! The training of the leader, which has the other ranks do the same.

use std::path::{Path, PathBuf};

use super::checkpoint::BestEvaluation;
use super::command::{Blueprint, Command, SentPlan, StartingPoint, digest_of_tasks};
use super::recorder::PolicySummary;
use super::training::{Iteration, Training};
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::policy::PolicyDescription;
use crate::ranks::{Ranks, encode};
use crate::rollout::Demonstration;
use crate::train::{Config, Evaluation, EvaluationPlan, EvaluationProgress, IterationProgress};

/// A training with commands to the other ranks. A process that trains alone sends no commands.
pub(super) struct Leading {
    inner: Box<dyn Training>,
    ranks: Ranks,
    asked_to_stop: bool,
}

impl Leading {
    /// Leads the other ranks into a training that `inner` is ready for.
    ///
    /// # Errors
    /// Fails if another rank cannot build the same training.
    pub fn new(
        inner: Box<dyn Training>,
        policy: &PolicyDescription,
        start: Option<(&Path, bool)>,
        [training, held_out]: [&dyn Environment; 2],
        ranks: &Ranks,
    ) -> Result<Self> {
        let mut leading = Self { inner, ranks: ranks.clone(), asked_to_stop: false };
        if ranks.is_alone() {
            return Ok(leading);
        }
        let config = leading.inner.config();
        ranks.set_time_limit(config.distributed.timeout);
        let start = start.map(|(checkpoint, is_resume)| StartingPoint::read(checkpoint, is_resume));
        let blueprint = Blueprint {
            settings: config.to_toml()?,
            policy: policy.json().map_err(|message| Error::input("policy.json", message))?,
            tasks: [digest_of_tasks(training), digest_of_tasks(held_out)],
            start: start.transpose()?,
        };
        let build = Command::Build(Box::new(blueprint));
        leading.together(build, |leading| leading.ranks.agree(Ok(())))?;
        leading.compare()?;
        Ok(leading)
    }

    /// All settings.
    pub fn config(&self) -> &Config {
        self.inner.config()
    }

    /// Iterations done.
    pub fn iteration(&self) -> u64 {
        self.inner.iteration()
    }

    /// The policy's kind and size.
    pub fn policy(&self) -> PolicySummary {
        self.inner.policy()
    }

    /// Whether another rank was asked to stop.
    pub fn asked_to_stop(&self) -> bool {
        self.asked_to_stop
    }

    /// [`Training::imitate`] on all ranks.
    pub fn imitate(
        &mut self,
        environment: &dyn Environment,
        demonstrations: &[Demonstration],
    ) -> Result<()> {
        // Other ranks need no copy if there are none.
        let sent = if self.ranks.is_alone() { Vec::new() } else { demonstrations.to_vec() };
        self.together(Command::Imitate(sent), |leading| {
            leading.inner.imitate(environment, demonstrations)
        })
    }

    /// [`Training::advance`] on all ranks.
    pub fn advance(
        &mut self,
        environment: &dyn Environment,
        progress: f64,
        watch: &mut dyn FnMut(IterationProgress),
    ) -> Result<Iteration> {
        self.together(Command::Advance(progress), |leading| {
            leading.inner.advance(environment, progress, watch)
        })
    }

    /// [`Training::evaluate`] on all ranks.
    pub fn evaluate(
        &mut self,
        environment: &dyn Environment,
        plan: &EvaluationPlan,
        progress: &mut dyn FnMut(EvaluationProgress),
    ) -> Result<Evaluation> {
        self.together(Command::Evaluate(SentPlan::of(plan)), |leading| {
            leading.inner.evaluate(environment, plan, progress)
        })
    }

    /// [`Training::save`], if all ranks have the same weights.
    pub fn save(
        &mut self,
        run: &Path,
        elapsed: f64,
        best: Option<BestEvaluation>,
    ) -> Result<PathBuf> {
        self.compare()?;
        self.inner.save(run, elapsed, best)
    }

    /// Commands work and does it.
    fn together<T>(
        &mut self,
        command: Command,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let result = self.command(&command).and_then(|()| work(self));
        self.ranks.settle(result)
    }

    fn command(&mut self, command: &Command) -> Result<()> {
        if self.ranks.is_alone() {
            return Ok(());
        }
        let answers = self.ranks.exchange(encode(command))?;
        // The others answer a command with whether they were asked to stop.
        self.asked_to_stop |= answers[1..].iter().any(|answer| answer.first() == Some(&1));
        Ok(())
    }

    /// Checks that all ranks have the same weights.
    fn compare(&mut self) -> Result<()> {
        if self.ranks.is_alone() {
            return Ok(());
        }
        self.together(Command::Compare, |leading| compare_weights(&*leading.inner, &leading.ranks))
    }
}

/// Checks that all ranks have the same weights.
///
/// # Errors
/// Names the first rank whose weights differ from those of the leader.
pub(super) fn compare_weights(training: &dyn Training, ranks: &Ranks) -> Result<()> {
    let digests = ranks.exchange(training.digest())?;
    match digests.iter().position(|digest| *digest != digests[0]) {
        None => Ok(()),
        Some(rank) => Err(Error::Run(format!(
            "rank {rank} has other weights than rank 0 after iteration {}: its processor or device \
             rounds in another way; train on machines of the same kind",
            training.iteration()
        ))),
    }
}
