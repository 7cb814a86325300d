//! Rollouts: a policy plays groups of episodes, and what happened becomes flat rows.

mod batch;
mod collect;
mod episodes;
mod misfit;
mod rows;
mod select;

pub use batch::RolloutBatch;
pub use collect::{Plan, collect};
pub use episodes::{EpisodeRecord, StepRecord, read_episode, read_episodes, write_episodes};
pub use rows::EpisodeRows;
