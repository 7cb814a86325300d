//! The progress of a comparison on the terminal: a line for each variant, a bar for each running training,
//! and one for all.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use web_time::Instant;

use super::plan::{PlannedRun, Progress};
use super::variant_rows::{Stage, VariantRows};
use crate::cli::table::{in_short, percent};
use crate::cli::terminal::{printable, tell};
use crate::error::Result;
use crate::runs::{Recorder, RunSummary};
use crate::train::IterationMetrics;

/// The terminal output of a comparison, shared by the threads of its runs.
pub struct Screen {
    quiet: bool,
    /// Shows bars. Otherwise every evaluation is a line.
    live: bool,
    bars: MultiProgress,
    variants: Mutex<VariantRows>,
    all: ProgressBar,
    started: Instant,
    work: Mutex<WorkDone>,
    runs: usize,
}

/// The steps of a bar per run.
const PARTS: u64 = 1000;

/// The work done, in runs.
#[derive(Debug, Clone, Copy, PartialEq)]
struct WorkDone {
    /// Before this process started.
    before: f64,
    /// Now.
    done: f64,
    /// Finished runs.
    finished: usize,
}

impl WorkDone {
    /// The remaining time at the pace so far; `None` before any work is done and after all of it.
    fn remaining(&self, runs: usize, spent: Duration) -> Option<Duration> {
        let pace = (self.done - self.before) / spent.as_secs_f64();
        let remaining = runs as f64 - self.done;
        // A sum of shares may differ from the whole by rounding.
        let known = pace > 0.0 && remaining > 1e-6;
        known.then(|| Duration::try_from_secs_f64(remaining / pace).ok()).flatten()
    }
}

impl Screen {
    /// A screen for the runs of `plan`. Prints how many of them are finished and started.
    pub fn new(quiet: bool, plan: &[PlannedRun], folder: &Path, jobs: u16) -> Self {
        let live = !quiet && std::io::stderr().is_terminal();
        let bars = MultiProgress::new();
        let all = ProgressBar::new(PARTS * plan.len() as u64);
        let finished = plan.iter().filter(|run| run.progress == Progress::Finished).count();
        let before = plan.iter().map(PlannedRun::done).sum();
        let all = if live { bars.add(all) } else { ProgressBar::hidden() };
        let variants = match live {
            true => VariantRows::new(plan, &bars, &all),
            false => VariantRows::default(),
        };
        let screen = Self {
            quiet,
            live,
            all,
            bars,
            variants: Mutex::new(variants),
            started: Instant::now(),
            work: Mutex::new(WorkDone { before, done: before, finished }),
            runs: plan.len(),
        };
        screen.all.set_style(style("  all runs {bar:20} {wide_msg}"));
        let started =
            plan.iter().filter(|run| matches!(run.progress, Progress::Started(_))).count();
        screen.print(&format!(
            "proxmo {}, {} runs in {}, {jobs} in parallel: {finished} finished, {started} started",
            env!("CARGO_PKG_VERSION"),
            plan.len(),
            folder.display()
        ));
        screen
    }

    fn print(&self, line: &str) {
        if !self.quiet {
            self.bars.suspend(|| tell!("{line}"));
        }
    }

    /// Shows a run that starts or resumes.
    pub fn show_run<'a>(&'a self, run: &'a PlannedRun) -> RunProgress<'a> {
        self.variants().enter(run, Stage::Running);
        let bar = match self.live {
            true => self.bars.insert_before(&self.all, ProgressBar::new(PARTS)),
            false => ProgressBar::hidden(),
        };
        bar.set_style(style("  {prefix} {bar:12} {wide_msg}"));
        bar.set_prefix(printable(&run.name).into_owned());
        let done = run.done();
        RunProgress { screen: self, run, bar, done, evaluation: String::new() }
    }

    /// Prints the outcome of a run.
    pub fn run_ended(&self, run: &PlannedRun, outcome: &Result<RunSummary>) {
        let message = match outcome {
            Err(error) => format!("failed: {error}"),
            Ok(summary) => {
                let held_out = summary.evaluation.as_ref().map(|one| in_short(&one.overall()));
                let held_out = held_out.unwrap_or("-".into());
                let verb = if summary.stopped { "stopped" } else { "finished" };
                let minutes = summary.elapsed / 60.0;
                format!(
                    "{verb} after iteration {}, {minutes:.1} min; held out {held_out}",
                    summary.iterations
                )
            }
        };
        let is_finished = outcome.as_ref().is_ok_and(|summary| !summary.stopped);
        self.variants().enter(
            run,
            match (outcome.is_err(), is_finished) {
                (true, _) => Stage::Failed,
                (false, true) => Stage::Finished,
                (false, false) => Stage::Waiting,
            },
        );
        let finished = {
            let mut work = self.lock();
            work.finished += usize::from(is_finished);
            work.finished
        };
        let remaining = self.remaining();
        self.print(&format!(
            "  {}: {message} ({finished} of {} runs{remaining})",
            run.name, self.runs
        ));
        self.show_all();
    }

