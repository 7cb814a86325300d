//! A run: a trainer with a folder.
//!
//! The folder holds `config.toml` (everything resolved), `metrics.jsonl` (one line an iteration),
//! `checkpoints/`, `episodes/` when asked for, and `report.html` and `curve.svg` at the end. One process
//! at a time trains into it.
//!
//! # Stopping and going on
//!
//! A run may end at any moment, killed or not, and goes on from its newest whole checkpoint. On the CPU
//! (`flex`) it then gives the bytes that a run never stopped gives, in its metrics (times aside) and in
//! its checkpoints, whatever the number of threads. Three things are not the same: a run that ends by
//! its own limit adds an evaluation; a learning rate that falls with `run.minutes` goes by the clock; and
//! so does `rollout.step_timeout`. On a GPU, sums may be taken in another order in another process:
//! weights of the tiny runs of the tests stay within 1e-3 of each other.

use std::fs;
use std::mem::take;
use std::path::{Path, PathBuf};

use burn::module::Module;
use web_time::Instant;

use super::checkpoint::{self, Best, PolicyDescription};
use super::metrics_file::{self, MetricsFile};
use crate::device::Opened;
use crate::env::Environment;
use crate::episodes::write_episodes;
use crate::error::{Error, Result};
use crate::files::{FolderLock, clear_unfinished, write_atomic};
use crate::policy::Sampling;
use crate::policy::scorer::{Scorer, ScorerInputs, Vocabulary};
use crate::report;
use crate::rollout::{Demonstration, EnvironmentError, RolloutBatch, guarded, replay};
use crate::train::Config;
use crate::train::IterationMetrics;
use crate::train::Trainer;
use crate::train::{Evaluation, Exam, Watch, evaluate_with, spread};

