//! Progress bars. They are shown only on a terminal.

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

/// A labelled progress bar on standard error.
pub fn bar(total: usize, label: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("  {prefix} {wide_bar} {pos}/{len} {msg}");
    let bar = ProgressBar::new(total as u64);
    bar.set_prefix(label);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
