//! A run: training with a folder on disk.
//!
//! The folder holds `config.toml` (all settings), `metrics.jsonl` (one line per iteration),
//! `checkpoints/`, `configs/` with earlier settings if a resume changed them, and `episodes/` if
//! `run.save_episodes` is set. One process at a time trains into it.
//!
//! # Stopping and resuming
//!
//! A run can be stopped or killed at any time, and resumes from its newest intact checkpoint. On the CPU
//! (`flex`), a resumed run produces the same bytes as an uninterrupted run, in its metrics (except
//! times) and its checkpoints, with any number of threads. There are three exceptions: a run that
//! ends at its limit adds an evaluation; a learning rate that falls with `run.minutes` depends on the
//! clock; and so does `rollout.step_timeout`. On a GPU, another process may take sums in another order:
//! the weights of the tiny runs in the tests stay within 1e-3 of each other.

use std::fs;
use std::mem::take;
use std::path::{Path, PathBuf};

use web_time::Instant;

use super::checkpoint::BestEvaluation;
use super::leading::Leading;
use super::recorder::{Recorder, Recorders, RunStart, RunSummary};
use super::training::Iteration;
use crate::env::Environment;
use crate::episodes::{EpisodeRecord, write_episodes};
use crate::error::{Error, Result};
use crate::files::{FolderLock, write_atomic};
use crate::policy::Sampling;
use crate::rollout::{Demonstration, EnvironmentError};
use crate::train::{
    Evaluation, EvaluationPlan, EvaluationProgress, IterationMetrics, IterationProgress,
    SettingChanges, spread,
};

/// A run under way.
pub struct Run<'a> {
    pub(super) folder: PathBuf,
    pub(super) training: Leading,
    pub(super) environment: &'a dyn Environment,
    pub(super) held_out: &'a dyn Environment,
    /// The metrics file comes first.
    pub(super) recorders: Recorders<'a>,
    /// Warnings from before training begins.
    pub(super) warnings: Vec<String>,
    /// Settings that a resume changed, until the next iteration records them.
    pub(super) changes: SettingChanges,
    pub(super) best: Option<BestEvaluation>,
    /// Whether an iteration without variance was reported.
    pub(super) warned_of_variance: bool,
    /// Iteration of the newest checkpoint, `None` if there is none.
    pub(super) saved: Option<u64>,
    pub(super) elapsed_before: f64,
    pub(super) begun: Instant,
    /// Time of the newest checkpoint of this process.
    pub(super) last_save: Instant,
    /// Iterations done before this process.
    pub(super) first_iteration: u64,
    pub(super) _lock: FolderLock,
}

impl<'a> Run<'a> {
    /// Adds a recorder, which receives all events of [`Run::train`].
    pub fn record(mut self, recorder: impl Recorder + 'a) -> Self {
        self.recorders.push(Box::new(recorder));
        self
    }

    /// Makes the policy imitate demonstrations instead of learning from its own episodes.
    ///
    /// # Errors
    /// Names the demonstration and the step that cannot be played.
    pub fn imitating(mut self, demonstrations: &[Demonstration]) -> Result<Self> {
        self.training.imitate(self.environment, demonstrations)?;
        Ok(self)
    }

    /// Trains to the limit, or until `stop` returns true after an iteration.
    ///
    /// # Errors
    /// Fails if an environment, the device, the file system or a recorder fails. Earlier checkpoints
    /// stay on disk, and the run can be resumed.
    pub fn train(mut self, stop: &dyn Fn() -> bool) -> Result<RunSummary> {
        self.announce()?;
        let mut evaluation = None;
        if self.saved.is_none() {
            evaluation = Some(self.evaluate_untrained()?);
        }
        while self.progress() < 1.0 && !stop() && !self.training.asked_to_stop() {
            evaluation = self.advance()?.or(evaluation);
        }
        if self.saved != Some(self.training.iteration()) {
            self.save()?;
        }
        let summary = RunSummary {
            folder: self.folder.clone(),
            iterations: self.training.iteration(),
            trained: self.training.iteration() - self.first_iteration,
            stopped: self.progress() < 1.0,
            evaluation,
            elapsed: self.elapsed(),
        };
        self.recorders.finished(&summary)?;
        Ok(summary)
    }

