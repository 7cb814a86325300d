//! Rollouts: a policy plays groups of episodes, and what happened becomes flat rows.

mod batch;
mod collect;
mod episodes;
mod guard;
mod misfit;
mod replay;
mod rows;
mod select;
#[cfg(feature = "parallel")]
mod watch;

pub use batch::RolloutBatch;
pub use collect::{Plan, collect, collect_with};
#[cfg(feature = "cli")]
pub(crate) use episodes::episode_lines;
pub use episodes::{EpisodeRecord, StepRecord, read_episode, read_episodes, write_episodes};
pub use guard::{EnvironmentError, Limits};
pub(crate) use guard::{expect_some, guarded};
pub use replay::{Demonstration, replay};
pub use rows::EpisodeRows;
