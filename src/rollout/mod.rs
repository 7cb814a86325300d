//! Rollouts: a policy plays groups of episodes, which become flat rows.

mod actor;
mod batch;
mod collect;
mod limits;
mod parts;
mod progress;
mod records;
mod replay;
mod select;
mod session;
mod snapshot;
#[cfg(feature = "parallel")]
mod thread;
mod travel;

pub use actor::{Act, ActedEpisode};
pub use batch::{EpisodeEnd, RolloutBatch};
pub use collect::{Plan, collect, collect_watched_async, collect_with, collect_with_async};
pub(crate) use limits::expect_some;
#[cfg(feature = "fs")]
pub(crate) use limits::guarded;
pub use limits::{EnvironmentError, Limits};
#[cfg(feature = "fs")]
pub(crate) use parts::replay_parts;
pub(crate) use parts::{Collected, collect_parts_async, divided};
pub use progress::CollectionProgress;
#[cfg(feature = "fs")]
pub(crate) use replay::replay_seed;
pub use replay::{Demonstration, replay};
