//! Episodes as data: the batch that credit assignment and training read, and episode files (JSONL).
//!
//! [`Batch::builder`] collects groups of [`Episode`]s; [`RecordBatch`] collects the episodes of a file.

mod batch;
mod builder;
mod file;
mod from_records;
mod json;
mod layout;
mod record;
mod suspect;
mod texts;
mod totals;

pub use batch::{Batch, Embeddings, MAX_REWARD};
pub use builder::{BatchBuilder, Episode, Step};
#[cfg(feature = "cli")]
pub(crate) use file::episode_lines;
pub use file::{read_episodes, write_episodes};
pub use from_records::{RecordBatch, RequiredFields};
pub use json::OtherFields;
#[cfg(feature = "process")]
pub(crate) use json::{RawObject, decoded, described, each_item};
pub use layout::Layout;
pub use record::{EpisodeRecord, StepRecord, read_episode};
#[cfg(feature = "burn")]
pub(crate) use texts::TextTable;
pub(crate) use totals::{Bounded, merge_equal, totals_of_batch};