    fn announce(&mut self) -> Result<()> {
        self.recorders.started(&RunStart {
            folder: &self.folder,
            config: self.training.config(),
            iteration: self.training.iteration(),
            is_resumed: self.saved.is_some(),
            changes: &self.changes,
            policy: &self.training.policy(),
        })?;
        for warning in take(&mut self.warnings) {
            self.recorders.warning(&warning);
        }
        Ok(())
    }

    /// Evaluates the initial policy and writes the first checkpoint, so that the run can be resumed.
    fn evaluate_untrained(&mut self) -> Result<Evaluation> {
        let mut metrics = IterationMetrics::default();
        let untrained = self.evaluate(&mut metrics)?;
        metrics.seconds.elapsed = self.elapsed();
        self.recorders.iteration(&metrics)?;
        self.save()?;
        Ok(untrained)
    }

    /// One iteration: trains, evaluates if it is due, records, and saves if it is due.
    fn advance(&mut self) -> Result<Option<Evaluation>> {
        let (config, iteration) = (self.training.config(), self.training.iteration());
        let progress = config.schedule_done(iteration, self.elapsed());
        let recorders = &mut self.recorders;
        let mut watch = |progress| match progress {
            IterationProgress::Collecting(progress) => recorders.collecting(&progress),
            IterationProgress::Updating(progress) => recorders.updating(&progress),
        };
        let iteration = match self.training.advance(self.environment, progress, &mut watch) {
            Ok(iteration) => iteration,
            Err(error) => return Err(self.save_after(error)),
        };
        let Iteration { mut metrics, errors, replayed, last_episode, episodes } = iteration;
        if let Some(episode) = &last_episode {
            self.recorders.episode(episode);
        }
        metrics.changes = take(&mut self.changes);
        self.warn_of_errors(&errors, "episode");
        self.warn_of_replays(&replayed);
        if metrics.skipped_updates > 0 {
            self.recorders.warning(&format!(
                "{} updates were skipped because a loss or gradient was not finite",
                metrics.skipped_updates
            ));
        }
        self.warn_of_variance(&metrics);
        let config = self.training.config();
        let (evaluate_every, save_every) = (config.eval.every, config.run.checkpoint_every);
        let over = self.progress() >= 1.0;
        let due = |every: u64| over || (every > 0 && metrics.iteration.is_multiple_of(every));
        let minutes = config.run.checkpoint_minutes;
        let time_is_up = minutes > 0.0 && self.last_save.elapsed().as_secs_f64() >= 60.0 * minutes;
        let (evaluation_due, save_due) = (due(evaluate_every), due(save_every) || time_is_up);
        let evaluated = match evaluation_due {
            true => self.evaluate(&mut metrics).map(Some),
            false => Ok(None),
        };
        metrics.seconds.elapsed = self.elapsed();
        if let Some(episodes) = &episodes {
            save_episodes(&self.folder, metrics.iteration, episodes)?;
        }
        self.recorders.iteration(&metrics)?;
        let is_best = self.best.is_some_and(|best| best.iteration == metrics.iteration);
        // If the evaluation failed, the update is kept nevertheless.
        if save_due || is_best || evaluated.is_err() {
            self.save()?;
        }
        evaluated
    }

