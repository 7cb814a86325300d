//! How a run begins: in a new folder, or from a checkpoint.

use std::fs;
use std::path::{Path, PathBuf};

use web_time::Instant;

use super::checkpoint;
use super::describe::initial_policy;
use super::leading::Leading;
use super::metrics_file::{self, MetricsFile};
use super::recorder::Recorders;
use super::run::Run;
use super::settings_file::{self, SettingsFile};
use super::training::new_training;
use crate::device::Opened;
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::files::{FolderLock, clear_unfinished};
use crate::policy::PolicyDescription;
use crate::ranks::Ranks;
use crate::train::{Config, Schedule, SettingChanges};

impl<'a> Run<'a> {
    /// Checks that a folder holds no run yet.
    ///
    /// # Errors
    /// Fails if it holds one.
    pub fn expect_free(folder: &Path) -> Result<()> {
        expect_no_dangling_link(folder)?;
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
        Self::create_on(&Ranks::alone(), folder, config, opened, environment, held_out)
    }

    /// [`Run::create`] on several ranks, of which this is the leader. The others
    /// [follow](super::follow), until the leader [dismisses](super::dismiss) them.
    ///
    /// # Errors
    /// As [`Run::create`], also if another rank cannot train.
    pub fn create_on(
        ranks: &Ranks,
        folder: &Path,
        config: Config,
        opened: &Opened,
        environment: &'a dyn Environment,
        held_out: &'a dyn Environment,
    ) -> Result<Self> {
        config.validate()?;
        Self::expect_free(folder)?;
        let (description, init) = initial_policy(environment, &config)?;
        let config = settings_file::resolve(config, opened, ranks.size());
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let lock = FolderLock::take(folder)?;
        // Another process may have created a run in the meantime.
        Self::expect_free(folder)?;
        settings_file::create(folder, &config, opened)?;
        let start = Start { ranks, folder, config, opened, environments: [environment, held_out] };
        start.begin(lock, &description, init)
    }

    /// Resumes the run in `folder` with the given settings: those of its `config.toml`, except for
    /// deliberate changes, which become the settings of the run and are recorded. The policy's
    /// vocabulary is that of the checkpoint, so the tasks are not read again. If the newest checkpoint is corrupt, the run sets it aside, resumes from the
    /// previous one and reports the corrupt file. A run without any checkpoint starts again.
    ///
    /// # Errors
    /// Fails if another process trains into the folder, if all checkpoints are corrupt, if the newest
    /// does not fit the settings, or if the settings have another seed.
    pub fn resume(
        folder: &Path,
        config: Config,
        opened: &Opened,
        environment: &'a dyn Environment,
        held_out: &'a dyn Environment,
    ) -> Result<Self> {
        Self::resume_on(&Ranks::alone(), folder, config, opened, environment, held_out)
    }

