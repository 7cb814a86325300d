//! A training as lines of text, with progress bars below them on a terminal.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::{Opening, Outcome, Renderer, tell_opening, tell_start};
use crate::cli::columns::Columns;
use crate::cli::progress::{Pace, Waiting, bar, training_bar, training_message, width};
use crate::cli::terminal::tell;
use crate::device::Adapter;
use crate::error::Result;
use crate::rollout::CollectionProgress;
use crate::runs::{Recorder, RunStart, RunSummary};
use crate::train::{IterationMetrics, RunConfig, UpdateProgress};

/// Prints a training's progress on standard error, and its result on standard output.
pub struct PlainRenderer {
    /// Prints only warnings and the result.
    quiet: bool,
    /// The preparation under way.
    preparing: Option<Waiting>,
    /// The progress bar of the demonstrations.
    demonstrating: Option<ProgressBar>,
    /// The progress bar of an evaluation under way.
    evaluating: Option<ProgressBar>,
    /// The bar of the training.
    training: Option<ProgressBar>,
    /// The limits of the run, and how far it was when this process began to train, and at that time.
    run: Option<(RunConfig, Pace, Instant)>,
    /// Whether a GPU trains.
    on_gpu: bool,
    /// Begin of the iteration under way, and the time of the last line about it.
    under_way: Option<(Instant, Instant)>,
    lines: u64,
    outcome: Outcome,
}

/// Number of lines after which the column heads are repeated.
const LINES_PER_PAGE: u64 = 25;

/// Time after which an iteration under way is reported, and again after each further time of this
/// length.
const TELL_AFTER: Duration = Duration::from_secs(10);

impl PlainRenderer {
    /// A renderer that prints only warnings and the result if `quiet` is set.
    pub fn new(quiet: bool) -> Self {
        Self {
            quiet,
            preparing: None,
            demonstrating: None,
            evaluating: None,
            training: None,
            run: None,
            on_gpu: false,
            under_way: None,
            lines: 0,
            outcome: Outcome::new(),
        }
    }

    /// Prints the line of an iteration, below column heads.
    fn print_line(&mut self, metrics: &IterationMetrics) {
        let columns = Columns::for_width(width());
        if self.lines.is_multiple_of(LINES_PER_PAGE) {
            self.print(&format!("\n{}", columns.heads()));
        }
        self.lines += 1;
        self.print(&columns.line(metrics, self.outcome.initial_name()));
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
        let Some((run, pace, begun)) = &self.run else { return };
        let share = run.share_done(iteration, elapsed);
        let bar = self.training.get_or_insert_with(training_bar);
        let left = pace.left(share, begun.elapsed().as_secs_f64());
        let mut text = training_message(iteration, run.iterations, left);
        if left.is_none() && self.on_gpu {
            text += ": the first iteration compiles kernels";
        }
        bar.set_position((1000.0 * share) as u64);
        bar.set_message(text);
        if share >= 1.0 {
            bar.finish_and_clear();
        }
    }
}

impl Renderer for PlainRenderer {
    fn preparing(&mut self, text: &'static str) {
        self.preparing = Some(Waiting::new(self.quiet, text));
    }

    fn prepared(&mut self) {
        self.preparing = None;
        if let Some(bar) = self.demonstrating.take() {
            bar.finish_and_clear();
        }
    }

    fn measuring(&mut self, adapter: &Adapter) {
        if !self.quiet {
            tell!("measuring updates with {} on {}", adapter.backend, adapter.name);
        }
    }

    fn demonstrating(&mut self, done: usize, total: usize) {
        if self.quiet {
            return;
        }
        let bar = self.demonstrating.get_or_insert_with(|| bar(total, "demonstrations"));
        // Some come without being played.
        if done > 0 {
            bar.set_position(done as u64);
        }
    }

    fn introduce(&mut self, opening: &Opening) {
        self.on_gpu = opening.is_on_gpu();
        if !self.quiet {
            tell_opening(opening);
        }
    }

    fn distrust(&mut self) {
        self.outcome.distrust();
    }
}

impl Recorder for PlainRenderer {
    fn started(&mut self, start: &RunStart) -> Result<()> {
        self.outcome.start(start);
        let run = start.config.run.clone();
        let pace = Pace::from(run.share_done(start.iteration, 0.0));
        self.run = Some((run, pace, Instant::now()));
        if !self.quiet {
            tell_start(start);
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
        let CollectionProgress { episodes, started, ended, steps, .. } = *progress;
        self.tell_how_far(|| match steps == 0 {
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
        self.outcome.keep(metrics);
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
        self.outcome.say(summary);
        Ok(())
    }
}
