//! A training as a screen with curves that fills the terminal.
//!
//! The events of the training fill a [`Model`]; a thread of its own ([`screen`]) draws it and reads keys.
//! So the screen answers while an iteration takes long, and the training never waits for it.

mod backend;
#[cfg(unix)]
mod capture;
mod chart;
mod curves;
mod draw;
mod episode;
mod job;
mod model;
mod palette;
mod screen;
#[cfg(test)]
mod tests;
mod view;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub use self::job::is_in_foreground;
use self::model::Model;
use super::renderer::{Opening, Outcome, Renderer, tell_opening, tell_start};
use super::signals::Stop;
use super::terminal::tell;
use crate::device::Adapter;
use crate::episodes::EpisodeRecord;
use crate::error::Result;
use crate::report::read_run;
use crate::rollout::CollectionProgress;
use crate::runs::{Recorder, RunStart, RunSummary};
use crate::train::{IterationMetrics, UpdateProgress};

/// Shows a training on a screen that fills the terminal. When it is dropped, the terminal is as before.
pub struct TuiRenderer {
    model: Arc<Mutex<Model>>,
    opened: Instant,
    outcome: Outcome,
}

impl TuiRenderer {
    /// Enters the screen. Its keys and signals ask `stop`.
    ///
    /// # Errors
    /// Fails if the terminal cannot be set up.
    pub fn open(stop: &Stop) -> io::Result<Self> {
        stop.watch_signals().map_err(io::Error::other)?;
        let (model, opened) = (Arc::new(Mutex::new(Model::new())), Instant::now());
        screen::enter(&model, stop, opened)?;
        Ok(Self { model, opened, outcome: Outcome::new() })
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the model how far something is, unless it is being drawn: the next event follows soon.
    fn progress(&self, tell: impl FnOnce(&mut Model)) {
        if let Ok(mut model) = self.model.try_lock() {
            tell(&mut model);
        }
    }

    fn now(&self) -> f64 {
        self.opened.elapsed().as_secs_f64()
    }
}

impl Drop for TuiRenderer {
    fn drop(&mut self) {
        screen::leave();
    }
}

impl Renderer for TuiRenderer {
    fn preparing(&mut self, text: &'static str) {
        self.model().prepare(text);
    }

    fn prepared(&mut self) {
        self.model().prepare("");
    }

    fn measuring(&mut self, adapter: &Adapter) {
        let text = format!("measuring updates with {} on {}", adapter.backend, adapter.name);
        self.model().prepare(&text);
    }

    fn demonstrating(&mut self, done: usize, total: usize) {
        self.model().demonstrate(done, total);
    }

    fn introduce(&mut self, opening: &Opening) {
        self.model().introduce(opening);
        tell_opening(opening);
    }

    fn distrust(&mut self) {
        self.outcome.distrust();
    }
}

impl Recorder for TuiRenderer {
    fn started(&mut self, start: &RunStart) -> Result<()> {
        self.outcome.start(start);
        tell_start(start);
        let earlier = match start.is_resumed {
            // What cannot be read is not shown.
            true => read_run(start.folder).map(|run| run.metrics).unwrap_or_default(),
            false => Vec::new(),
        };
        self.model().start(start, &earlier, self.now());
        Ok(())
    }

    fn evaluating(&mut self, done: usize, total: usize) {
        self.progress(|model| model.evaluate(done, total));
    }

    fn collecting(&mut self, progress: &CollectionProgress) {
        self.progress(|model| model.collect(progress));
    }

    fn updating(&mut self, progress: &UpdateProgress) {
        self.progress(|model| model.update(progress));
    }

    fn episode(&mut self, episode: &EpisodeRecord) {
        let mut model = self.model();
        let iteration = model.iteration + 1;
        model.episode = Some((episode.clone(), iteration));
    }

    fn iteration(&mut self, metrics: &IterationMetrics) -> Result<()> {
        self.outcome.keep(metrics);
        self.model().complete(metrics, self.now());
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        self.model().prepare("saving a checkpoint");
        Ok(())
    }

    fn saved(&mut self, _checkpoint: &std::path::Path) -> Result<()> {
        self.model().prepare("");
        Ok(())
    }

    fn warning(&mut self, text: &str) {
        tell!("proxmo: warning: {text}");
    }

    fn finished(&mut self, summary: &RunSummary) -> Result<()> {
        screen::leave();
        self.outcome.say(summary);
        Ok(())
    }
}
