//! The change of a setting over a run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a setting changes over a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// No change.
    Constant,
    /// Linear decay to a tenth.
    #[default]
    Linear,
    /// Cosine decay to a tenth.
    Cosine,
}

impl Schedule {
    /// The factor on the setting's initial value at a point of the run, `progress` in [0, 1].
    pub(crate) fn factor(self, progress: f64) -> f64 {
        let progress = progress.clamp(0.0, 1.0);
        match self {
            Self::Constant => 1.0,
            Self::Linear => 1.0 - 0.9 * progress,
            Self::Cosine => 0.1 + 0.45 * (1.0 + (std::f64::consts::PI * progress).cos()),
        }
    }
}
