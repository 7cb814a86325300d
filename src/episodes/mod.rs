//! Episodes as data: where groups and episodes lie among the rows, and episode files (JSONL).

mod file;
mod layout;
mod misfit;

#[cfg(all(feature = "burn", feature = "fs"))]
pub(crate) use file::episode_lines;
pub use file::{EpisodeRecord, StepRecord, read_episode, read_episodes, write_episodes};
pub use layout::Layout;