/// What a run says of itself while it goes on.
#[derive(Debug)]
pub enum Event<'a> {
    /// Training begins or goes on, at an iteration.
    Started {
        /// Iterations done before.
        iteration: u64,
        /// Words of the vocabulary.
        words: usize,
        /// Weights of the policy.
        parameters: usize,
    },
    /// An evaluation is under way.
    Evaluating {
        /// Tasks done.
        done: usize,
        /// Tasks in all.
        total: usize,
    },
    /// An iteration ended, or the untrained policy was evaluated (iteration 0).
    Iteration(&'a IterationMetrics),
    /// A checkpoint was written.
    Saved(&'a Path),
    /// Something went wrong and the run goes on, in words.
    Warning(&'a str),
}

/// How a run ended.
#[derive(Debug)]
pub struct Summary {
    /// Iterations done.
    pub iterations: u64,
    /// Whether it was stopped before its time.
    pub stopped: bool,
    /// The last evaluation.
    pub evaluation: Option<Evaluation>,
    /// Wall-clock seconds, time before a resume included.
    pub elapsed: f64,
}

/// A run under way.
pub struct Run<'a> {
    folder: PathBuf,
    trainer: Trainer<Scorer>,
    description: PolicyDescription,
    training: &'a dyn Environment,
    held_out: &'a dyn Environment,
    metrics: MetricsFile,
    /// What is imitated, if the policy does not learn from its own play.
    demonstrations: Option<RolloutBatch<ScorerInputs>>,
    /// What is to be said before training begins.
    warnings: Vec<String>,
    best: Option<Best>,
    /// The iteration of the newest checkpoint, none if nothing is written yet.
    saved: Option<u64>,
    elapsed_before: f64,
    begun: Instant,
    _lock: FolderLock,
}

impl<'a> Run<'a> {
    /// Checks that a folder holds no run yet.
    ///
    /// # Errors
    /// Says how to go on where it does.
    pub fn expect_free(folder: &Path) -> Result<()> {
        let parts = ["config.toml", "metrics.jsonl", "checkpoints"];
        if !parts.iter().any(|part| folder.join(part).exists()) {
            return Ok(());
        }
        let message = "already holds a run; add --resume to go on with it, or name another folder \
                       with --run";
        Err(Error::file(folder, message))
    }

    /// Begins a new run in `folder`.
    ///
    /// # Errors
    /// Where the folder already holds a run, another process trains into it, or it cannot be written.
    pub fn create(
        folder: &Path,
        config: Config,
        opened: &Opened,
        training: &'a dyn Environment,
        held_out: &'a dyn Environment,
    ) -> Result<Self> {
        config.validate()?;
        Self::expect_free(folder)?;
        let (description, init) = first_policy(training, &config)?;
        let text = config.to_toml()?;
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let lock = FolderLock::take(folder)?;
        // Another process may have been quicker.
        Self::expect_free(folder)?;
        write_atomic(&folder.join("config.toml"), text.as_bytes())?;
        Self::assemble(folder, lock, config, opened, description, training, held_out)?
            .begin_as(init.as_deref())
    }

    /// Goes on with the run in `folder`, with the settings given (those of its `config.toml`, apart
    /// from what was changed on purpose). A damaged checkpoint is set aside, and the one before it
    /// taken. A run that ended before its first checkpoint begins again.
    ///
    /// # Errors
    /// Where another process trains into the folder, where all checkpoints are damaged, or where the
    /// newest does not fit the settings or the environment.
    pub fn resume(
        folder: &Path,
        config: Config,
        opened: &Opened,
        training: &'a dyn Environment,
        held_out: &'a dyn Environment,
    ) -> Result<Self> {
        config.validate()?;
        if !folder.is_dir() {
            return Err(Error::file(folder, "there is no such run folder"));
        }
        let lock = FolderLock::take(folder)?;
        let found = checkpoint::newest_whole(folder)?;
        let Some(whole) = found.whole else {
            metrics_file::begin_again(folder)?;
            let (described, init) = first_policy(training, &config)?;
            let mut run =
                Self::assemble(folder, lock, config, opened, described, training, held_out)?
                    .begin_as(init.as_deref())?;
            run.warnings.push("the run ended before its first checkpoint and begins again".into());
            return Ok(run);
        };
        let description = checkpoint::read_description(&whole)?;
        // A run that began as another's policy has the words of that one.
        let fits = match config.run.init.as_os_str().is_empty() {
            true => description.expect_same(&describe(training, &config)?),
            false => description.expect_size(&config.policy),
        };
        fits.map_err(|message| Error::file(&whole, message))?;
        let mut run =
            Self::assemble(folder, lock, config, opened, description, training, held_out)?;
        let state = checkpoint::restore(&mut run.trainer, &whole)?;
        // Nothing is changed before everything has been read.
        run.warnings.extend(metrics_file::cut(folder, state.iteration)?);
        checkpoint::clear_leftovers(folder)?;
        clear_unfinished(folder)?;
        for (damaged, error) in &found.damaged {
            checkpoint::set_aside(damaged)?;
            run.warnings.push(format!("a damaged checkpoint is set aside: {error}"));
        }
        if !found.damaged.is_empty() {
            run.warnings.push(format!("the run goes on from {}", whole.display()));
        }
        run.metrics = MetricsFile::open(folder)?;
        run.elapsed_before = state.elapsed;
        run.best = state.best;
        run.saved = Some(state.iteration);
        Ok(run)
    }

    fn assemble(
        folder: &Path,
        lock: FolderLock,
        config: Config,
        opened: &Opened,
        description: PolicyDescription,
        training: &'a dyn Environment,
        held_out: &'a dyn Environment,
    ) -> Result<Self> {
        let device = opened.device.clone().autodiff();
        let (policy, encoder) = description.scorer(config.run.seed, &device);
        Ok(Self {
            folder: folder.to_path_buf(),
            trainer: Trainer::new(config, policy, encoder),
            description,
            training,
            held_out,
            metrics: MetricsFile::open(folder)?,
            demonstrations: None,
            warnings: Vec::new(),
            best: None,
            saved: None,
            elapsed_before: 0.0,
            begun: Instant::now(),
            _lock: lock,
        })
    }

    /// Begins with the weights of a checkpoint, if there is one, and with that as the reference.
    fn begin_as(mut self, init: Option<&Path>) -> Result<Self> {
        if let Some(init) = init {
            let learner = &mut self.trainer.learner;
            learner.policy = checkpoint::load_weights(learner.policy.clone(), init)?;
            learner.reference = learner.reference.take().map(|_| learner.policy.valid());
        }
        Ok(self)
    }

    /// Has the policy imitate instead of play.
    ///
    /// # Errors
    /// Names the demonstration and the step that cannot be played.
    pub fn imitating(mut self, demonstrations: &[Demonstration]) -> Result<Self> {
        let (encoder, seed) = (&self.trainer.encoder, self.trainer.config.run.seed);
        self.demonstrations = Some(replay(self.training, encoder, demonstrations, seed)?);
        Ok(self)
    }

    fn elapsed(&self) -> f64 {
        self.elapsed_before + self.begun.elapsed().as_secs_f64()
    }

    /// How much of the run is done, in [0, 1].
    fn progress(&self) -> f64 {
        self.trainer.config.run.share_done(self.trainer.iteration, self.elapsed())
    }

    /// Trains to the end, or until `stop` says so after an iteration. `observe` is told what happens.
    ///
    /// # Errors
    /// Where an environment, the device or the file system fails. What was trained before stays on the
    /// disk, and the run can be resumed.
    pub fn train(
        mut self,
        stop: &dyn Fn() -> bool,
        observe: &mut dyn FnMut(Event),
    ) -> Result<Summary> {
        observe(Event::Started {
            iteration: self.trainer.iteration,
            words: self.description.vocabulary.len(),
            parameters: self.trainer.learner.policy.num_params(),
        });
        for warning in take(&mut self.warnings) {
            observe(Event::Warning(&warning));
        }
        let mut evaluation = None;
        if self.saved.is_none() {
            evaluation = Some(self.judge_untrained(observe)?);
        }
        while self.progress() < 1.0 && !stop() {
            evaluation = self.advance(observe)?.or(evaluation);
        }
        if self.saved != Some(self.trainer.iteration) {
            self.save(observe)?;
        }
        report::write(&self.folder)?;
        Ok(Summary {
            iterations: self.trainer.iteration,
            stopped: self.progress() < 1.0,
            evaluation,
            elapsed: self.elapsed(),
        })
    }

    /// Evaluates the policy as it begins, and makes the run one that can be resumed.
    fn judge_untrained(&mut self, observe: &mut dyn FnMut(Event)) -> Result<Evaluation> {
        let mut line = IterationMetrics::default();
        let untrained = self.judge(&mut line, observe)?;
        line.seconds.elapsed = self.elapsed();
        self.log(&line, observe)?;
        self.save(observe)?;
        Ok(untrained)
    }

    /// One iteration: trains, evaluates if it is time, writes down what came of it.
    fn advance(&mut self, observe: &mut dyn FnMut(Event)) -> Result<Option<Evaluation>> {
        let progress = self.progress();
        let done = match &self.demonstrations {
            Some(all) => self.trainer.imitate(all, progress).map(|line| (line, None)),
            None => self
                .trainer
                .iterate(self.training, progress)
                .map(|(line, batch)| (line, Some(batch))),
        };
        let (mut line, batch) = match done {
            Ok(done) => done,
            Err(error) => return Err(self.save_before(error, observe)),
        };
        if let Some(batch) = &batch {
            warn_of(&batch.errors, "episode", observe);
        }
        if line.skipped_updates > 0 {
            let skipped = line.skipped_updates;
            let warning = format!("updates skipped because a number was not finite: {skipped}");
            observe(Event::Warning(&warning));
        }
        let run = &self.trainer.config.run;
        let (save_episodes, every) = (run.save_episodes, run.checkpoint_every);
        let (over, judge_every) = (self.progress() >= 1.0, self.trainer.config.eval.every);
        let due = |every: u64| over || (every > 0 && line.iteration % every == 0);
        let (judge, save) = (due(judge_every), due(every));
        let judged = if judge { self.judge(&mut line, observe).map(Some) } else { Ok(None) };
        line.seconds.elapsed = self.elapsed();
        if let (true, Some(batch)) = (save_episodes, &batch) {
            self.save_episodes(line.iteration, batch)?;
        }
        self.log(&line, observe)?;
        let best = self.best.is_some_and(|best| best.iteration == line.iteration);
        // Where the evaluation failed, what was learnt is kept all the same.
        if save || best || judged.is_err() {
            self.save(observe)?;
        }
        judged
    }

    /// Where an environment ends the run before anything of the iteration was learnt, what was learnt
    /// before is kept.
    fn save_before(&mut self, error: Error, observe: &mut dyn FnMut(Event)) -> Error {
        let unsaved = self.saved != Some(self.trainer.iteration);
        if matches!(error, Error::Environment(_))
            && unsaved
            && let Err(second) = self.save(observe)
        {
            observe(Event::Warning(&format!("no checkpoint could be written: {second}")));
        }
        error
    }

    /// Plays the held-out tasks and notes how that went, in the line and if it was the best so far.
    fn judge(
        &mut self,
        line: &mut IterationMetrics,
        observe: &mut dyn FnMut(Event),
    ) -> Result<Evaluation> {
        let result = self.evaluate(observe)?;
        warn_of(&result.errors, "held-out task", observe);
        line.evaluation = Some(result.metrics(self.held_out, &self.trainer.config.eval.split));
        let overall = result.overall();
        let (won, tasks) = (overall.won as u64, overall.tasks as u64);
        let this = Best { iteration: self.trainer.iteration, won, tasks };
        if this.beats(self.best.as_ref()) {
            self.best = Some(this);
        }
        Ok(result)
    }

    fn evaluate(&self, observe: &mut dyn FnMut(Event)) -> Result<Evaluation> {
        let config = &self.trainer.config;
        let tasks = spread(self.held_out.tasks(), config.eval.tasks);
        let total = tasks.len();
        let exam = Exam {
            tasks: &tasks,
            sampling: Sampling::at(config.eval.temperature),
            seed: config.run.seed,
            limits: config.rollout.limits(),
        };
        let (policy, encoder) = (self.trainer.learner.policy.valid(), &self.trainer.encoder);
        let mut progress = |done| observe(Event::Evaluating { done, total });
        let mut watch = Watch { progress: &mut progress, episodes: None };
        evaluate_with(self.held_out, &policy, encoder, &exam, &mut watch)
    }

    fn log(&mut self, line: &IterationMetrics, observe: &mut dyn FnMut(Event)) -> Result<()> {
        self.metrics.append(line)?;
        observe(Event::Iteration(line));
        Ok(())
    }

    fn save(&mut self, observe: &mut dyn FnMut(Event)) -> Result<()> {
        // A checkpoint is never newer than the metrics, even after a power cut.
        self.metrics.sync()?;
        let (trainer, elapsed) = (&self.trainer, self.elapsed());
        let path = checkpoint::save(&self.folder, trainer, &self.description, elapsed, self.best)?;
        self.saved = Some(trainer.iteration);
        observe(Event::Saved(&path));
        Ok(())
    }

    fn save_episodes(&self, iteration: u64, batch: &RolloutBatch<ScorerInputs>) -> Result<()> {
        let folder = self.folder.join("episodes");
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let path = folder.join(format!("{iteration:06}.jsonl"));
        let mut lines = Vec::new();
        write_episodes(&mut lines, &batch.records()).map_err(Error::io("write", &path))?;
        write_atomic(&path, &lines)
    }
}

/// Says how many episodes were lost to environment errors, and how the first one was.
fn warn_of(errors: &[EnvironmentError], what: &str, observe: &mut dyn FnMut(Event)) {
    let Some(first) = errors.first() else { return };
    let warning = match errors.len() {
        1 => format!("1 {what} was lost to an environment error: {first}"),
        count => format!("{count} {what}s were lost to environment errors, the first: {first}"),
    };
    observe(Event::Warning(&warning));
}

/// What the policy of a new run is, and the checkpoint that it begins as, if the settings name one:
/// then it knows the words that it knew there.
fn first_policy(
    training: &dyn Environment,
    config: &Config,
) -> Result<(PolicyDescription, Option<PathBuf>)> {
    let init = &config.run.init;
    if init.as_os_str().is_empty() {
        return Ok((describe(training, config)?, None));
    }
    let checkpoint = checkpoint::find(init, checkpoint::Choice::Latest)?;
    let there = checkpoint::read_description(&checkpoint)?;
    there.expect_size(&config.policy).map_err(|message| Error::file(&checkpoint, message))?;
    Ok((there, Some(checkpoint)))
}

/// What a new policy for these tasks is.
fn describe(training: &dyn Environment, config: &Config) -> Result<PolicyDescription> {
    Ok(PolicyDescription {
        kind: "scorer".into(),
        size: config.policy.clone(),
        max_steps: training.max_steps(),
        vocabulary: read_vocabulary(training, config)?,
    })
}

/// The words of the tasks to train on.
pub(super) fn read_vocabulary(training: &dyn Environment, config: &Config) -> Result<Vocabulary> {
    let (words, seed) = (config.policy.max_words, config.run.seed);
    let read = || Vocabulary::from_environment(training, training.vocabulary_tasks(), words, seed);
    guarded(read).map_err(|message| Error::Environment(format!("reading its words: {message}")))
}
