//! `proxmo train`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use etcetera::BaseStrategy;
use indicatif::ProgressBar;

use super::progress::{bar, progress};
use super::settings::{SettingFlags, make_paths_absolute, read_config};
use super::table::{percent, results};
use super::terminal::{say, tell};
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::rollout::Demonstration;
use crate::runs::auto::{Auto, Choice, open_for_training};
use crate::runs::{Event, Run, Summary, demonstrations};
use crate::train::{Config, IterationMetrics, KindResult, spread};

/// Train a policy with ProxMO.
///
/// Without arguments: on household tasks that the crate generates, on the device that is fastest for
/// them, into a new folder below runs/. Ctrl-C finishes the iteration, saves, and says how to go on.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Folder of the run [default: the first free runs/<env>-<number>].
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Go on with the run in --run from its newest checkpoint. Flags override its settings.
    #[arg(long, requires = "run", conflicts_with_all = ["config", "preset"])]
    resume: bool,
    /// Print nothing but the final table.
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

/// Trains with settings that begin as `defaults`, where the arguments name no others to begin with.
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
    // Everything that can be refused is looked at before anything is written.
    if !arguments.resume {
        Run::expect_free(&folder)?;
    }
    let training = config.env.open(config.env.split())?;
    let training = &*training;
    let held_out = config.env.open(&config.eval.split)?;
    let demonstrations = match config.clone.from.is_empty() {
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
    let mut screen = Screen::new(arguments.quiet);
    screen.introduce(&config, &choice, training, &*held_out, &folder);
    if let Some(demonstrations) = demonstrations {
        screen.imitate(&config, demonstrations.len());
        run = run.imitating(&demonstrations)?;
    }
    let stop = stop_on_interrupt()?;
    let summary = run.train(&|| stop.load(Ordering::Relaxed), &mut |event| screen.show(&event))?;
    screen.finish(&summary, &*held_out, &folder);
    Ok(())
}

/// The demonstrations to imitate.
fn demonstrate(training: &dyn Environment, config: &Config) -> Result<Vec<Demonstration>> {
    let mut progress = progress(spread(training.tasks(), config.clone.tasks).len());
    demonstrations(training, &config.clone, config.run.seed, &mut progress)
}

/// Measurements are kept in the user's cache folder. Software GPUs are candidates for those alone who
/// set `PROXMO_AUTO_SOFTWARE`, as the tests do.
fn auto() -> Auto {
    let cache = etcetera::choose_base_strategy().ok().map(|user| user.cache_dir().join("proxmo"));
    Auto { cache, software: std::env::var_os("PROXMO_AUTO_SOFTWARE").is_some() }
}

/// The first free `runs/<what>-<number>`.
pub(super) fn free_folder(what: &str) -> Result<PathBuf> {
    (1..u32::MAX)
        .map(|number| Path::new("runs").join(format!("{what}-{number}")))
        .find(|folder| !folder.exists())
        .ok_or_else(|| Error::file(Path::new("runs"), "no name is free; name one with --run"))
}

/// A flag that Ctrl-C sets. A second Ctrl-C ends the process at once.
pub(super) fn stop_on_interrupt() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        tell!("\nstopping after this iteration; once more ends at once and loses it");
    })
    .map_err(|error| Error::Run(format!("cannot watch for Ctrl-C: {error}")))?;
    Ok(stop)
}

/// What the terminal shows while a run goes on.
struct Screen {
    quiet: bool,
    /// Shows an evaluation under way.
    evaluating: Option<ProgressBar>,
    lines: u64,
    untrained: Vec<KindResult>,
}

/// The column heads are shown again after so many lines.
const LINES_A_PAGE: u64 = 25;

impl Screen {
    fn new(quiet: bool) -> Self {
        Self { quiet, evaluating: None, lines: 0, untrained: Vec::new() }
    }

    fn introduce(
        &self,
        config: &Config,
        choice: &Choice,
        training: &dyn Environment,
        held_out: &dyn Environment,
        folder: &Path,
    ) {
        if self.quiet {
            return;
        }
        let (adapter, reason) = (&choice.opened.adapter, &choice.reason);
        let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        tell!("proxmo {}, estimator {}", env!("CARGO_PKG_VERSION"), config.credit.estimator);
        tell!(
            "  tasks   {}: {} to train on, {} held out ({})",
            config.env.name(),
            training.tasks(),
            held_out.tasks(),
            config.eval.split
        );
        tell!("  device  {} on {}{reason}", adapter.backend, adapter.name);
        tell!("  run     {}", folder.display());
    }

