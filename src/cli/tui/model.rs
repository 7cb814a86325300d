//! What is known of a training, from its events. Times are seconds since the screen was opened.

use std::collections::VecDeque;

use super::curves::Curves;
use crate::cli::progress::Pace;
use crate::cli::renderer::Opening;
use crate::cli::terminal::printable;
use crate::episodes::EpisodeRecord;
use crate::rollout::CollectionProgress;
use crate::runs::RunStart;
use crate::train::{IterationMetrics, RunConfig, UpdateProgress};

/// What is being done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Phase {
    /// Its name.
    pub text: String,
    /// What is done of it, and how much it is, if that is known.
    pub done: Option<(usize, usize)>,
}

impl Phase {
    fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), done: None }
    }

    fn counted(text: impl Into<String>, done: usize, total: usize) -> Self {
        Self { text: text.into(), done: (total > 0).then_some((done, total)) }
    }
}

/// A value at a time.
type At = (f64, f64);

/// A training.
pub struct Model {
    /// What is trained, on which device.
    pub title: String,
    /// What is being done.
    pub phase: Phase,
    /// The curves.
    pub curves: Curves,
    /// Iterations done.
    pub iteration: u64,
    /// The limits of the run.
    pub run: RunConfig,
    /// The share of the run that is done.
    pub share: f64,
    /// The last episode, and its iteration.
    pub episode: Option<(EpisodeRecord, u64)>,
    /// The seconds that the run had taken when the newest iteration ended.
    elapsed: At,
    /// The seconds that were left then.
    left: Option<At>,
    pace: Pace,
    /// When training began in this process.
    begun: f64,
    /// Whether a GPU trains, which compiles kernels in the first iteration.
    pub is_on_gpu: bool,
    /// Iterations of this process.
    trained: u64,
    recent: VecDeque<Work>,
    /// Environment steps of all iterations so far.
    steps: u64,
}

/// An iteration's work.
struct Work {
    steps: u64,
    tokens: Option<u64>,
    /// The seconds that it took, without an evaluation.
    seconds: f64,
}

/// The number of iterations that the throughput is a mean of.
const RECENT: usize = 20;

/// How much is done in a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Throughput {
    /// Environment steps a second, if episodes are played.
    pub steps: Option<f64>,
    /// Generated tokens a second, if the policy generates tokens.
    pub tokens: Option<f64>,
    /// Seconds an iteration.
    pub seconds: f64,
}

impl Model {
    /// A training of which nothing is known.
    pub fn new() -> Self {
        Self {
            title: String::new(),
            phase: Phase::default(),
            curves: Curves::new(),
            iteration: 0,
            run: RunConfig::default(),
            share: 0.0,
            episode: None,
            elapsed: (0.0, 0.0),
            left: None,
            pace: Pace::default(),
            begun: 0.0,
            is_on_gpu: false,
            trained: 0,
            recent: VecDeque::new(),
            steps: 0,
        }
    }

    /// Something is being done whose end is not known.
    pub fn prepare(&mut self, text: &str) {
        self.phase = Phase::new(text);
    }

    /// Demonstrations are being collected.
    pub fn demonstrate(&mut self, done: usize, total: usize) {
        self.phase = Phase::counted("collecting demonstrations", done, total);
    }

    /// The preparation is complete.
    pub fn introduce(&mut self, opening: &Opening) {
        let Opening { config, choice, .. } = opening;
        let what = match config.imitation.from.as_str() {
            "" => config.credit.estimator.to_string(),
            from => format!("imitating {from}"),
        };
        let adapter = &choice.opened.adapter;
        let env = config.env.name();
        let title = format!("{env}, {what}, {} on {}", adapter.backend, adapter.name);
        self.title = printable(&title).into_owned();
        self.is_on_gpu = opening.is_on_gpu();
        if opening.demonstrations.is_some() {
            self.prepare("replaying the demonstrations");
        }
    }