    fn variants(&self) -> std::sync::MutexGuard<'_, VariantRows> {
        self.variants.lock().unwrap_or_else(|poison| poison.into_inner())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, WorkDone> {
        self.work.lock().unwrap_or_else(|poison| poison.into_inner())
    }

    fn advance(&self, share: f64) {
        self.lock().done += share;
        self.show_all();
    }

    fn show_all(&self) {
        let WorkDone { done, finished, .. } = *self.lock();
        self.all.set_position((PARTS as f64 * done) as u64);
        self.all.set_message(format!("{finished} of {}{}", self.runs, self.remaining()));
    }

    /// The remaining time as text.
    fn remaining(&self) -> String {
        let remaining = self.lock().remaining(self.runs, self.started.elapsed());
        remaining.map_or_else(String::new, |time| format!(", about {} left", short_duration(time)))
    }

    /// Removes the bars and returns the number of finished runs.
    pub fn finish(&self) -> usize {
        self.variants().clear();
        self.all.finish_and_clear();
        self.lock().finished
    }
}

/// A style. Its last column is `wide_msg`, which is cut to the width of the window: a line that wraps
/// would break the bars.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A duration in short form.
fn short_duration(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds < 60 => format!("{seconds} s"),
        seconds if seconds < 6000 => format!("{} min", (seconds + 30) / 60),
        seconds => format!("{:.1} h", seconds as f64 / 3600.0),
    }
}

/// The progress of one run.
pub struct RunProgress<'a> {
    screen: &'a Screen,
    run: &'a PlannedRun,
    bar: ProgressBar,
    /// The share of the run that is done.
    done: f64,
    /// The result of the last evaluation as text.
    evaluation: String,
}

impl Recorder for RunProgress<'_> {
    fn warning(&mut self, text: &str) {
        self.screen.bars.suspend(|| tell!("  {}: warning: {text}", self.run.name));
    }

    fn iteration(&mut self, line: &IterationMetrics) -> Result<()> {
        if let Some(evaluation) = &line.evaluation {
            let overall = evaluation.overall();
            self.evaluation = format!(", held out {}", in_short(&overall));
            self.screen.variants().evaluated(self.run, overall);
        }
        let run = &self.run.config.run;
        let done = run.share_done(line.iteration, line.seconds.elapsed);
        let share = done - std::mem::replace(&mut self.done, done);
        self.bar.set_position((PARTS as f64 * done) as u64);
        let limit = match run.iterations {
            0 => String::new(),
            limit => format!("/{limit}"),
        };
        let message = format!(
            "iteration {}{limit}, {}{}",
            line.iteration,
            match line.success {
                Some(success) => format!("success {}", percent(success)),
                None => format!("return {:.3}", line.mean_return),
            },
            self.evaluation
        );
        self.screen.advance(share);
        if line.evaluation.is_some() && !self.screen.live {
            self.screen.print(&format!(
                "  {}: {message}{}",
                self.run.name,
                self.screen.remaining()
            ));
        }
        self.bar.set_message(message);
        Ok(())
    }
}

impl Drop for RunProgress<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remaining_time_follows_from_the_pace() {
        let work = WorkDone { before: 1.0, done: 2.5, finished: 2 };
        assert_eq!(work.remaining(4, Duration::from_secs(30)), Some(Duration::from_secs(30)));
        let nothing = WorkDone { before: 1.0, done: 1.0, finished: 1 };
        assert_eq!(nothing.remaining(4, Duration::from_secs(30)), None);
        assert_eq!(nothing.remaining(4, Duration::ZERO), None);
        let all = WorkDone { before: 0.0, done: 4.0, finished: 4 };
        assert_eq!(all.remaining(4, Duration::from_secs(1)), None);
    }

    #[test]
    fn durations_are_short() {
        let short = |seconds| short_duration(Duration::from_secs(seconds));
        assert_eq!([59, 90, 3600, 5999].map(short), ["59 s", "2 min", "60 min", "100 min"]);
        assert_eq!(short(36_000), "10.0 h");
    }
}