    fn imitate(&self, config: &Config, demonstrations: usize) {
        if !self.quiet {
            tell!("  clone   {demonstrations} demonstrations, from {}", config.clone.from);
        }
    }

    fn show(&mut self, event: &Event) {
        if let Event::Warning(warning) = event {
            self.warn(warning);
            return;
        }
        if self.quiet {
            if let Event::Iteration(line) = event {
                self.keep_untrained(line);
            }
            return;
        }
        match event {
            Event::Started { iteration, words, parameters } => {
                tell!("  policy  scorer, {parameters} weights, {words} words");
                if *iteration > 0 {
                    tell!("  resumed after iteration {iteration}");
                }
            }
            Event::Evaluating { done, total } => self.evaluating(*done, *total),
            Event::Iteration(line) => self.iteration(line),
            Event::Saved(_) | Event::Warning(_) => {}
        }
    }

    fn evaluating(&mut self, done: usize, total: usize) {
        self.evaluating.get_or_insert_with(|| bar(total, "evaluating")).set_position(done as u64);
    }

    /// Said even where nothing else is.
    fn warn(&mut self, warning: &str) {
        let line = format!("proxmo: warning: {warning}");
        match &self.evaluating {
            Some(bar) => bar.suspend(|| tell!("{line}")),
            None => tell!("{line}"),
        }
    }

    fn keep_untrained(&mut self, line: &IterationMetrics) {
        if let (0, Some(evaluation)) = (line.iteration, &line.evaluation) {
            self.untrained = evaluation.kinds.clone();
            self.untrained.push(KindResult {
                kind: "All".into(),
                success: evaluation.success,
                ..KindResult::default()
            });
        }
    }

    fn iteration(&mut self, line: &IterationMetrics) {
        self.keep_untrained(line);
        if let Some(bar) = self.evaluating.take() {
            bar.finish_and_clear();
        }
        if self.lines.is_multiple_of(LINES_A_PAGE) {
            tell!(
                "\n{:>5} {:>8} {:>7} {:>6} {:>8} {:>7} {:>7} {:>6} {:>6}  {:>17}  {:>7}  held out",
                "iter",
                "success",
                "return",
                "length",
                "loss",
                "kl",
                "entropy",
                "clip",
                "|grad|",
                "rollout+credit+upd",
                "elapsed"
            );
        }
        self.lines += 1;
        let held_out = line.evaluation.as_ref().map(|one| percent(one.success)).unwrap_or_default();
        let elapsed = line.seconds.elapsed;
        let clock = format!("{}:{:02}", elapsed as u64 / 60, elapsed as u64 % 60);
        if line.iteration == 0 {
            tell!("{:>5} {:<75}  {clock:>7}  {held_out}", 0, "untrained");
            return;
        }
        let seconds = line.seconds;
        let played = match line.length {
            0.0 => format!("{:>8} {:>7} {:>6}", "-", "-", "-"),
            length => {
                format!("{:>8} {:>7.3} {length:>6.1}", percent(line.success), line.mean_return)
            }
        };
        tell!(
            "{:>5} {played} {:>8.4} {:>7.4} {:>7.3} {:>6.3} {:>6.3}  {:>5.2}s{:>5.2}s{:>5.2}s   {clock:>7}  {held_out}",
            line.iteration,
            line.loss,
            line.kl,
            line.entropy,
            line.clip_fraction,
            line.gradient_norm,
            seconds.rollout,
            seconds.credit,
            seconds.update,
        );
    }

    fn finish(&self, summary: &Summary, held_out: &dyn Environment, folder: &Path) {
        let folder = folder.display();
        if let Some(evaluation) = &summary.evaluation {
            let kinds = evaluation.by_kind(held_out);
            let before = (!self.untrained.is_empty()).then_some(self.untrained.as_slice());
            say!("\nHeld-out tasks after iteration {}:", summary.iterations);
            say!("{}", results(&kinds, &evaluation.overall(), before));
        }
        let minutes = summary.elapsed / 60.0;
        if summary.stopped {
            say!("Stopped after iteration {} ({minutes:.1} min). Go on with:", summary.iterations);
            say!("  proxmo train --run {folder} --resume");
        } else {
            say!(
                "Trained {} iterations in {minutes:.1} min. Look further with:",
                summary.iterations
            );
            say!("  proxmo eval --run {folder}        (report: {folder}/report.html)");
        }
    }
}
