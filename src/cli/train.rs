//! `proxmo train`.

use std::path::{Path, PathBuf};

use clap::Args;
use etcetera::BaseStrategy;

use super::device::{CheckFlag, tell_refused};
use super::ranks::train_on_ranks;
use super::recorder::ReportWriter;
use super::renderer::{Opening, Renderer, renderer};
use super::run_folder::NewFolder;
use super::settings::{SettingFlags, make_paths_absolute, read_config};
use super::signals::Stop;
use super::terminal::{tell, tell_notes};
use super::trust::{Given, fix_working_folder, settle, sign};
use crate::device::Adapter;
use crate::device_check::DeviceCheck;
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::ranks::Ranks;
use crate::rollout::Demonstration;
use crate::runs::auto::{Auto, open_for_training};
use crate::runs::{Recorders, Run, TensorBoard, demonstrations};
use crate::train::{Config, EXPERT, spread};

/// Train a policy with ProxMO.
///
/// Without arguments it trains on generated household tasks, on the fastest device for them, into a new
/// folder below runs/. Ctrl-C, SIGTERM and SIGHUP finish the iteration, save a checkpoint and print the
/// command that resumes the run. In a terminal a screen with curves shows the progress; its last line
/// names its keys. Elsewhere, in CI and with --plain, the progress is lines of text.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Folder of the run [default: the first free runs/<env>-<number>].
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Resume the run in --run from its newest checkpoint. Flags override its settings.
    #[arg(long, requires = "run", conflicts_with_all = ["config", "preset"])]
    resume: bool,
    /// Run the command in the run's config.toml, although this user did not start it there.
    #[arg(long, requires = "resume")]
    trust_command: bool,
    /// Also write all metrics to an event file of TensorBoard in the run folder. A resumed run that has
    /// one goes on with it.
    #[arg(long)]
    tensorboard: bool,
    /// Print no progress, only warnings and results.
    #[arg(long, short)]
    quiet: bool,
    /// Print the progress as lines of text, in a terminal too.
    #[arg(long)]
    plain: bool,
    #[command(flatten)]
    check: CheckFlag,
    #[command(flatten)]
    pub(super) settings: SettingFlags,
}

const EXAMPLES: &str = "\
Examples:
  proxmo train
  proxmo train --estimator grpo --seed 1 --run runs/grpo
  proxmo train --preset alfworld --games json_2.1.1 --run runs/first
  proxmo train --env process --command \"python3 my_env.py\"
  proxmo train --run runs/first --resume --iterations 2000
  proxmo train --tensorboard && tensorboard --logdir runs
  proxmo train --backend vulkan --device 0 --iterations 5
  mpirun -n 4 proxmo train                  with the feature mpi";

pub fn run(arguments: &Arguments) -> Result<()> {
    run_or_clone(arguments, false)
}

/// The settings of a new run, which imitates demonstrations or learns from its own episodes.
pub(super) fn new_config(arguments: &Arguments, imitate: bool) -> Result<Config> {
    let settings = &arguments.settings;
    if !imitate {
        return settings.resolve(None);
    }
    let mut base = settings.start()?;
    base.suit_imitation();
    let mut config = settings.resolve(Some(base))?;
    if config.imitation.from.is_empty() {
        config.imitation.from = EXPERT.into();
    }
    Ok(config)
}

/// Trains a policy by imitation or from its own episodes.
pub(super) fn run_or_clone(arguments: &Arguments, imitate: bool) -> Result<()> {
    train_on_ranks(arguments.check.check(), |ranks| lead(arguments, imitate, ranks))
}

