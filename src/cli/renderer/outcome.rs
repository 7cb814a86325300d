//! The summary at the end of a training, on standard output.

use std::path::Path;

use crate::cli::table::results;
use crate::cli::terminal::say;
use crate::command_line::Rules;
use crate::runs::{RunStart, RunSummary};
use crate::train::{IterationMetrics, KindResult, RunConfig};

/// What the summary needs to know of a run beside its [`RunSummary`].
pub struct Outcome {
    /// The limits of the run.
    run: RunConfig,
    /// Results of the policy that the run starts from.
    initial: Vec<KindResult>,
    /// Its name.
    initial_name: &'static str,
    /// The newest results by kind of task.
    kinds: Vec<KindResult>,
    is_resumed: bool,
    is_distrusted: bool,
}

impl Outcome {
    /// That of a run that has not begun.
    pub fn new() -> Self {
        Self {
            run: RunConfig::default(),
            initial: Vec::new(),
            initial_name: "untrained",
            kinds: Vec::new(),
            is_resumed: false,
            is_distrusted: false,
        }
    }

    /// The name of the policy that the run starts from.
    pub fn initial_name(&self) -> &'static str {
        self.initial_name
    }

    /// Makes the commands that are printed trust the run's command.
    pub fn distrust(&mut self) {
        self.is_distrusted = true;
    }

    /// The run begins.
    pub fn start(&mut self, start: &RunStart) {
        self.run = start.config.run.clone();
        self.is_resumed = start.is_resumed;
        if !self.run.init.as_os_str().is_empty() {
            self.initial_name = "initial";
        }
    }

    /// An iteration is complete.
    pub fn keep(&mut self, metrics: &IterationMetrics) {
        let Some(evaluation) = &metrics.evaluation else { return };
        self.kinds.clone_from(&evaluation.kinds);
        if metrics.iteration == 0 {
            self.initial.clone_from(&evaluation.kinds);
            self.initial.push(evaluation.overall());
        }
    }

    /// Prints the results, and the command that goes on from here.
    pub fn say(&self, summary: &RunSummary) {
        let (iterations, minutes) = (summary.iterations, summary.elapsed / 60.0);
        if let Some(evaluation) = &summary.evaluation {
            let before = (self.initial_name, self.initial.as_slice());
            let before = (!self.initial.is_empty()).then_some(before);
            say!("\nHeld-out tasks after iteration {iterations}:");
            say!("{}", results(&self.kinds, &evaluation.overall(), before));
        }
        let folder = &summary.folder;
        if summary.stopped {
            say!("Stopped after iteration {iterations} ({minutes:.1} min). Resume with:");
            say!("  {}", self.command(&["train", "--resume"], folder));
        } else if self.is_resumed && summary.trained == 0 {
            say!(
                "Nothing to train: the run has reached its limit ({iterations} iterations, \
                 {minutes:.1} min). Train further with:"
            );
            let limit = self.run.iterations;
            let further = match limit > 0 && iterations >= limit {
                true => ["--iterations".to_string(), (2 * limit).to_string()],
                false => ["--minutes".to_string(), format!("{:.0}", (2.0 * minutes).ceil())],
            };
            say!("  {}", self.command(&["train", "--resume", &further[0], &further[1]], folder));
        } else {
            say!("Trained {iterations} iterations in {minutes:.1} min. Evaluate with:");
            let report = folder.join("report.html");
            say!("  {}        (report: {})", self.command(&["eval"], folder), report.display());
        }
    }

    /// A command about the run, quoted for a shell.
    fn command(&self, words: &[&str], folder: &Path) -> String {
        let folder = folder.display().to_string();
        let trust = self.is_distrusted.then_some("--trust-command");
        let (first, others) = words.split_at(1);
        let words = ["proxmo"].iter().chain(first).copied();
        let words = words.chain(["--run", &folder]).chain(others.iter().copied()).chain(trust);
        Rules::HERE.join(words)
    }
}