    /// The run begins or resumes at the time `now`; `earlier` are the metrics from before.
    pub fn start(&mut self, start: &RunStart, earlier: &[IterationMetrics], now: f64) {
        self.run = start.config.run.clone();
        self.iteration = start.iteration;
        for line in earlier {
            self.keep(line);
        }
        let before = earlier.last().map_or(0.0, |line| line.seconds.elapsed);
        self.share = self.run.share_done(start.iteration, before);
        self.pace = Pace::from(self.share);
        (self.begun, self.elapsed) = (now, (before, now));
        self.prepare("");
    }

    /// Held-out tasks are being played.
    pub fn evaluate(&mut self, done: usize, total: usize) {
        self.phase = Phase::counted("evaluating on held-out tasks", done, total);
    }

    /// Episodes are being played.
    pub fn collect(&mut self, progress: &CollectionProgress) {
        let CollectionProgress { episodes, started, ended, steps, .. } = *progress;
        // Where sessions are few, episodes start while others have ended.
        self.phase = match (steps == 0, ended < episodes) {
            (true, _) => Phase::counted("starting episodes", started, episodes),
            (false, true) => Phase::counted(self.first("playing episodes"), ended, episodes),
            (false, false) => Phase::new(self.first(&format!("assigning credit to {steps} steps"))),
        };
    }

    /// The policy is being updated.
    pub fn update(&mut self, progress: &UpdateProgress) {
        let UpdateProgress { done, total } = *progress;
        self.phase = Phase::counted(self.first("updating the policy"), done, total);
    }

    /// The name of a phase, which in the first iteration on a GPU takes longer than later.
    fn first(&self, text: &str) -> String {
        let remark = if self.is_on_gpu && self.trained == 0 { "compiling kernels, " } else { "" };
        format!("{remark}{text}")
    }

    /// An iteration is complete at the time `now`.
    pub fn complete(&mut self, line: &IterationMetrics, now: f64) {
        self.keep(line);
        self.prepare("");
        self.iteration = line.iteration;
        self.elapsed = (line.seconds.elapsed, now);
        self.share = self.run.share_done(line.iteration, line.seconds.elapsed);
        self.left = self.pace.left(self.share, now - self.begun).map(|left| (left, now));
        if line.iteration > 0 {
            self.trained += 1;
        }
    }

    /// Adds an iteration, of this process or of an earlier one.
    fn keep(&mut self, line: &IterationMetrics) {
        self.curves.push(line);
        let steps = line.steps.saturating_sub(std::mem::replace(&mut self.steps, line.steps));
        if line.iteration > 0 {
            let seconds = line.seconds.rollout + line.seconds.credit + line.seconds.update;
            let tokens = line.tokens.map(|tokens| tokens.drawn + tokens.forced);
            self.recent.push_front(Work { steps, tokens, seconds });
            self.recent.truncate(RECENT);
        }
    }

    /// Seconds that the run has taken, including those before a resume.
    pub fn elapsed(&self, now: f64) -> f64 {
        self.elapsed.0 + (now - self.elapsed.1)
    }

    /// Seconds that are left, if the run has a limit and its pace is known.
    pub fn left(&self, now: f64) -> Option<f64> {
        self.left.map(|(left, then)| (left - (now - then)).max(0.0))
    }

    /// How much is done in a second, over the last iterations.
    pub fn throughput(&self) -> Option<Throughput> {
        let seconds: f64 = self.recent.iter().map(|work| work.seconds).sum();
        if seconds <= 0.0 {
            return None;
        }
        let steps: u64 = self.recent.iter().map(|work| work.steps).sum();
        let tokens: Option<u64> = self.recent.iter().map(|work| work.tokens).sum();
        Some(Throughput {
            steps: (steps > 0).then(|| steps as f64 / seconds),
            tokens: tokens.map(|tokens| tokens as f64 / seconds),
            seconds: seconds / self.recent.len() as f64,
        })
    }
}
