//! A run: a trainer with a folder.
//!
//! The folder holds `config.toml` (everything resolved), `metrics.jsonl` (one line an iteration),
//! `checkpoints/`, `episodes/` when asked for, and `curve.svg` at the end.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use burn::module::Module;
use web_time::Instant;

use super::checkpoint::{self, PolicyDescription};
use super::config::Config;
use super::evaluate::{Evaluation, Watch, evaluate, spread};
use super::metrics::{IterationMetrics, read_metrics};
use super::trainer::Trainer;
use crate::device::Opened;
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::policy::Sampling;
use crate::policy::scorer::{Scorer, ScorerInputs, Vocabulary};
use crate::report;
use crate::rollout::{RolloutBatch, write_episodes};

/// How many tasks a vocabulary is read off at most.
const VOCABULARY_TASKS: usize = 4000;

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
    metrics: BufWriter<File>,
    elapsed_before: f64,
    begun: Instant,
}

impl<'a> Run<'a> {
    /// Begins a new run in `folder`.
    ///
    /// # Errors
    /// Where the folder already holds a run, or cannot be written.
    pub fn create(
        folder: &Path,
        config: Config,
        opened: &Opened,
        training: &'a dyn Environment,
        held_out: &'a dyn Environment,
    ) -> Result<Self> {
        config.validate()?;
        let settings = folder.join("config.toml");
        if settings.exists() {
            let message = "already holds a run; add --resume to go on with it, or name another \
                           folder with --run";
            return Err(Error::file(folder, message));
        }
        let vocabulary = read_vocabulary(training, &config)?;
        let description = PolicyDescription {
            kind: "scorer".into(),
            size: config.policy.clone(),
            max_steps: training.max_steps(),
            vocabulary,
        };
        let text = config.to_toml()?;
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        write_whole(&settings, text.as_bytes())?;
        Self::assemble(folder, config, opened, description, training, held_out)
    }

    /// Goes on with the run in `folder`, with the settings given (those of its `config.toml`, apart
    /// from what was changed on purpose).
    ///
    /// # Errors
    /// Where there is no whole checkpoint, or it does not fit the settings or the environment.
    pub fn resume(
        folder: &Path,
        config: Config,
        opened: &Opened,
        training: &'a dyn Environment,
        held_out: &'a dyn Environment,
    ) -> Result<Self> {
        config.validate()?;
        let newest = checkpoint::newest(folder)?;
        let description = checkpoint::read_description(&newest)?;
        if description.size != config.policy {
            let message = format!(
                "the policy there is {:?}, the settings ask for {:?}",
                description.size, config.policy
            );
            return Err(Error::file(&newest.join("policy.json"), message));
        }
        let vocabulary = read_vocabulary(training, &config)?;
        description.vocabulary.expect_same(&vocabulary).map_err(|error| {
            Error::file(&newest.join("policy.json"), format!("another vocabulary: {error}"))
        })?;
        let mut run = Self::assemble(folder, config, opened, description, training, held_out)?;
        run.elapsed_before = checkpoint::restore(&mut run.trainer, &newest)?;
        run.cut_metrics()?;
        Ok(run)
    }

