//! What is written down of every iteration.

use std::io::BufRead;

use serde::{Deserialize, Serialize};

use super::evaluate::KindResult;
use crate::error::{Error, Result};

/// One line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct IterationMetrics {
    /// Counted from 1: the iteration that this line closes. The line of iteration 0 holds only an
    /// evaluation, that of the untrained policy.
    pub iteration: u64,
    /// Environment steps of all iterations so far.
    pub steps: u64,
    /// Share of this iteration's episodes that reached their goal.
    pub success: f64,
    /// Mean summed reward of an episode.
    #[serde(rename = "return")]
    pub mean_return: f64,
    /// Mean number of steps of an episode.
    pub length: f64,
    /// Episodes that were lost to environment errors, and are in no other number.
    #[serde(default)]
    pub environment_errors: usize,
    /// Share of steps whose action was not admissible.
    pub invalid: f64,
    /// Share of groups whose episodes did not all end alike, and so teach something.
    pub mixed_groups: f64,
    /// The objective.
    pub loss: f64,
    /// Its surrogate part.
    pub policy_loss: f64,
    /// Divergence from the reference policy, nats a token.
    pub kl: f64,
    /// Entropy, nats a token.
    pub entropy: f64,
    /// Share of tokens that the clip held back.
    pub clip_fraction: f64,
    /// Norm of the gradient before it is scaled down.
    pub gradient_norm: f64,
    /// The learning rate.
    pub learning_rate: f64,
    /// Updates skipped because a number was not finite.
    pub skipped_updates: usize,
    /// How credit was assigned, in numbers.
    pub credit: serde_json::Value,
    /// Where the time went.
    pub seconds: Seconds,
    /// Evaluation on held-out tasks, if there was one after this iteration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<EvaluationMetrics>,
}

/// Wall-clock seconds of one iteration.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Seconds {
    /// Playing episodes.
    pub rollout: f64,
    /// Assigning credit.
    pub credit: f64,
    /// Changing the policy.
    pub update: f64,
    /// Since the run began, time before a resume included.
    pub elapsed: f64,
}

/// An evaluation as it stands in a metrics line.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EvaluationMetrics {
    /// The split that was played.
    pub split: String,
    /// Share of its tasks that were won.
    pub success: f64,
    /// Mean number of steps.
    pub length: f64,
    /// The same by kind of task.
    pub kinds: Vec<KindResult>,
    /// Tasks that were lost to environment errors, and are in no other number.
    #[serde(default)]
    pub environment_errors: usize,
}

/// Reads `metrics.jsonl`. `name` stands for the file in errors.
///
/// # Errors
/// Names the line that is not a metrics line.
pub fn read_metrics(input: &mut dyn BufRead, name: &str) -> Result<Vec<IterationMetrics>> {
    let mut all = Vec::new();
    for (number, line) in input.lines().enumerate() {
        let place = || format!("{name}:{}", number + 1);
        let line = line.map_err(|error| Error::input(place(), error.to_string()))?;
        let metrics = serde_json::from_str(&line)
            .map_err(|error| Error::input(place(), format!("not a metrics line: {error}")))?;
        all.push(metrics);
    }
    Ok(all)
}
