//! Episodes as data: the batch that credit assignment and training read, and episode files (JSONL).
//!
//! [`Batch::builder`] collects groups of [`Episode`]s; [`RecordBatch`] collects the episodes of a file.

mod batch;
mod builder;
mod file;
mod from_records;
mod import;
mod json;
mod layout;
mod record;
mod suspect;
mod texts;
mod values;

pub use batch::{Batch, Embeddings, MAX_REWARD};
pub(crate) use batch::{ROUNDING, equal_within_rounding};
pub use builder::{BatchBuilder, Episode, Step};
#[cfg(any(feature = "cli", all(feature = "burn", feature = "fs")))]
pub(crate) use file::episode_lines;
pub use file::{read_episodes, write_episodes};
pub use from_records::{RecordBatch, RequiredFields};
pub use import::{Imported, TrajectoryLayout, import_episodes};
pub use json::OtherFields;
#[cfg(feature = "process")]
pub(crate) use json::{RawObject, decoded, described, each_item};
pub use layout::Layout;
pub use record::{EpisodeRecord, StepRecord, read_episode};
#[cfg(feature = "burn")]
pub(crate) use texts::TextTable;
pub use values::Values;
