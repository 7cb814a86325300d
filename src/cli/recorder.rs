//! Recorders of the command line: the terminal and the report.

use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::columns::Columns;
use super::progress::{bar, training_bar, training_message, width};
use super::table::results;
use super::terminal::{say, tell};
use crate::command_line::Rules;
use crate::env::Environment;
use crate::error::Result;
use crate::report;
use crate::rollout::CollectionProgress;
use crate::runs::auto::DeviceChoice;
use crate::runs::{Recorder, RunStart, RunSummary};
use crate::train::{Config, IterationMetrics, KindResult, RunConfig, UpdateProgress};

/// Writes `curve.svg` and `report.html` at the end of a run.
pub struct ReportWriter;

impl Recorder for ReportWriter {
    fn finished(&mut self, summary: &RunSummary) -> Result<()> {
        report::write(&summary.folder)
    }
}

/// Prints a run's progress on standard error, and its result on standard output.
pub struct TerminalRecorder<'a> {
    quiet: bool,
    held_out: &'a dyn Environment,
    /// The progress bar of an evaluation under way.
    evaluating: Option<ProgressBar>,
    /// The bar of the training.
    training: Option<ProgressBar>,
    /// The limits of the run.
    run: Option<RunConfig>,
    /// The share of the run that was done when this process began to train, and that time.
    begun_at: (f64, Instant),
    /// Whether a GPU trains, which compiles kernels in the first iteration.
    on_gpu: bool,
    /// Begin of the iteration under way, and the time of the last line about it.
    under_way: Option<(Instant, Instant)>,
    lines: u64,
    /// Results of the policy that the run starts from.
    initial: Vec<KindResult>,
    /// Its name.
    initial_name: &'static str,
    /// Whether the run's command needs `--trust-command` when the run is resumed.
    distrusted: bool,
    /// Whether the run is resumed.
    resumed: bool,
}

/// Number of lines after which the column heads are repeated.
const LINES_PER_PAGE: u64 = 25;

/// Time after which an iteration under way is reported, and again after each further time of this
/// length.
const TELL_AFTER: Duration = Duration::from_secs(10);

impl<'a> TerminalRecorder<'a> {
    /// A recorder that prints only warnings and the result if `quiet` is set.
    pub fn new(quiet: bool, held_out: &'a dyn Environment) -> Self {
        Self {
            quiet,
            held_out,
            evaluating: None,
            training: None,
            run: None,
            begun_at: (0.0, Instant::now()),
            on_gpu: false,
            under_way: None,
            lines: 0,
            initial: Vec::new(),
            initial_name: "untrained",
            distrusted: false,
            resumed: false,
        }
    }

    /// Makes the commands that it prints trust the run's command.
    pub fn distrust(&mut self) {
        self.distrusted = true;
    }

    /// Prints what is trained, where and on which device.
    pub fn introduce(
        &mut self,
        config: &Config,
        choice: &DeviceChoice,
        training: &dyn Environment,
        folder: &Path,
    ) {
        self.on_gpu = choice.opened.adapter.max_invocations > 0;
        if self.quiet {
            return;
        }
        let (adapter, reason) = (&choice.opened.adapter, &choice.reason);
        let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        tell!("proxmo {}, estimator {}", env!("CARGO_PKG_VERSION"), config.credit.estimator);
        tell!(
            "  tasks   {}: {} for training, {} held out ({})",
            config.env.name(),
            training.tasks(),
            self.held_out.tasks(),
            match self.held_out.splits().as_slice() {
                [one] => one.name.clone(),
                _ => config.eval.split.clone(),
            }
        );
        tell!("  device  {} on {}{reason}", adapter.backend, adapter.name);
        let rollout = &config.rollout;
        if config.imitation.from.is_empty() {
            let episodes = rollout.groups.min(training.tasks()) * rollout.group_size;
            tell!(
                "  rollout {episodes} episodes an iteration, in groups of {}",
                rollout.group_size
            );
        }
        tell!("  run     {}", folder.display());
    }

    /// Prints the number and the source of demonstrations.
    pub fn introduce_demonstrations(&self, config: &Config, count: usize) {
        if !self.quiet {
            tell!("  imitate {count} demonstrations from {}", config.imitation.from);
        }
    }

    /// Keeps the results of the initial policy for the final table.
    fn keep_initial(&mut self, metrics: &IterationMetrics) {
        if let (0, Some(evaluation)) = (metrics.iteration, &metrics.evaluation) {
            self.initial = evaluation.kinds.clone();
            self.initial.push(evaluation.overall());
        }
    }

    /// Prints the line of an iteration, below column heads.
    fn print_line(&mut self, metrics: &IterationMetrics) {
        let columns = Columns::for_width(width());
        if self.lines.is_multiple_of(LINES_PER_PAGE) {
            self.print(&format!("\n{}", columns.heads()));
        }
        self.lines += 1;
        self.print(&columns.line(metrics, self.initial_name));
    }

    /// Prints a line about an iteration that takes long.
    fn tell_how_far(&mut self, text: impl FnOnce() -> String) {
        let now = Instant::now();
        let (begun, last) = *self.under_way.get_or_insert((now, now));
        if !self.quiet && now - last >= TELL_AFTER {
            self.under_way = Some((begun, now));
            self.print(&format!("  {} s: {}", (now - begun).as_secs(), text()));
        }
    }

