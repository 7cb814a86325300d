//! Progress bars. They are shown only on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A function that receives the number of tasks done, out of `total`, and shows a progress bar.
pub fn progress(total: usize) -> impl FnMut(usize) {
    let bar = bar(total, "evaluating");
    move |done| {
        bar.set_position(done as u64);
        if done == total {
            bar.finish_and_clear();
        }
    }
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
    let bar = ProgressBar::new(1000);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// What stands beside the bar of a training: the iteration, and the time left at the pace of `share`
/// done in `spent` seconds.
pub fn training_message(iteration: u64, limit: u64, share: f64, spent: f64) -> String {
    let of = if limit > 0 { format!("/{limit}") } else { String::new() };
    let left = spent * (1.0 - share) / share;
    match left.is_finite() {
        true => {
            let left = left as u64;
            format!("iteration {iteration}{of}, {}:{:02} left", left / 60, left % 60)
        }
        false => format!("iteration {iteration}{of}"),
    }
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
    use super::training_message;

    #[test]
    fn the_time_left_follows_from_the_pace() {
        assert_eq!(training_message(75, 300, 0.25, 60.0), "iteration 75/300, 3:00 left");
        assert_eq!(training_message(3, 0, 0.5, 61.0), "iteration 3, 1:01 left");
        assert_eq!(training_message(0, 300, 0.0, 1.0), "iteration 0/300");
    }
}