    fn assemble(
        folder: &Path,
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
            metrics: open_metrics(folder)?,
            elapsed_before: 0.0,
            begun: Instant::now(),
        })
    }

    /// Takes away the metrics of iterations after the checkpoint, which are about to be lived again,
    /// and a last line that was never finished.
    fn cut_metrics(&mut self) -> Result<()> {
        let path = self.folder.join("metrics.jsonl");
        let text = fs::read(&path).map_err(Error::io("read", &path))?;
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let mut lines = read_metrics(&mut &text[..whole], &path.display().to_string())?;
        lines.retain(|line| line.iteration <= self.trainer.iteration);
        let mut kept = Vec::new();
        for line in &lines {
            write_line(&mut kept, line, &path)?;
        }
        write_whole(&path, &kept)?;
        self.metrics = open_metrics(&self.folder)?;
        Ok(())
    }

    fn elapsed(&self) -> f64 {
        self.elapsed_before + self.begun.elapsed().as_secs_f64()
    }

    /// How much of the run is done, in [0, 1].
    fn progress(&self) -> f64 {
        let run = &self.trainer.config.run;
        let share = |done: f64, limit: f64| if limit > 0.0 { done / limit } else { 0.0 };
        let by_iterations = share(self.trainer.iteration as f64, run.iterations as f64);
        let by_time = share(self.elapsed(), 60.0 * run.minutes);
        by_iterations.max(by_time)
    }

    /// Trains to the end, or until `stop` says so after an iteration. `observe` is told what happens.
    ///
    /// # Errors
    /// Where an environment, the device or the file system fails.
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
        let mut evaluation = None;
        if self.trainer.iteration == 0 {
            let untrained = self.evaluate(observe)?;
            let mut line = self.line_zero(&untrained);
            line.seconds.elapsed = self.elapsed();
            self.log(&line, observe)?;
            // From here on the run can be resumed.
            self.save(observe)?;
            evaluation = Some(untrained);
        }
        let mut saved = self.trainer.iteration;
        while self.progress() < 1.0 && !stop() {
            let progress = self.progress();
            let (mut line, batch) = self.trainer.iterate(self.training, progress)?;
            let every = self.trainer.config.eval.every;
            let over = self.progress() >= 1.0;
            if over || (every > 0 && line.iteration % every == 0) {
                let result = self.evaluate(observe)?;
                line.evaluation =
                    Some(result.metrics(self.held_out, &self.trainer.config.eval.split));
                evaluation = Some(result);
            }
            line.seconds.elapsed = self.elapsed();
            if self.trainer.config.run.save_episodes {
                self.save_episodes(line.iteration, &batch)?;
            }
            self.log(&line, observe)?;
            if over || line.iteration % self.trainer.config.run.checkpoint_every == 0 {
                self.save(observe)?;
                saved = line.iteration;
            }
        }
        if saved != self.trainer.iteration {
            self.save(observe)?;
        }
        report::write_curve(&self.folder)?;
        Ok(Summary {
            iterations: self.trainer.iteration,
            stopped: self.progress() < 1.0,
            evaluation,
            elapsed: self.elapsed(),
        })
    }

    /// The metrics line of the untrained policy.
    fn line_zero(&self, untrained: &Evaluation) -> IterationMetrics {
        let evaluation = untrained.metrics(self.held_out, &self.trainer.config.eval.split);
        IterationMetrics { evaluation: Some(evaluation), ..IterationMetrics::default() }
    }

    fn evaluate(&self, observe: &mut dyn FnMut(Event)) -> Result<Evaluation> {
        let config = &self.trainer.config;
        let tasks = spread(self.held_out.tasks(), config.eval.tasks);
        let total = tasks.len();
        let sampling = match config.eval.temperature {
            0.0 => Sampling::Greedy,
            temperature => Sampling::Temperature(temperature),
        };
        evaluate(
            self.held_out,
            &self.trainer.learner.policy.valid(),
            &self.trainer.encoder,
            &tasks,
            sampling,
            config.run.seed,
            &mut Watch {
                progress: &mut |done| observe(Event::Evaluating { done, total }),
                episodes: None,
            },
        )
    }

    fn log(&mut self, line: &IterationMetrics, observe: &mut dyn FnMut(Event)) -> Result<()> {
        let path = self.folder.join("metrics.jsonl");
        write_line(&mut self.metrics, line, &path)?;
        self.metrics.flush().map_err(Error::io("write", &path))?;
        observe(Event::Iteration(line));
        Ok(())
    }

    fn save(&self, observe: &mut dyn FnMut(Event)) -> Result<()> {
        let path =
            checkpoint::save(&self.folder, &self.trainer, &self.description, self.elapsed())?;
        observe(Event::Saved(&path));
        Ok(())
    }

    fn save_episodes(&self, iteration: u64, batch: &RolloutBatch<ScorerInputs>) -> Result<()> {
        let folder = self.folder.join("episodes");
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let path = folder.join(format!("{iteration:06}.jsonl"));
        let file = File::create(&path).map_err(Error::io("create", &path))?;
        let mut out = BufWriter::new(file);
        write_episodes(&mut out, &batch.records())
            .and_then(|()| out.flush())
            .map_err(Error::io("write", &path))
    }
}

/// The words of the tasks to train on.
pub(super) fn read_vocabulary(training: &dyn Environment, config: &Config) -> Result<Vocabulary> {
    let (words, seed) = (config.policy.max_words, config.run.seed);
    Vocabulary::from_environment(training, VOCABULARY_TASKS, words, seed)
}

fn open_metrics(folder: &Path) -> Result<BufWriter<File>> {
    let path = folder.join("metrics.jsonl");
    let file = OpenOptions::new().create(true).append(true).open(&path);
    file.map(BufWriter::new).map_err(Error::io("open", &path))
}

fn write_line(out: &mut dyn Write, line: &IterationMetrics, path: &Path) -> Result<()> {
    serde_json::to_writer(&mut *out, line)
        .map_err(std::io::Error::from)
        .and_then(|()| out.write_all(b"\n"))
        .map_err(Error::io("write", path))
}
