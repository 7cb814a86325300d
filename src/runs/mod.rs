//! Runs: training with a folder on disk.
//!
//! [`Run`] trains a policy, keeps metrics and checkpoints in a folder, and resumes from them. Its events
//! go to [`Recorder`]s. [`TrainedPolicy`] loads a policy from a checkpoint. [`auto`] chooses a device by
//! measuring.

pub mod auto;
pub mod checkpoint;
mod cleaning;
mod command;
mod demonstrations;
mod describe;
mod following;
mod leading;
mod metrics_file;
mod recorder;
mod run;
mod settings_file;
mod start;
#[cfg(feature = "tensorboard")]
mod tensorboard;
mod trained;
#[cfg(feature = "lm")]
mod trained_model;
mod training;

pub use demonstrations::{Demonstrations, Remark, demonstrations};
pub use following::{FollowerResources, dismiss, follow};
pub use recorder::{PolicySummary, Recorder, Recorders, RunStart, RunSummary};
pub use run::Run;
#[cfg(feature = "tensorboard")]
pub use tensorboard::TensorBoard;
pub use trained::{PlayedEpisode, TrainedPolicy};
#[cfg(feature = "lm")]
pub use trained_model::TrainedModel;
