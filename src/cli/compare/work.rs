//! Trains the runs of a comparison, several in parallel.
//!
//! Trainings are threads of one process and share environments and devices. All random draws derive
//! from the seed of their own run, so parallel runs do not change each other's results.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Builder;

use super::plan::{PlannedRun, Progress};
use super::screen::Screen;
use crate::cli::device::CheckFlag;
use crate::cli::recorder::ReportWriter;
use crate::cli::trust::sign;
use crate::device::{Backend, Opened};
use crate::device_check::panic_message;
use crate::env::{EnvConfig, Environment};
use crate::error::{Error, Result};
use crate::runs::{Recorder, Run, RunStart, RunSummary};
use crate::train::{Config, IterationMetrics};

/// The stack size of a training's thread: that of a main thread, on which single trainings run.
const STACK: usize = 8 << 20;

/// Environments and devices of the runs, each opened once.
pub struct OpenedResources {
    environments: Vec<(EnvConfig, String, Box<dyn Environment>)>,
    devices: Vec<(Backend, usize, Opened)>,
}

impl OpenedResources {
    /// Opens the environments and devices of `runs`.
    pub fn open(runs: &[&PlannedRun], check: CheckFlag) -> Result<Self> {
        let mut opened = Self { environments: Vec::new(), devices: Vec::new() };
        for PlannedRun { config, .. } in runs {
            for split in [config.env.split(), &config.eval.split] {
                if opened.environment(&config.env, split).is_none() {
                    let environment = config.env.open(split)?;
                    opened.environments.push((config.env.clone(), split.to_string(), environment));
                }
            }
            let (backend, device) = (config.run.backend, config.run.device);
            if opened.device(config).is_none() {
                opened.devices.push((backend, device, check.open(backend, device)?));
            }
        }
        Ok(opened)
    }

    fn environment(&self, env: &EnvConfig, split: &str) -> Option<&dyn Environment> {
        let found = self.environments.iter().find(|one| one.0 == *env && one.1 == split)?;
        Some(&*found.2)
    }

    fn device(&self, config: &Config) -> Option<&Opened> {
        let key = (config.run.backend, config.run.device);
        self.devices.iter().find(|one| (one.0, one.1) == key).map(|one| &one.2)
    }
}

/// Trains `runs`, `jobs` in parallel, until all are finished or have done `until` iterations, or
/// `is_stopped` is true. Returns the runs that failed; the others continue.
///
/// # Errors
/// Fails if a thread cannot be started.
pub fn train_all<'a>(
    runs: &[&'a PlannedRun],
    jobs: usize,
    until: u64,
    opened: &OpenedResources,
    is_stopped: &(dyn Fn() -> bool + Sync),
    screen: &Screen,
) -> Result<Vec<(&'a PlannedRun, Error)>> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let worker = || {
        while !is_stopped() {
            let Some(&run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) else {
                return;
            };
            // A panic of a driver or a library ends its own run only.
            let outcome =
                catch_unwind(AssertUnwindSafe(|| train(run, until, opened, is_stopped, screen)));
            let outcome = outcome.unwrap_or_else(|panic| Err(Error::Run(panic_message(&*panic))));
            screen.run_ended(run, &outcome);
            if let Err(error) = outcome {
                failed.lock().unwrap_or_else(|poison| poison.into_inner()).push((run, error));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(runs.len()) {
            let thread = Builder::new().name("training".into()).stack_size(STACK);
            thread
                .spawn_scoped(scope, worker)
                .map_err(|error| Error::Run(format!("cannot start a thread: {error}")))?;
        }
        Ok(())
    })?;
    Ok(failed.into_inner().unwrap_or_else(|poison| poison.into_inner()))
}

fn train(
    run: &PlannedRun,
    until: u64,
    opened: &OpenedResources,
    is_stopped: &dyn Fn() -> bool,
    screen: &Screen,
) -> Result<RunSummary> {
    let config = &run.config;
    let absent = || Error::Run(format!("{}: its environment or device is not open", run.name));
    let training = opened.environment(&config.env, config.env.split()).ok_or_else(absent)?;
    let held_out = opened.environment(&config.env, &config.eval.split).ok_or_else(absent)?;
    let device = opened.device(config).ok_or_else(absent)?;
    let start = match run.progress {
        Progress::Started(_) | Progress::Finished => Run::resume,
        Progress::New => Run::create,
    };
    let progress = screen.show_run(run);
    let started = start(&run.folder, config.clone(), device, training, held_out)?;
    // Without a signature, resuming asks for the command; the comparison has it in its own arguments.
    let _ = sign(&run.folder, config);
    let done = Rc::new(Cell::new(0));
    let count = IterationCount(done.clone());
    let is_over = || is_stopped() || done.get() >= until;
    started.record(count).record(progress).record(ReportWriter).train(&is_over)
}

/// Counts the iterations of a run, including those before it was resumed.
struct IterationCount(Rc<Cell<u64>>);

impl Recorder for IterationCount {
    fn started(&mut self, start: &RunStart) -> Result<()> {
        self.0.set(start.iteration);
        Ok(())
    }

    fn iteration(&mut self, metrics: &IterationMetrics) -> Result<()> {
        self.0.set(metrics.iteration);
        Ok(())
    }
}
