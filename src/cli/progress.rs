//! A bar for work that takes a while. It shows on a terminal alone.

use indicatif::{ProgressBar, ProgressStyle};

/// A function that is told how many of `total` tasks are done, and shows it until all are.
pub fn progress(total: usize) -> impl FnMut(usize) {
    let bar = bar(total, "evaluating");
    move |done| {
        bar.set_position(done as u64);
        if done == total {
            bar.finish_and_clear();
        }
    }
}

/// A bar on standard error that says what goes on, cleared when it goes.
pub fn bar(total: usize, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("  {prefix} {wide_bar} {pos}/{len} {msg}");
    let bar = ProgressBar::new(total as u64);
    bar.set_prefix(what);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