    /// Prints a line above the bars.
    fn print(&self, line: &str) {
        let bar = self.evaluating.as_ref().or(self.training.as_ref());
        match bar {
            Some(bar) => bar.suspend(|| tell!("{line}")),
            None => tell!("{line}"),
        }
    }

    /// Moves the bar of the training.
    fn show_progress(&mut self, iteration: u64, elapsed: f64) {
        let Some(run) = &self.run else { return };
        let share = run.share_done(iteration, elapsed);
        let bar = self.training.get_or_insert_with(training_bar);
        // The pace is that of this process.
        let (first, begun) = self.begun_at;
        let done = (share - first) / (1.0 - first);
        let spent = begun.elapsed().as_secs_f64();
        let mut text = training_message(iteration, run.iterations, done, spent);
        if done == 0.0 && self.on_gpu {
            text += ": the first iteration compiles kernels";
        }
        bar.set_position((1000.0 * share) as u64);
        bar.set_message(text);
        if share >= 1.0 {
            bar.finish_and_clear();
        }
    }
}

impl Recorder for TerminalRecorder<'_> {
    fn started(&mut self, start: &RunStart) -> Result<()> {
        let run = start.config.run.clone();
        self.begun_at = (run.share_done(start.iteration, 0.0), Instant::now());
        self.run = Some(run);
        self.resumed = start.is_resumed;
        if !start.config.run.init.as_os_str().is_empty() {
            self.initial_name = "initial";
        }
        if !self.quiet {
            let policy = start.policy;
            tell!("  policy  {}, {} weights, {}", policy.kind, policy.parameters, policy.details);
            if start.iteration > 0 {
                tell!("  resumed after iteration {}", start.iteration);
            }
            for (key, (before, after)) in start.changes {
                tell!("  changed {key} from {before} to {after}");
            }
        }
        Ok(())
    }

    fn evaluating(&mut self, done: usize, total: usize) {
        if !self.quiet {
            // One bar at a time.
            if let Some(bar) = self.training.take() {
                bar.finish_and_clear();
            }
            let bar = self.evaluating.get_or_insert_with(|| bar(total, "evaluating"));
            bar.set_position(done as u64);
        }
    }

    fn collecting(&mut self, progress: &CollectionProgress) {
        let CollectionProgress { episodes, started, ended, steps } = *progress;
        self.tell_how_far(|| match started < episodes {
            true => format!("{started} of {episodes} episodes have begun"),
            false => format!("{ended} of {episodes} episodes have ended, {steps} steps"),
        });
    }

    fn updating(&mut self, progress: &UpdateProgress) {
        let UpdateProgress { done, total } = *progress;
        self.tell_how_far(|| format!("{done} of {total} updates are done"));
    }

    fn iteration(&mut self, metrics: &IterationMetrics) -> Result<()> {
        self.under_way = None;
        self.keep_initial(metrics);
        if let Some(bar) = self.evaluating.take() {
            bar.finish_and_clear();
        }
        if !self.quiet {
            self.print_line(metrics);
            self.show_progress(metrics.iteration, metrics.seconds.elapsed);
        }
        Ok(())
    }

    fn warning(&mut self, text: &str) {
        self.print(&format!("proxmo: warning: {text}"));
    }

    fn finished(&mut self, summary: &RunSummary) -> Result<()> {
        if let Some(bar) = self.training.take() {
            bar.finish_and_clear();
        }
        let (iterations, minutes) = (summary.iterations, summary.elapsed / 60.0);
        if let Some(evaluation) = &summary.evaluation {
            let kinds = evaluation.by_kind(self.held_out);
            let before = (self.initial_name, self.initial.as_slice());
            let before = (!self.initial.is_empty()).then_some(before);
            say!("\nHeld-out tasks after iteration {iterations}:");
            say!("{}", results(&kinds, &evaluation.overall(), before));
        }
        let folder = &summary.folder;
        if summary.stopped {
            say!("Stopped after iteration {iterations} ({minutes:.1} min). Resume with:");
            say!("  {}", self.command(&["train", "--resume"], folder));
        } else if self.resumed && summary.trained == 0 {
            say!(
                "Nothing to train: the run has reached its limit ({iterations} iterations, \
                 {minutes:.1} min). Train further with:"
            );
            let limit = self.run.as_ref().map_or(0, |run| run.iterations);
            let further = match limit > 0 && iterations >= limit {
                true => ["--iterations".to_string(), (2 * limit).to_string()],
                false => ["--minutes".to_string(), format!("{:.0}", (2.0 * minutes).ceil())],
            };
            say!("  {}", self.command(&["train", "--resume", &further[0], &further[1]], folder));
        } else {
            say!("Trained {iterations} iterations in {minutes:.1} min. Evaluate with:");
            let report = folder.join("report.html");
            say!("  {}        (report: {})", self.command(&["eval"], folder), report.display());
        }
        Ok(())
    }
}

impl TerminalRecorder<'_> {
    /// A command about the run, quoted for a shell.
    fn command(&self, words: &[&str], folder: &Path) -> String {
        let folder = folder.display().to_string();
        let trust = self.distrusted.then_some("--trust-command");
        let (first, others) = words.split_at(1);
        let words = ["proxmo"].iter().chain(first).copied();
        let words = words.chain(["--run", &folder]).chain(others.iter().copied()).chain(trust);
        Rules::HERE.join(words)
    }
}
