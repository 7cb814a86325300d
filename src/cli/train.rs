//! `proxmo train`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use etcetera::BaseStrategy;

use super::progress::progress;
use super::recorder::{ReportWriter, TerminalRecorder};
use super::settings::{SettingFlags, make_paths_absolute, read_config};
use super::terminal::tell;
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::rollout::Demonstration;
use crate::runs::auto::{Auto, open_for_training};
use crate::runs::{Run, demonstrations};
use crate::train::{Config, spread};

/// Train a policy with ProxMO.
///
/// Without arguments it trains on generated household tasks, on the fastest device for them, into a new
/// folder below runs/. Ctrl-C finishes the iteration, saves a checkpoint and prints the command that
/// resumes the run.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Folder of the run [default: the first free runs/<env>-<number>].
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Resume the run in --run from its newest checkpoint. Flags override its settings.
    #[arg(long, requires = "run", conflicts_with_all = ["config", "preset"])]
    resume: bool,
    /// Print no progress, only warnings and results.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    pub(super) settings: SettingFlags,
}

const EXAMPLES: &str = "\
Examples:
  proxmo train
  proxmo train --estimator grpo --seed 1 --run runs/grpo
  proxmo train --preset alfworld --games json_2.1.1 --run runs/first
  proxmo train --env process --command 'python3 my_env.py'
  proxmo train --run runs/first --resume --iterations 2000
  proxmo train --backend vulkan --device 0 --iterations 5";

pub fn run(arguments: &Arguments) -> Result<()> {
    run_from(arguments, Config::default())
}

/// Trains with `defaults`, unless the arguments name another configuration to start from.
pub(super) fn run_from(arguments: &Arguments, defaults: Config) -> Result<()> {
    let base = match (&arguments.run, arguments.resume) {
        (Some(folder), true) => read_config(&folder.join("config.toml"))?,
        _ => defaults,
    };
    let mut config = arguments.settings.resolve(Some(base))?;
    make_paths_absolute(&mut config)?;
    let folder = match &arguments.run {
        Some(folder) => folder.clone(),
        None => free_folder(config.env.name())?,
    };
    // All input is checked before anything is written.
    if !arguments.resume {
        Run::expect_free(&folder).map_err(with_flags)?;
    }
    let training = config.env.open(config.env.split())?;
    let training = &*training;
    let held_out = config.env.open(&config.eval.split).map_err(of_held_out_split)?;
    let demonstrations = match config.imitation.from.is_empty() {
        true => None,
        false => Some(demonstrate(training, &config)?),
    };
    let choice = open_for_training(&config, training, &auto(), &mut |adapter| {
        if !arguments.quiet {
            tell!("measuring updates with {} on {}", adapter.backend, adapter.name);
        }
    })?;
    let begin = if arguments.resume { Run::resume } else { Run::create };
    let mut run = begin(&folder, config.clone(), &choice.opened, training, &*held_out)?;
    let terminal = TerminalRecorder::new(arguments.quiet, &*held_out);
    terminal.introduce(&config, &choice, training, &folder);
    if let Some(demonstrations) = demonstrations {
        terminal.introduce_demonstrations(&config, demonstrations.len());
        run = run.imitating(&demonstrations)?;
    }
    let stop = stop_on_interrupt()?;
    // The report is written before the terminal names it.
    run.record(ReportWriter).record(terminal).train(&|| stop.load(Ordering::Relaxed)).map(drop)
}

/// Adds the flags that help to the error of a folder that holds a run.
fn with_flags(error: Error) -> Error {
    match error {
        Error::Input { place, message } => {
            Error::input(place, format!("{message} (--resume, or --run DIR)"))
        }
        error => error,
    }
}

/// Names the setting of the held-out split in an error about a split.
fn of_held_out_split(error: Error) -> Error {
    match error {
        Error::Setting { key, message } if key == "split" => Error::setting("eval.split", message),
        error => error,
    }
}

/// The demonstrations to imitate.
fn demonstrate(training: &dyn Environment, config: &Config) -> Result<Vec<Demonstration>> {
    let mut progress = progress(spread(training.tasks(), config.imitation.tasks).len());
    demonstrations(training, &config.imitation, config.run.seed, &mut progress)
}

/// Measurements are cached in the user's cache folder. Software GPUs are candidates only if
/// `PROXMO_AUTO_SOFTWARE` is set, as in the tests.
fn auto() -> Auto {
    let cache = etcetera::choose_base_strategy().ok().map(|user| user.cache_dir().join("proxmo"));
    Auto { cache, software: std::env::var_os("PROXMO_AUTO_SOFTWARE").is_some() }
}

/// The first free `runs/<name>-<number>`.
pub(super) fn free_folder(name: &str) -> Result<PathBuf> {
    (1..u32::MAX)
        .map(|number| Path::new("runs").join(format!("{name}-{number}")))
        .find(|folder| !folder.exists())
        .ok_or_else(|| {
            Error::file(Path::new("runs"), "all folder names are in use; name a folder with --run")
        })
}

/// A flag that Ctrl-C sets. A second Ctrl-C ends the process immediately.
pub(super) fn stop_on_interrupt() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        tell!("\nstopping after this iteration; press Ctrl-C again to exit now and lose it");
    })
    .map_err(|error| Error::Run(format!("cannot handle Ctrl-C: {error}")))?;
    Ok(stop)
}
