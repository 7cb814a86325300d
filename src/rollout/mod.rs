//! Rollouts: a policy plays groups of episodes, which become flat rows.

mod batch;
mod collect;
mod limits;
mod records;
mod replay;
mod rows;
mod select;
mod session;
#[cfg(feature = "parallel")]
mod thread;

pub use batch::RolloutBatch;
pub use collect::{Plan, collect, collect_with, collect_with_async};
pub use limits::{EnvironmentError, Limits};
pub(crate) use limits::{expect_some, guarded};
pub use replay::{Demonstration, replay};
pub use rows::EpisodeRows;
