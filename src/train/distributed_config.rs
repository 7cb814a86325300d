//! The settings of a training on several ranks.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ranks::GradientSum;

/// Training on several processes (`mpirun proxmo train`, with the feature `mpi`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct DistributedConfig {
    /// Parts that the work of an iteration is divided into: its groups, its minibatches and evaluations.
    /// A process computes a part as a whole, so their number and not that of the processes decides the
    /// last digits of the results; it should be a multiple of the number of processes. 0 takes the
    /// number of processes when the run starts. A resumed run keeps it.
    #[garde(range(max = 4096))]
    #[schemars(extend("x-flag" = "parts"))]
    pub parts: usize,
    /// How the gradients of parts are added: by-part in their order, which gives the same bytes with any
    /// number of processes; by-rank those of each process first, and then, by MPI in its own order, the
    /// sums of the processes. by-rank moves less if a process has several parts, and its last digits
    /// depend on the number of processes.
    #[garde(skip)]
    #[schemars(extend("x-flag" = "gradient-sum"))]
    pub gradient_sum: GradientSum,
    /// Seconds after which a process that others wait for counts as lost, which ends the run. It has to
    /// be longer than the longest phase of one process alone, such as the writing of a checkpoint.
    #[garde(range(min = 1.0, max = 86_400.0))]
    #[schemars(extend("x-flag" = "rank-timeout"))]
    pub timeout: f64,
}

impl Default for DistributedConfig {
    fn default() -> Self {
        Self { parts: 0, gradient_sum: GradientSum::default(), timeout: 600.0 }
    }
}

impl DistributedConfig {
    /// Fixes the number of parts, which a run does at its start: if the settings leave it open, it is the
    /// number of `ranks`.
    pub fn fix_parts(&mut self, ranks: usize) {
        if self.parts == 0 {
            self.parts = ranks.max(1);
        }
    }
}
