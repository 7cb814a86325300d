//! Runs: training with a folder on disk.
//!
//! [`Run`] trains a policy, keeps metrics and checkpoints in a folder, and resumes from them. Its events
//! go to [`Recorder`]s. [`TrainedPolicy`] loads a policy from a checkpoint. [`auto`] chooses a device by
//! measuring.

pub mod auto;
pub mod checkpoint;
mod cleaning;
mod demonstrations;
mod describe;
#[cfg(feature = "lm")]
mod language_model;
mod metrics_file;
mod recorder;
mod run;
mod settings_file;
mod start;
mod trained;
mod training;

pub use demonstrations::{Demonstrations, Remark, demonstrations};
#[cfg(feature = "lm")]
pub use language_model::language_model;
pub use recorder::{PolicySummary, Recorder, Recorders, RunStart, RunSummary};
pub use run::Run;
pub use trained::{PlayedEpisode, TrainedPolicy};
