//! Rollouts: a policy plays groups of episodes, and what happened becomes flat rows.

mod batch;
mod collect;
mod guard;
mod records;
mod replay;
mod select;
#[cfg(feature = "parallel")]
mod watch;

pub use batch::RolloutBatch;
pub use collect::{Plan, collect, collect_with};
pub use guard::{EnvironmentError, Limits};
pub(crate) use guard::{expect_some, guarded};
pub use replay::{Demonstration, replay};
