//! What shows a training on the terminal.
//!
//! There are two: [`PlainRenderer`] prints lines of text, and [`TuiRenderer`] draws a screen with curves.
//! Both print the same lines at the beginning ([`opening`]) and at the end ([`outcome`]).

mod opening;
mod outcome;
mod plain;

use std::env::var_os;
use std::io::{IsTerminal, stderr, stdout};

pub use self::opening::{Opening, tell_opening, tell_start};
pub use self::outcome::Outcome;
use self::plain::PlainRenderer;
use super::signals::Stop;
use super::tui::{TuiRenderer, is_in_foreground};
use crate::device::Adapter;
use crate::runs::Recorder;

/// Shows a training: first its preparation, then, as a recorder, the events of its run.
pub trait Renderer: Recorder {
    /// `text` is being done, until the next event.
    fn preparing(&mut self, text: &'static str);

    /// What was being done is done.
    fn prepared(&mut self);

    /// Updates with a candidate for the device are being measured.
    fn measuring(&mut self, adapter: &Adapter);

    /// Demonstrations are being collected: `done` of `total` tasks are played.
    fn demonstrating(&mut self, done: usize, total: usize);

    /// The preparation is complete; the run follows.
    fn introduce(&mut self, opening: &Opening);

    /// The run's command needs `--trust-command` when the run is resumed.
    fn distrust(&mut self);
}

/// The renderer for this terminal: a screen, unless `plain` or `quiet` is set or the terminal does not
/// suit it. Its keys ask `stop`.
pub fn renderer(quiet: bool, plain: bool, stop: &Stop) -> Box<dyn Renderer> {
    if !quiet && !plain && suits_a_screen() {
        // Where the screen cannot be opened, lines still can be printed.
        if let Ok(screen) = TuiRenderer::open(stop) {
            return Box::new(screen);
        }
    }
    Box::new(PlainRenderer::new(quiet))
}

/// Whether output goes to a terminal that can be drawn on, and somebody may look at it.
fn suits_a_screen() -> bool {
    let is_set = |name| var_os(name).is_some_and(|value| !value.is_empty() && value != "false");
    let is_dumb = match var_os("TERM") {
        Some(name) => name.is_empty() || name == "dumb",
        None => cfg!(unix),
    };
    let are_terminals = stdout().is_terminal() && stderr().is_terminal();
    are_terminals && !is_dumb && !is_set("CI") && is_in_foreground()
}
