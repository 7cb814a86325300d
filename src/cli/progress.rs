//! Progress bars. They are shown only on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use web_time::Instant;

use crate::train::EvaluationProgress;

/// A function that shows how far an evaluation is, unless `quiet`.
pub fn evaluation_bar(quiet: bool) -> impl FnMut(EvaluationProgress) {
    let begun = Instant::now();
    let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(PARTS) };
    let style = ProgressStyle::with_template("  evaluating {bar:12} {wide_msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    move |progress| {
        let left = Pace::default().left(progress.share, begun.elapsed().as_secs_f64());
        bar.set_position((PARTS as f64 * progress.share) as u64);
        bar.set_message(evaluation_message(&progress, left));
        if progress.done == progress.tasks {
            bar.finish_and_clear();
        }
    }
}

/// The steps of a bar whose whole is no number.
const PARTS: u64 = 1000;

/// What stands beside the bar of an evaluation: the tasks done and won, and the seconds left.
fn evaluation_message(progress: &EvaluationProgress, left: Option<f64>) -> String {
    let EvaluationProgress { tasks, done, won, .. } = *progress;
    let won = won.map_or_else(String::new, |won| format!(", {won} won"));
    let left = left.map_or_else(String::new, |left| format!(", about {} left", clock(left)));
    format!("{done} of {tasks} tasks{won}{left}")
}

/// The width of the terminal that standard error goes to, if it is one.
pub fn width() -> Option<usize> {
    let size = terminal_size::terminal_size_of(std::io::stderr());
    size.map(|(width, _)| usize::from(width.0)).filter(|&width| width > 0)
}

/// A line that says what is done, without a known end. It disappears when it is dropped.
pub struct Waiting(ProgressBar);

impl Waiting {
    /// Shows `text`, unless `quiet`.
    pub fn new(quiet: bool, text: &'static str) -> Self {
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        let style = ProgressStyle::with_template("  {spinner} {wide_msg} {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.set_message(text);
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A bar for a training, with the time left. Its text is cut to the width of the window, since a line
/// that wraps would break it.
pub fn training_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("  {bar:30} {wide_msg}");
    let bar = ProgressBar::new(PARTS);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// How fast a run gets on in this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    /// The share of the run that was done before.
    before: f64,
}

impl Pace {
    /// That of a run of which the share `before`, in [0, 1], was done before this process.
    pub fn from(before: f64) -> Self {
        Self { before }
    }

    /// The seconds left, if the share `share` of the run is done and this process has trained for `spent`
    /// seconds; `None` as long as it has done nothing.
    pub fn left(self, share: f64, spent: f64) -> Option<f64> {
        let done = (share - self.before) / (1.0 - self.before);
        let left = spent * (1.0 - done) / done;
        left.is_finite().then_some(left)
    }
}

/// What stands beside the bar of a training: the iteration, and the seconds left.
pub fn training_message(iteration: u64, limit: u64, left: Option<f64>) -> String {
    let of = if limit > 0 { format!("/{limit}") } else { String::new() };
    let left = left.map_or_else(String::new, |left| format!(", {} left", clock(left)));
    format!("iteration {iteration}{of}{left}")
}

/// Minutes and seconds.
pub fn clock(seconds: f64) -> String {
    format!("{}:{:02}", seconds as u64 / 60, seconds as u64 % 60)
}

/// A labelled progress bar on standard error.
pub fn bar(total: usize, label: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("  {prefix} {wide_bar} {pos}/{len} {msg}");
    let bar = ProgressBar::new(total as u64);
    bar.set_prefix(label);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

#[cfg(test)]
mod tests {
    use super::{Pace, evaluation_message, training_message};
    use crate::train::EvaluationProgress;

    #[test]
    fn the_time_left_follows_from_the_pace() {
        let left = |share, spent| Pace::default().left(share, spent);
        assert_eq!(training_message(75, 300, left(0.25, 60.0)), "iteration 75/300, 3:00 left");
        assert_eq!(training_message(3, 0, left(0.5, 61.0)), "iteration 3, 1:01 left");
        assert_eq!(training_message(0, 300, left(0.0, 1.0)), "iteration 0/300");
        // What was done before a resume took no time of this process.
        assert_eq!(Pace::from(0.5).left(0.75, 60.0), Some(60.0));
    }

    #[test]
    fn an_evaluation_tells_the_tasks_done_and_won_and_the_time_left() {
        let progress = |done, won, share| EvaluationProgress { tasks: 134, done, won, share };
        let first = evaluation_message(&progress(0, None, 0.0), None);
        assert_eq!(first, "0 of 134 tasks");
        let left = Pace::default().left(0.75, 60.0);
        let message = evaluation_message(&progress(90, Some(61), 0.75), left);
        assert_eq!(message, "90 of 134 tasks, 61 won, about 0:20 left");
        // The bar, its label and the longest message fit into 80 columns.
        let longest = EvaluationProgress { tasks: 100_000, ..progress(99_999, Some(99_999), 0.9) };
        let longest = evaluation_message(&longest, Some(600_000.0));
        assert!("  evaluating ".len() + 12 + 1 + longest.len() <= 80, "{longest}");
    }
}