    /// [`Run::resume`] on several ranks, as [`Run::create_on`]. Their number may differ from that before.
    ///
    /// # Errors
    /// As [`Run::resume`], also if another rank cannot train.
    pub fn resume_on(
        ranks: &Ranks,
        folder: &Path,
        config: Config,
        opened: &Opened,
        environment: &'a dyn Environment,
        held_out: &'a dyn Environment,
    ) -> Result<Self> {
        config.validate()?;
        expect_no_dangling_link(folder)?;
        if !folder.is_dir() {
            return Err(Error::file(folder, "there is no such run folder"));
        }
        let lock = FolderLock::take(folder)?;
        let before = SettingsFile::read(folder)?;
        let config = match &before {
            Some(before) => before.resumed(config)?,
            None => config,
        };
        let config = settings_file::resolve(config, opened, ranks.size());
        let newest = checkpoint::newest(folder)?;
        let Some(intact) = newest.intact else {
            metrics_file::clear(folder)?;
            settings_file::resume(folder, before, 0, &config, opened)?;
            let (description, init) = initial_policy(environment, &config)?;
            let environments = [environment, held_out];
            let start = Start { ranks, folder, config, opened, environments };
            let mut run = start.begin(lock, &description, init)?;
            let message = "the run ended before its first checkpoint and starts again";
            run.warnings.push(message.into());
            return Ok(run);
        };
        let description = checkpoint::read_description(&intact)?;
        let fits = description.expect_settings(&config.policy);
        fits.map_err(|message| Error::file(&intact, message))?;
        if config.credit.needs_values() && !description.estimates_values() {
            let reason = format!(
                "the policy of {} has no value head; begin another run with run.init = the folder of this \
                 run, which adds one",
                intact.display()
            );
            return Err(config.credit.lacks_values(&reason));
        }
        let mut training = new_training(&description, config.clone(), &opened.device, ranks)?;
        let state = training.restore(&intact)?;
        let start = Some((intact.as_path(), true));
        let environments = [environment, held_out];
        let training = Leading::new(training, &description, start, environments, ranks)?;
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
        warnings.extend(schedule_warning(&config));
        let changes = settings_file::resume(folder, before, state.iteration, &config, opened)?;
        let mut run = Self::assemble(folder, lock, training, environment, held_out)?;
        run.warnings = warnings;
        run.changes = changes;
        run.elapsed_before = state.elapsed;
        run.best = state.best;
        run.saved = Some(state.iteration);
        run.first_iteration = state.iteration;
        Ok(run)
    }

    fn assemble(
        folder: &Path,
        lock: FolderLock,
        training: Leading,
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
            changes: SettingChanges::default(),
            best: None,
            warned_of_variance: false,
            saved: None,
            elapsed_before: 0.0,
            begun: Instant::now(),
            last_save: Instant::now(),
            first_iteration: 0,
            _lock: lock,
        })
    }
}

/// What a run begins with.
struct Start<'a, 'b> {
    ranks: &'b Ranks,
    folder: &'b Path,
    config: Config,
    opened: &'b Opened,
    /// The environment for training, and the held-out one.
    environments: [&'a dyn Environment; 2],
}

impl<'a> Start<'a, '_> {
    /// Begins with an untrained policy, or the weights of the checkpoint `init`.
    fn begin(
        self,
        lock: FolderLock,
        description: &PolicyDescription,
        init: Option<PathBuf>,
    ) -> Result<Run<'a>> {
        let Self { ranks, folder, config, opened, environments } = self;
        let mut training = new_training(description, config, &opened.device, ranks)?;
        if let Some(init) = &init {
            training.start_from(init)?;
        }
        let start = init.as_deref().map(|init| (init, false));
        let training = Leading::new(training, description, start, environments, ranks)?;
        let [environment, held_out] = environments;
        Run::assemble(folder, lock, training, environment, held_out)
    }
}

/// Refuses a symbolic link whose target does not exist.
fn expect_no_dangling_link(folder: &Path) -> Result<()> {
    match fs::read_link(folder) {
        Ok(target) if !folder.exists() => {
            let message = format!(
                "is a symbolic link to {}, which does not exist; create that folder, or name another",
                target.display()
            );
            Err(Error::file(folder, message))
        }
        _ => Ok(()),
    }
}

/// A warning if a run goes on after the end of its schedules, whose last values it keeps.
fn schedule_warning(config: &Config) -> Option<String> {
    let (run, update) = (&config.run, &config.update);
    let end = update.schedule_iterations;
    let changes_rate = update.schedule != Schedule::Constant;
    let changes_entropy =
        update.entropy_schedule != Schedule::Constant && update.entropy_weight > 0.0;
    let goes_on = end > 0 && (run.iterations == 0 || run.iterations > end);
    (goes_on && (changes_rate || changes_entropy)).then(|| {
        let what = match (changes_rate, changes_entropy) {
            (true, true) => "the learning rate and the entropy weight keep their last values",
            (true, false) => "the learning rate keeps its last value",
            _ => "the entropy weight keeps its last value",
        };
        format!(
            "the schedule was planned for {end} iterations when the run started: after iteration \
             {end}, {what}"
        )
    })
}