    /// Evaluates the policy on the held-out tasks. The result goes into `metrics`, and is remembered if
    /// it is the best so far.
    fn evaluate(&mut self, metrics: &mut IterationMetrics) -> Result<Evaluation> {
        let config = self.training.config();
        let tasks = spread(self.held_out.tasks(), config.eval.tasks);
        let plan = EvaluationPlan {
            tasks: &tasks,
            sampling: Sampling::at(config.eval.temperature),
            seed: config.run.seed,
            limits: config.rollout.limits(),
            keep_episodes: false,
        };
        let recorders = &mut self.recorders;
        recorders.evaluating(0, tasks.len());
        let mut progress = |progress: EvaluationProgress| {
            recorders.evaluating(progress.done, progress.tasks);
        };
        let evaluation = self.training.evaluate(self.held_out, &plan, &mut progress)?;
        self.warn_of_errors(&evaluation.errors, "held-out task");
        self.warn_of_replays(&evaluation.replayed);
        let split = &self.training.config().eval.split;
        metrics.evaluation = Some(evaluation.metrics(self.held_out, split));
        let metric = self.training.config().eval.metric;
        let value = metric.of(&evaluation.overall()).ok_or_else(|| {
            let message = "is a number that the environment does not report; take auto or return";
            Error::setting("eval.metric", message)
        })?;
        let this = BestEvaluation::new(self.training.iteration(), value);
        if this.beats(self.best.as_ref()) {
            self.best = Some(this);
        }
        Ok(evaluation)
    }

    fn save(&mut self) -> Result<()> {
        // A checkpoint is never newer than the metrics, even after a power failure.
        self.recorders.sync()?;
        let elapsed = self.elapsed();
        let checkpoint = self.training.save(&self.folder, elapsed, self.best)?;
        self.saved = Some(self.training.iteration());
        self.last_save = Instant::now();
        self.recorders.saved(&checkpoint)
    }

    /// Saves earlier iterations if an environment failed before the current one changed anything.
    fn save_after(&mut self, error: Error) -> Error {
        let unsaved = self.saved != Some(self.training.iteration());
        if matches!(error, Error::Environment(_))
            && unsaved
            && let Err(second) = self.save()
        {
            self.recorders.warning(&format!("the checkpoint could not be written: {second}"));
        }
        error
    }

    /// Reports, once, that no group of an iteration can teach anything.
    fn warn_of_variance(&mut self, metrics: &IterationMetrics) {
        let config = self.training.config();
        let by_group = config.credit.compares_groups_only();
        if self.warned_of_variance || !by_group || metrics.zero_variance < 1.0 {
            return;
        }
        self.warned_of_variance = true;
        let message = match config.rollout.group_size {
            1 => "rollout.group_size is 1: an episode has no other of its task to be compared with, so \
                  nothing is learned; take 2 or more"
                .to_string(),
            _ => format!(
                "all groups of iteration {} have zero variance: the episodes of a task have the same \
                 return, so nothing is learned from them (reported once)",
                metrics.iteration
            ),
        };
        self.recorders.warning(&message);
    }

    /// Reports episodes or tasks that were lost to environment errors.
    fn warn_of_errors(&mut self, errors: &[EnvironmentError], noun: &str) {
        let Some(first) = errors.first() else { return };
        self.recorders.warning(&match errors.len() {
            1 => format!("1 {noun} was lost to an environment error: {first}"),
            count => format!("{count} {noun}s were lost to environment errors, the first: {first}"),
        });
    }

    /// Reports episodes that were played again.
    fn warn_of_replays(&mut self, replayed: &[EnvironmentError]) {
        let Some(first) = replayed.first() else { return };
        self.recorders.warning(&match replayed.len() {
            1 => format!("1 episode was played again after an environment error: {first}"),
            count => format!(
                "{count} episodes were played again after environment errors, the first: {first}"
            ),
        });
    }

    fn elapsed(&self) -> f64 {
        self.elapsed_before + self.begun.elapsed().as_secs_f64()
    }

    /// The fraction of the run that is done, in [0, 1].
    fn progress(&self) -> f64 {
        self.training.config().run.share_done(self.training.iteration(), self.elapsed())
    }
}

/// Writes `episodes/<iteration>.jsonl`.
fn save_episodes(run: &Path, iteration: u64, episodes: &[EpisodeRecord]) -> Result<()> {
    let folder = run.join("episodes");
    fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    let path = folder.join(format!("{iteration:06}.jsonl"));
    let mut lines = Vec::new();
    write_episodes(&mut lines, episodes).map_err(Error::io("write", &path))?;
    write_atomic(&path, &lines)
}
