//! Results by kind of task.

use serde::{Deserialize, Serialize};

/// Results over the tasks of one kind.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct KindResult {
    /// The kind's name.
    pub kind: String,
    /// Number of tasks.
    pub tasks: usize,
    /// Number of tasks that succeeded.
    pub won: usize,
    /// Fraction of tasks that succeeded.
    pub success: f64,
    /// Mean number of steps.
    pub length: f64,
}
