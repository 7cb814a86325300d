//! Recorders of the command line: the terminal and the report.

use std::path::Path;

use indicatif::ProgressBar;

use super::progress::bar;
use super::table::{percent, results};
use super::terminal::{say, tell};
use crate::env::Environment;
use crate::error::Result;
use crate::report;
use crate::runs::auto::DeviceChoice;
use crate::runs::{Recorder, RunStart, RunSummary};
use crate::train::{Config, IterationMetrics, KindResult};

/// Writes `curve.svg` and `report.html` at the end of a run.
pub struct ReportWriter;

impl Recorder for ReportWriter {
    fn finished(&mut self, summary: &RunSummary) -> Result<()> {
        report::write(&summary.folder)
    }
}

/// Prints a run's progress on standard error, and its result on standard output.
pub struct TerminalRecorder<'a> {
    quiet: bool,
    held_out: &'a dyn Environment,
    /// The progress bar of an evaluation under way.
    evaluating: Option<ProgressBar>,
    lines: u64,
    /// Results of the untrained policy.
    untrained: Vec<KindResult>,
}

/// Number of lines after which the column heads are repeated.
const LINES_PER_PAGE: u64 = 25;

impl<'a> TerminalRecorder<'a> {
    /// A recorder that prints only warnings and the result if `quiet` is set.
    pub fn new(quiet: bool, held_out: &'a dyn Environment) -> Self {
        Self { quiet, held_out, evaluating: None, lines: 0, untrained: Vec::new() }
    }

    /// Prints what is trained, where and on which device.
    pub fn introduce(
        &self,
        config: &Config,
        choice: &DeviceChoice,
        training: &dyn Environment,
        folder: &Path,
    ) {
        if self.quiet {
            return;
        }
        let (adapter, reason) = (&choice.opened.adapter, &choice.reason);
        let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        tell!("proxmo {}, estimator {}", env!("CARGO_PKG_VERSION"), config.credit.estimator);
        tell!(
            "  tasks   {}: {} for training, {} held out ({})",
            config.env.name(),
            training.tasks(),
            self.held_out.tasks(),
            match self.held_out.splits().as_slice() {
                [one] => one.name.clone(),
                _ => config.eval.split.clone(),
            }
        );
        tell!("  device  {} on {}{reason}", adapter.backend, adapter.name);
        tell!("  run     {}", folder.display());
    }

    /// Prints the number and the source of demonstrations.
    pub fn introduce_demonstrations(&self, config: &Config, count: usize) {
        if !self.quiet {
            tell!("  imitate {count} demonstrations from {}", config.imitation.from);
        }
    }

    /// Keeps the results of the untrained policy for the final table.
    fn keep_untrained(&mut self, metrics: &IterationMetrics) {
        if let (0, Some(evaluation)) = (metrics.iteration, &metrics.evaluation) {
            self.untrained = evaluation.kinds.clone();
            self.untrained.push(KindResult {
                kind: "All".into(),
                success: evaluation.success,
                ..KindResult::default()
            });
        }
    }

    /// Prints the line of an iteration, below column heads.
    fn print_line(&mut self, metrics: &IterationMetrics) {
        if self.lines.is_multiple_of(LINES_PER_PAGE) {
            tell!(
                "\n{:>5} {:>8} {:>7} {:>6} {:>8} {:>7} {:>7} {:>6} {:>6}  {:>17}  {:>7}  held out",
                "iter",
                "success",
                "return",
                "length",
                "loss",
                "kl",
                "entropy",
                "clip",
                "|grad|",
                "rollout+credit+upd",
                "elapsed"
            );
        }
        self.lines += 1;
        let held_out = metrics.evaluation.as_ref();
        let held_out = held_out.map(|evaluation| percent(evaluation.success)).unwrap_or_default();
        let elapsed = metrics.seconds.elapsed;
        let clock = format!("{}:{:02}", elapsed as u64 / 60, elapsed as u64 % 60);
        if metrics.iteration == 0 {
            tell!("{:>5} {:<75}  {clock:>7}  {held_out}", 0, "untrained");
            return;
        }
        let seconds = metrics.seconds;
        let played = match metrics.length {
            0.0 => format!("{:>8} {:>7} {:>6}", "-", "-", "-"),
            length => {
                let success = percent(metrics.success);
                format!("{success:>8} {:>7.3} {length:>6.1}", metrics.mean_return)
            }
        };
        tell!(
            "{:>5} {played} {:>8.4} {:>7.4} {:>7.3} {:>6.3} {:>6.3}  {:>5.2}s{:>5.2}s{:>5.2}s   {clock:>7}  {held_out}",
            metrics.iteration,
            metrics.loss,
            metrics.kl,
            metrics.entropy,
            metrics.clip_fraction,
            metrics.gradient_norm,
            seconds.rollout,
            seconds.credit,
            seconds.update,
        );
    }
}

impl Recorder for TerminalRecorder<'_> {
    fn started(&mut self, start: &RunStart) -> Result<()> {
        if !self.quiet {
            let policy = start.policy;
            tell!("  policy  {}, {} weights, {}", policy.kind, policy.parameters, policy.details);
            if start.iteration > 0 {
                tell!("  resumed after iteration {}", start.iteration);
            }
        }
        Ok(())
    }

    fn evaluating(&mut self, done: usize, total: usize) {
        if !self.quiet {
            let bar = self.evaluating.get_or_insert_with(|| bar(total, "evaluating"));
            bar.set_position(done as u64);
        }
    }

    fn iteration(&mut self, metrics: &IterationMetrics) -> Result<()> {
        self.keep_untrained(metrics);
        if let Some(bar) = self.evaluating.take() {
            bar.finish_and_clear();
        }
        if !self.quiet {
            self.print_line(metrics);
        }
        Ok(())
    }

    fn warning(&mut self, text: &str) {
        let line = format!("proxmo: warning: {text}");
        match &self.evaluating {
            Some(bar) => bar.suspend(|| tell!("{line}")),
            None => tell!("{line}"),
        }
    }

    fn finished(&mut self, summary: &RunSummary) -> Result<()> {
        let folder = summary.folder.display();
        let (iterations, minutes) = (summary.iterations, summary.elapsed / 60.0);
        if let Some(evaluation) = &summary.evaluation {
            let kinds = evaluation.by_kind(self.held_out);
            let before = (!self.untrained.is_empty()).then_some(self.untrained.as_slice());
            say!("\nHeld-out tasks after iteration {iterations}:");
            say!("{}", results(&kinds, &evaluation.overall(), before));
        }
        if summary.stopped {
            say!("Stopped after iteration {iterations} ({minutes:.1} min). Resume with:");
            say!("  proxmo train --run {folder} --resume");
        } else {
            say!("Trained {iterations} iterations in {minutes:.1} min. Evaluate with:");
            say!("  proxmo eval --run {folder}        (report: {folder}/report.html)");
        }
        Ok(())
    }
}
