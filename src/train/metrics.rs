//! The metrics of an iteration, one line of `metrics.jsonl` each.

use std::collections::BTreeMap;
use std::io::BufRead;

use serde::{Deserialize, Serialize};

use super::differences::SettingChanges;
use super::kind_result::KindResult;
use super::rank_metrics::RankMetrics;
use crate::error::{Error, Result};

/// Metrics of one iteration.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct IterationMetrics {
    /// Number of iterations done, from 1. The line of iteration 0 holds only the evaluation of the
    /// untrained policy.
    pub iteration: u64,
    /// Environment steps of all iterations so far.
    pub steps: u64,
    /// Fraction of this iteration's episodes that reached their goal, if the environment tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<f64>,
    /// Mean score of an episode, from 0 to 1, if the environment scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Means of the environment's further numbers, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
    /// Mean summed reward of an episode.
    #[serde(rename = "return")]
    pub mean_return: f64,
    /// Mean number of steps of an episode.
    pub length: f64,
    /// Episodes lost to environment errors. No other metric includes them.
    #[serde(default)]
    pub environment_errors: usize,
    /// Fraction of steps whose action was not admissible.
    pub invalid: f64,
    /// Fraction of groups with both successful and failed episodes.
    pub mixed_groups: f64,
    /// Fraction of groups whose episodes all have the same return, so that nothing is learned from them.
    #[serde(default)]
    pub zero_variance: f64,
    /// The loss.
    pub loss: f64,
    /// Its surrogate term.
    pub policy_loss: f64,
    /// KL divergence from the reference policy, in nats per token.
    pub kl: f64,
    /// Entropy, in nats per token.
    pub entropy: f64,
    /// Fraction of tokens whose objective the clip reduced.
    pub clip_fraction: f64,
    /// Mean of the absolute log-ratio between scoring and sampling, over the first minibatch before any
    /// step: 0 except for rounding.
    #[serde(default)]
    pub ratio_gap: f64,
    /// Gradient norm before clipping.
    pub gradient_norm: f64,
    /// The learning rate.
    pub learning_rate: f64,
    /// Updates skipped because a loss or gradient was not finite.
    pub skipped_updates: usize,
    /// Tokens of the rollout, if the policy generates tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenMetrics>,
    /// The value head, if one is trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<ValueMetrics>,
    /// Diagnostics of credit assignment.
    pub credit: serde_json::Value,
    /// Settings that changed before this iteration, because the run was resumed with others.
    #[serde(default, skip_serializing_if = "SettingChanges::is_empty")]
    pub changes: SettingChanges,
    /// Time by phase.
    pub seconds: Seconds,
    /// What each rank did, in a training on several ranks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranks: Option<RankMetrics>,
    /// Evaluation on held-out tasks, if one follows this iteration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<EvaluationMetrics>,
}

/// Tokens of one iteration's rollout.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct TokenMetrics {
    /// Tokens of observations that were read.
    pub read: u64,
    /// Tokens of responses that were drawn from several.
    pub drawn: u64,
    /// Tokens of responses that were the only ones possible.
    pub forced: u64,
    /// Their fraction of all tokens of responses.
    pub forced_share: f64,
    /// The largest size of the keys and values that were held at once, in bytes.
    pub cache_bytes: u64,
}

/// The value head in one iteration.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ValueMetrics {
    /// Its loss.
    pub loss: f64,
    /// The share of the variance of the returns, which it is trained towards, that its values of the rollout
    /// explain: at most 1, and negative if they are worse than a constant. Absent if all returns are equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explained_variance: Option<f64>,
}

/// Wall-clock seconds of one iteration.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Seconds {
    /// Rollout.
    pub rollout: f64,
    /// Credit assignment.
    pub credit: f64,
    /// Policy update.
    pub update: f64,
    /// Since the run began, including the time before a resume.
    pub elapsed: f64,
}

/// An evaluation in a metrics line.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EvaluationMetrics {
    /// The split.
    pub split: String,
    /// Fraction of its tasks that succeeded, if the environment tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<f64>,
    /// Mean score, from 0 to 1, if the environment scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Mean sum of an episode's rewards. Absent in the files of earlier versions.
    #[serde(rename = "return", default, skip_serializing_if = "Option::is_none")]
    pub mean_return: Option<f64>,
    /// The 95 % interval of the mean return over tasks (normal approximation), from five tasks on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_interval: Option<(f64, f64)>,
    /// Means of the environment's further numbers, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
    /// Mean number of steps.
    pub length: f64,
    /// Results by kind of task.
    pub kinds: Vec<KindResult>,
    /// Tasks lost to environment errors. No other metric includes them.
    #[serde(default)]
    pub environment_errors: usize,
}

impl EvaluationMetrics {
    /// The results over all tasks, as of one kind named `All`.
    pub fn overall(&self) -> KindResult {
        KindResult {
            kind: "All".into(),
            tasks: self.kinds.iter().map(|kind| kind.tasks).sum(),
            won: self.kinds.iter().map(|kind| kind.won).sum(),
            success: self.success,
            score: self.score,
            mean_return: self.mean_return,
            return_interval: self.return_interval,
            metrics: self.metrics.clone(),
            length: self.length,
        }
    }
}

/// Parses metrics lines. `name` is the file's name in errors.
///
/// # Errors
/// Names the first line that is malformed.
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
