//! Any program that speaks the [environment protocol](super::protocol), as an
//! [`Environment`](super::Environment).
//!
//! A [`Process`] runs one or more copies of a program and plays many sessions in each. No shell is
//! run: the command line is split into words as a shell does, on Windows as programs do
//! ([`command_line`] joins words to such a line). The first word names the program, which runs in the
//! working folder, by default the current one. Each opened split runs copies of its own. A program must
//! end when its input ends.
//!
//! A program that dies, breaks the protocol or does not answer in time loses the episodes that it was
//! playing. A rollout plays them again from their seeds on a new copy, and counts only those that fail
//! again. Each gets an [environment error](crate::Error::Environment) that says what happened and
//! quotes the end of the program's standard error. The program is killed together with all processes
//! that it started (a process group on Unix, a job object on Windows), and a new copy is started with
//! the next episode. A wrong answer that names its session (a missing field, a reward that is not
//! finite) and an answer `{"error":…}` lose that session only.
//!
//! # Tasks and splits
//!
//! A program that describes its `splits` receives tasks by number, and each episode receives a seed of
//! its own. A program without splits receives task *i* as the seed *i*, from 0 to its number of tasks;
//! the seed decides everything, so all episodes of a task begin alike. The first four fifths of these
//! tasks are the split `train`, the rest is `valid`.
//!
//! Tasks are named by their split and their number within it, such as `valid/3`, because names must be
//! known before a task is played. The program must give a task the same name each time. If it does
//! not, the episode is lost to an environment error: a group must play a single task.

mod answer;
mod command;
mod config;
mod description;
mod environment;
mod kind;
mod mismatch;
mod program;
mod session;
mod time_limit;
mod words;

#[doc(hidden)]
pub use answer::{Answer, Description, State, read_answer};
pub use command::command_line;
pub use config::ProcessConfig;
#[cfg(feature = "openenv")]
pub(in crate::env) use description::{Selection, quote, select};
pub use environment::Process;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use environment::tasks_of;
#[cfg(feature = "openenv")]
pub(in crate::env) use program::lock;
#[cfg(feature = "openenv")]
pub(in crate::env) use time_limit::TimeLimit;
#[cfg(feature = "openenv")]
pub(in crate::env) use words::one_line;
