//! What the terminal shows while runs go on: a line for each under way, and one for all of them.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use web_time::Instant;

use super::plan::{Planned, Standing};
use crate::cli::table::percent;
use crate::cli::terminal::{printable, tell};
use crate::error::Result;
use crate::runs::{Recorder, RunSummary};
use crate::train::IterationMetrics;

/// The screen of a comparison. Runs on any thread may speak through it.
pub struct Screen {
    quiet: bool,
    /// Somebody watches; otherwise evaluations are told as lines of a log.
    live: bool,
    bars: MultiProgress,
    all: ProgressBar,
    begun: Instant,
    progress: Mutex<Progress>,
    runs: usize,
}

/// How many parts of a run a bar tells apart.
const PARTS: u64 = 1000;

/// How much is done, in runs.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Progress {
    /// When this process began.
    before: f64,
    /// Now.
    done: f64,
    /// Runs that ended well.
    finished: usize,
}

impl Progress {
    /// How long the rest takes at the pace so far. Unknown before anything is done; without a rest
    /// there is nothing to say.
    fn left(&self, runs: usize, spent: Duration) -> Option<Duration> {
        let pace = (self.done - self.before) / spent.as_secs_f64();
        let rest = runs as f64 - self.done;
        // Shares that were added up may miss the whole by a rounding.
        let known = pace > 0.0 && rest > 1e-6;
        known.then(|| Duration::try_from_secs_f64(rest / pace).ok()).flatten()
    }
}

impl Screen {
    /// A screen for all runs of `plan`; those that are finished are told of at once.
    pub fn new(quiet: bool, plan: &[Planned], folder: &Path, jobs: u16) -> Self {
        let live = !quiet && std::io::stderr().is_terminal();
        let bars = MultiProgress::new();
        let all = ProgressBar::new(PARTS * plan.len() as u64);
        let finished = plan.iter().filter(|run| run.standing == Standing::Finished).count();
        let before = plan.iter().map(Planned::done).sum();
        let screen = Self {
            quiet,
            live,
            all: if live { bars.add(all) } else { ProgressBar::hidden() },
            bars,
            begun: Instant::now(),
            progress: Mutex::new(Progress { before, done: before, finished }),
            runs: plan.len(),
        };
        screen.all.set_style(style("  all runs {wide_bar} {msg}"));
        let begun = plan.iter().filter(|run| matches!(run.standing, Standing::Begun(_))).count();
        screen.say(&format!(
            "proxmo {}, {} runs into {}, {jobs} at once: {finished} finished, {begun} begun",
            env!("CARGO_PKG_VERSION"),
            plan.len(),
            folder.display()
        ));
        screen
    }

    fn say(&self, line: &str) {
        if !self.quiet {
            self.bars.suspend(|| tell!("{line}"));
        }
    }

    /// A run begins or goes on.
    pub fn begin(&self, run: &Planned) -> Watch<'_> {
        let bar = match self.live {
            true => self.bars.insert_before(&self.all, ProgressBar::new(PARTS)),
            false => ProgressBar::hidden(),
        };
        bar.set_style(style("  {prefix} {wide_bar} {msg}"));
        bar.set_prefix(printable(&run.name).into_owned());
        let done = run.done();
        let judged = String::new();
        Watch {
            screen: self,
            config: run.config.clone(),
            name: run.name.clone(),
            bar,
            done,
            judged,
        }
    }

    /// A run ended, well or not.
    pub fn ended(&self, run: &Planned, outcome: &Result<RunSummary>) {
        let told = match outcome {
            Err(error) => format!("failed: {error}"),
            Ok(summary) => {
                let held_out = summary.evaluation.as_ref().map(|one| one.overall().success);
                let held_out = held_out.map_or("-".into(), percent);
                let verb = if summary.stopped { "stopped" } else { "finished" };
                let minutes = summary.elapsed / 60.0;
                format!(
                    "{verb} after iteration {}, {minutes:.1} min; held out {held_out}",
                    summary.iterations
                )
            }
        };
        let is_finished = outcome.as_ref().is_ok_and(|summary| !summary.stopped);
        let finished = {
            let mut progress = self.lock();
            progress.finished += usize::from(is_finished);
            progress.finished
        };
        let left = self.left();
        self.say(&format!("  {}: {told} ({finished} of {} runs{left})", run.name, self.runs));
        self.show_all();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(|poison| poison.into_inner())
    }

    fn advance(&self, share: f64) {
        self.lock().done += share;
        self.show_all();
    }

    fn show_all(&self) {
        let Progress { done, finished, .. } = *self.lock();
        self.all.set_position((PARTS as f64 * done) as u64);
        self.all.set_message(format!("{finished} of {}{}", self.runs, self.left()));
    }

    /// The time left, in words.
    fn left(&self) -> String {
        let left = self.lock().left(self.runs, self.begun.elapsed());
        left.map_or_else(String::new, |left| format!(", about {} left", clock(left)))
    }

    /// Takes the bars away, and says how many runs are finished.
    pub fn finish(&self) -> usize {
        self.all.finish_and_clear();
        self.lock().finished
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A time that is short to read.
fn clock(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds < 60 => format!("{seconds} s"),
        seconds if seconds < 6000 => format!("{} min", (seconds + 30) / 60),
        seconds => format!("{:.1} h", seconds as f64 / 3600.0),
    }
}

/// Watches one run.
pub struct Watch<'a> {
    screen: &'a Screen,
    config: crate::train::Config,
    name: String,
    bar: ProgressBar,
    /// The share of the run that is done.
    done: f64,
    /// What the last evaluation found, in words.
    judged: String,
}

impl Recorder for Watch<'_> {
    fn iteration(&mut self, line: &IterationMetrics) -> Result<()> {
        if let Some(evaluation) = &line.evaluation {
            self.judged = format!(", held out {}", percent(evaluation.success));
        }
        let done = self.config.run.share_done(line.iteration, line.seconds.elapsed);
        let share = done - std::mem::replace(&mut self.done, done);
        self.bar.set_position((PARTS as f64 * done) as u64);
        let limit = match self.config.run.iterations {
            0 => String::new(),
            limit => format!("/{limit}"),
        };
        let told = format!(
            "iteration {}{limit}, success {}{}",
            line.iteration,
            percent(line.success),
            self.judged
        );
        self.screen.advance(share);
        if line.evaluation.is_some() && !self.screen.live {
            self.screen.say(&format!("  {}: {told}{}", self.name, self.screen.left()));
        }
        self.bar.set_message(told);
        Ok(())
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_takes_as_long_as_the_pace_says() {
        let progress = Progress { before: 1.0, done: 2.5, finished: 2 };
        assert_eq!(progress.left(4, Duration::from_secs(30)), Some(Duration::from_secs(30)));
        let nothing = Progress { before: 1.0, done: 1.0, finished: 1 };
        assert_eq!(nothing.left(4, Duration::from_secs(30)), None);
        assert_eq!(nothing.left(4, Duration::ZERO), None);
        let all = Progress { before: 0.0, done: 4.0, finished: 4 };
        assert_eq!(all.left(4, Duration::from_secs(1)), None);
    }

    #[test]
    fn times_are_short_to_read() {
        let clock = |seconds| clock(Duration::from_secs(seconds));
        assert_eq!([59, 90, 3600, 5999].map(clock), ["59 s", "2 min", "60 min", "100 min"]);
        assert_eq!(clock(36_000), "10.0 h");
    }
}
