//! How a run begins: in a new folder, or from a checkpoint.

use std::fs;
use std::path::Path;

use web_time::Instant;

use super::checkpoint;
use super::describe::{describe, initial_policy};
use super::metrics_file::{self, MetricsFile};
use super::recorder::Recorders;
use super::run::Run;
use super::training::{Training, new_training};
use crate::device::Opened;
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::files::{FolderLock, clear_unfinished, write_atomic};
use crate::train::Config;

impl<'a> Run<'a> {
    /// Checks that a folder holds no run yet.
    ///
    /// # Errors
    /// Fails if it holds one.
    pub fn expect_free(folder: &Path) -> Result<()> {
        let parts = ["config.toml", "metrics.jsonl", "checkpoints"];
        if !parts.iter().any(|part| folder.join(part).exists()) {
            return Ok(());
        }
        Err(Error::file(folder, "already holds a run; resume it, or choose another folder"))
    }

    /// Begins a new run in `folder`.
    ///
    /// # Errors
    /// Fails if a setting is out of range, if the folder holds a run already, if another process trains
    /// into it, or if it cannot be written.
    pub fn create(
        folder: &Path,
        config: Config,
        opened: &Opened,
        environment: &'a dyn Environment,
        held_out: &'a dyn Environment,
    ) -> Result<Self> {
        config.validate()?;
        Self::expect_free(folder)?;
        let (description, init) = initial_policy(environment, &config)?;
        let text = config.to_toml()?;
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let lock = FolderLock::take(folder)?;
        // Another process may have created a run in the meantime.
        Self::expect_free(folder)?;
        write_atomic(&folder.join("config.toml"), text.as_bytes())?;
        let mut training = new_training(&description, config, &opened.device)?;
        if let Some(init) = init {
            training.start_from(&init)?;
        }
        Self::assemble(folder, lock, training, environment, held_out)
    }

    /// Resumes the run in `folder` with the given settings: those of its `config.toml`, except for
    /// deliberate changes. If the newest checkpoint is corrupt, the run sets it aside, resumes from the
    /// previous one and reports the corrupt file. A run without any checkpoint starts again.
    ///
    /// # Errors
    /// Fails if another process trains into the folder, if all checkpoints are corrupt, or if the newest
    /// does not fit the settings or the environment.
    pub fn resume(
        folder: &Path,
        config: Config,
        opened: &Opened,
        environment: &'a dyn Environment,
        held_out: &'a dyn Environment,
    ) -> Result<Self> {
        config.validate()?;
        if !folder.is_dir() {
            return Err(Error::file(folder, "there is no such run folder"));
        }
        let lock = FolderLock::take(folder)?;
        let newest = checkpoint::newest(folder)?;
        let Some(intact) = newest.intact else {
            return Self::start_again(folder, lock, config, opened, environment, held_out);
        };
        let description = checkpoint::read_description(&intact)?;
        // The vocabulary of a run with `run.init` is that of the other run.
        let fits = match config.run.init.as_os_str().is_empty() {
            true => description.expect_same(&describe(environment, &config)?),
            false => description.expect_settings(&config.policy),
        };
        fits.map_err(|message| Error::file(&intact, message))?;
        let mut training = new_training(&description, config, &opened.device)?;
        let state = training.restore(&intact)?;
        // Files change only after everything has been read.
        let mut warnings = metrics_file::truncate(folder, state.iteration)?;
        checkpoint::clear_leftovers(folder)?;
        clear_unfinished(folder)?;
        for (corrupt, error) in &newest.corrupt {
            checkpoint::set_aside(corrupt)?;
            warnings.push(format!("a corrupt checkpoint is set aside: {error}"));
        }
        if !newest.corrupt.is_empty() {
            warnings.push(format!("the run resumes from {}", intact.display()));
        }
        let mut run = Self::assemble(folder, lock, training, environment, held_out)?;
        run.warnings = warnings;
        run.elapsed_before = state.elapsed;
        run.best = state.best;
        run.saved = Some(state.iteration);
        Ok(run)
    }

    /// Starts a run again that ended before its first checkpoint.
    fn start_again(
        folder: &Path,
        lock: FolderLock,
        config: Config,
        opened: &Opened,
        environment: &'a dyn Environment,
        held_out: &'a dyn Environment,
    ) -> Result<Self> {
        metrics_file::clear(folder)?;
        let (description, init) = initial_policy(environment, &config)?;
        let mut training = new_training(&description, config, &opened.device)?;
        if let Some(init) = init {
            training.start_from(&init)?;
        }
        let mut run = Self::assemble(folder, lock, training, environment, held_out)?;
        run.warnings.push("the run ended before its first checkpoint and starts again".into());
        Ok(run)
    }

    fn assemble(
        folder: &Path,
        lock: FolderLock,
        training: Box<dyn Training>,
        environment: &'a dyn Environment,
        held_out: &'a dyn Environment,
    ) -> Result<Self> {
        let mut recorders = Recorders::default();
        recorders.push(Box::new(MetricsFile::open(folder)?));
        Ok(Self {
            folder: folder.to_path_buf(),
            training,
            environment,
            held_out,
            recorders,
            warnings: Vec::new(),
            best: None,
            saved: None,
            elapsed_before: 0.0,
            begun: Instant::now(),
            _lock: lock,
        })
    }
}
