//! Recorders: receivers of a run's events.

use std::path::{Path, PathBuf};

use crate::episodes::EpisodeRecord;
use crate::error::Result;
use crate::rollout::CollectionProgress;
use crate::train::{Config, Evaluation, IterationMetrics, SettingChanges, UpdateProgress};

/// A run that begins or resumes.
#[derive(Debug, Clone, Copy)]
pub struct RunStart<'a> {
    /// Folder of the run.
    pub folder: &'a Path,
    /// All settings.
    pub config: &'a Config,
    /// Iterations done before; metrics of later iterations are recorded again.
    pub iteration: u64,
    /// Whether the run is resumed.
    pub is_resumed: bool,
    /// Settings that the resume changes. The next iteration's metrics have them too.
    pub changes: &'a SettingChanges,
    /// The policy.
    pub policy: &'a PolicySummary,
}

/// The kind and the size of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySummary {
    /// Kind, as in `policy.kind`.
    pub kind: &'static str,
    /// Further facts, such as "2064 words".
    pub details: String,
    /// Number of weights.
    pub parameters: usize,
}

/// The end of a run.
#[derive(Debug)]
pub struct RunSummary {
    /// Folder of the run.
    pub folder: PathBuf,
    /// Iterations done.
    pub iterations: u64,
    /// Those of them that this process trained.
    pub trained: u64,
    /// Whether the run was stopped before its limit.
    pub stopped: bool,
    /// The last evaluation.
    pub evaluation: Option<Evaluation>,
    /// Wall-clock seconds, including the time before a resume.
    pub elapsed: f64,
}

/// Receives the events of a run, in order. The metrics file, the terminal and the report are recorders.
///
/// An error of a recorder ends the run, which can then be resumed.
pub trait Recorder {
    /// The run begins or resumes.
    ///
    /// # Errors
    /// Fails if the event cannot be recorded.
    fn started(&mut self, _start: &RunStart) -> Result<()> {
        Ok(())
    }

    /// An evaluation begins, with `done` 0, or is under way: `done` of `total` tasks are played.
    fn evaluating(&mut self, _done: usize, _total: usize) {}

    /// The episodes of an iteration are being played. Called at every time step.
    fn collecting(&mut self, _progress: &CollectionProgress) {}

    /// The policy is being updated. Called before every update.
    fn updating(&mut self, _progress: &UpdateProgress) {}

    /// An episode of an iteration that is about to be complete: the last one, to be looked at.
    fn episode(&mut self, _episode: &EpisodeRecord) {}

    /// An iteration is complete. Iteration 0 is the evaluation of the untrained policy.
    ///
    /// # Errors
    /// Fails if the event cannot be recorded.
    fn iteration(&mut self, _metrics: &IterationMetrics) -> Result<()> {
        Ok(())
    }

    /// A checkpoint is about to be written: all iterations so far must become durable.
    ///
    /// # Errors
    /// Fails if the records cannot be written.
    fn sync(&mut self) -> Result<()> {
        Ok(())
    }

    /// A checkpoint is complete.
    ///
    /// # Errors
    /// Fails if the event cannot be recorded.
    fn saved(&mut self, _checkpoint: &Path) -> Result<()> {
        Ok(())
    }

    /// Something failed, and the run continues.
    fn warning(&mut self, _text: &str) {}

    /// The run ends without an error.
    ///
    /// # Errors
    /// Fails if the event cannot be recorded.
    fn finished(&mut self, _summary: &RunSummary) -> Result<()> {
        Ok(())
    }
}

/// Several recorders as one. Each event goes to all of them in the order in which they were added; the
/// first error is returned.
#[derive(Default)]
pub struct Recorders<'a>(Vec<Box<dyn Recorder + 'a>>);

impl<'a> Recorders<'a> {
    /// Adds a recorder.
    pub fn push(&mut self, recorder: Box<dyn Recorder + 'a>) {
        self.0.push(recorder);
    }
}

impl Recorder for Recorders<'_> {
    fn started(&mut self, start: &RunStart) -> Result<()> {
        self.0.iter_mut().try_for_each(|recorder| recorder.started(start))
    }

    fn evaluating(&mut self, done: usize, total: usize) {
        self.0.iter_mut().for_each(|recorder| recorder.evaluating(done, total));
    }

    fn collecting(&mut self, progress: &CollectionProgress) {
        self.0.iter_mut().for_each(|recorder| recorder.collecting(progress));
    }

    fn updating(&mut self, progress: &UpdateProgress) {
        self.0.iter_mut().for_each(|recorder| recorder.updating(progress));
    }

    fn episode(&mut self, episode: &EpisodeRecord) {
        self.0.iter_mut().for_each(|recorder| recorder.episode(episode));
    }

    fn iteration(&mut self, metrics: &IterationMetrics) -> Result<()> {
        self.0.iter_mut().try_for_each(|recorder| recorder.iteration(metrics))
    }

    fn sync(&mut self) -> Result<()> {
        self.0.iter_mut().try_for_each(|recorder| recorder.sync())
    }

    fn saved(&mut self, checkpoint: &Path) -> Result<()> {
        self.0.iter_mut().try_for_each(|recorder| recorder.saved(checkpoint))
    }

    fn warning(&mut self, text: &str) {
        self.0.iter_mut().for_each(|recorder| recorder.warning(text));
    }

    fn finished(&mut self, summary: &RunSummary) -> Result<()> {
        self.0.iter_mut().try_for_each(|recorder| recorder.finished(summary))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use std::cell::RefCell;

    struct Log<'a> {
        name: &'static str,
        fails: bool,
        lines: &'a RefCell<Vec<String>>,
    }

    impl Recorder for Log<'_> {
        fn iteration(&mut self, metrics: &IterationMetrics) -> Result<()> {
            self.lines.borrow_mut().push(format!("{} {}", self.name, metrics.iteration));
            if self.fails { Err(Error::Run("disk full".into())) } else { Ok(()) }
        }
    }

    #[test]
    fn recorders_receive_events_in_order_and_the_first_error_is_returned() {
        let lines = RefCell::new(Vec::new());
        let log = |name, fails| Box::new(Log { name, fails, lines: &lines });
        let mut all = Recorders::default();
        all.push(log("a", false));
        all.push(log("b", true));
        all.push(log("c", false));
        let metrics = IterationMetrics { iteration: 7, ..IterationMetrics::default() };
        assert_eq!(all.iteration(&metrics).unwrap_err().to_string(), "disk full");
        all.sync().unwrap();
        assert_eq!(*lines.borrow(), ["a 7", "b 7"]);
    }
}