/// [`run_or_clone`] on the leader, or in a process that trains alone.
fn lead(arguments: &Arguments, imitate: bool, ranks: &Ranks) -> Result<()> {
    let mut config = match (&arguments.run, arguments.resume) {
        (Some(folder), true) => resumed_config(arguments, folder)?,
        _ => new_config(arguments, imitate)?,
    };
    make_paths_absolute(&mut config)?;
    fix_working_folder(&mut config)?;
    // All input is checked before anything is written.
    if let (Some(folder), false) = (&arguments.run, arguments.resume) {
        Run::expect_free(folder).map_err(with_flags)?;
    }
    let stop = Stop::new("iteration");
    let mut renderer = renderer(arguments.quiet, arguments.plain, &stop);
    renderer.preparing("loading the tasks");
    let training = config.env.open(config.env.split())?;
    let training = &*training;
    let held_out = config.env.open(&config.eval.split).map_err(of_held_out_split)?;
    renderer.prepared();
    tell_notes(training);
    tell_notes(&*held_out);
    let demonstrations = match config.imitation.from.is_empty() {
        true => None,
        false => Some(demonstrate(training, &config, &mut *renderer)?),
    };
    renderer.prepared();
    let mut observe = |adapter: &Adapter| renderer.measuring(adapter);
    let auto = auto(arguments.check.check());
    let choice = open_for_training(&config, training, &auto, &mut observe)?;
    tell_refused(&choice.refused);
    let new_folder = match &arguments.run {
        Some(_) => None,
        None => Some(NewFolder::below_runs(config.env.name())?),
    };
    let new_path = new_folder.as_ref().map(|new| new.path.as_path());
    let folder = arguments.run.as_deref().or(new_path).unwrap_or(Path::new("runs"));
    let begin = if arguments.resume { Run::resume_on } else { Run::create_on };
    renderer.preparing("reading the words of the tasks");
    let mut run = begin(ranks, folder, config.clone(), &choice.opened, training, &*held_out)?;
    renderer.prepared();
    if let Err(error) = sign(folder, &config) {
        tell!(
            "proxmo: warning: the run's command cannot be signed, so resuming asks for it: {error}"
        );
        renderer.distrust();
    }
    renderer.introduce(&Opening {
        config: &config,
        choice: &choice,
        training,
        held_out: &*held_out,
        demonstrations: demonstrations.as_ref().map(Vec::len),
        folder,
    });
    introduce_ranks(&config, ranks, arguments.quiet);
    if let Some(demonstrations) = demonstrations {
        run = run.imitating(&demonstrations)?;
    }
    stop.heed()?;
    if arguments.tensorboard || (arguments.resume && TensorBoard::is_in(folder)) {
        run = run.record(TensorBoard::default());
    }
    // The report is written before the terminal names it.
    let mut recorders = Recorders::default();
    recorders.push(Box::new(ReportWriter));
    recorders.push(renderer);
    run.record(recorders).train(&|| stop.is_asked()).map(drop)
}

/// Prints how many ranks train, and warns if some of them have less to do than others.
fn introduce_ranks(config: &Config, ranks: &Ranks, quiet: bool) {
    if ranks.is_alone() {
        return;
    }
    let (size, mut distributed) = (ranks.size(), config.distributed.clone());
    distributed.fix_parts(size);
    let parts = distributed.parts;
    if !quiet {
        tell!("  ranks   {size}, which share {parts} parts of the work");
    }
    if !parts.is_multiple_of(size) {
        tell!(
            "proxmo: warning: {parts} parts cannot be shared evenly by {size} ranks, some of which wait \
             for the others; take a number of ranks that divides {parts}, or --parts {}",
            parts.next_multiple_of(size)
        );
    }
}

/// The settings of a resumed run: those of its folder, and the flags.
fn resumed_config(arguments: &Arguments, folder: &Path) -> Result<Config> {
    let mut recorded = read_config(&folder.join("config.toml"))?;
    // Flags that change limits do not change the schedule.
    recorded.fix_schedule();
    recorded.distributed.fix_parts(1);
    let flags = &arguments.settings;
    let mut config = flags.resolve(Some(recorded.clone()))?;
    let given = Given {
        command: flags.gives("env.command"),
        working_folder: flags.gives("env.working_folder"),
        trust: arguments.trust_command,
    };
    settle(folder, &recorded, &mut config, given)?;
    Ok(config)
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
fn demonstrate(
    training: &dyn Environment,
    config: &Config,
    renderer: &mut dyn Renderer,
) -> Result<Vec<Demonstration>> {
    let total = spread(training.tasks(), config.imitation.tasks).len();
    renderer.demonstrating(0, total);
    let mut progress = |done| renderer.demonstrating(done, total);
    let variation = config.variation(training, 0);
    let training = variation.as_deref().unwrap_or(training);
    let found = demonstrations(training, &config.imitation, config.run.seed, 0, &mut progress)?;
    found.remarks.iter().for_each(|remark| tell!("proxmo: warning: {remark}"));
    Ok(found.list)
}

/// Measurements are cached in the user's cache folder. Software GPUs are candidates only if
/// `PROXMO_AUTO_SOFTWARE` is set, as in the tests.
fn auto(check: DeviceCheck) -> Auto {
    let cache = etcetera::choose_base_strategy().ok().map(|user| user.cache_dir().join("proxmo"));
    Auto { cache, software: std::env::var_os("PROXMO_AUTO_SOFTWARE").is_some(), check }
}
