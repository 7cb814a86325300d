//! Results by kind of task.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Results over the tasks of one kind. A number that the environment does not report is absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct KindResult {
    /// The kind's name.
    pub kind: String,
    /// Number of tasks.
    pub tasks: usize,
    /// Number of tasks that succeeded.
    pub won: usize,
    /// Fraction of tasks that succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<f64>,
    /// Mean score, from 0 to 1.
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
}
