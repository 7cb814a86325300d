//! Runs: a trainer with a folder.
//!
//! [`Run`] keeps metrics, checkpoints and evaluations of a training in a folder, and resumes it.
//! [`auto`] chooses a device by measuring.

pub mod auto;
pub mod checkpoint;
mod demonstrations;
mod metrics_file;
mod run;

pub use demonstrations::demonstrations;
pub use run::{Event, Run, Summary};
