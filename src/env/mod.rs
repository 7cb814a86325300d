//! Environments.
//!
//! An [`Environment`] is a list of tasks. Starting a task gives a [`Session`], one episode in
//! progress, which speaks in text: a goal, an observation, the admissible actions. Both traits are
//! independent of policies and devices.
//!
//! [`EnvConfig`] is the registry: the `[env]` table of `config.toml` selects a kind of environment by
//! its `name`, and each kind owns its settings. A new kind is a struct that implements [`EnvKind`] and
//! one line in `config.rs`.

pub mod alfworld;
mod config;
mod environment;
pub mod household;
mod kind;
#[cfg(feature = "openenv")]
pub mod openenv;
#[cfg(feature = "process")]
pub mod process;
pub mod protocol;
#[cfg(feature = "fs")]
mod task_names;
mod texts;
pub mod webshop;

pub use config::EnvConfig;
pub use environment::{Environment, Player, Session, Split, Transition, pick_task};
pub use kind::EnvKind;
#[cfg(feature = "fs")]
pub(crate) use task_names::TaskNames;
pub use texts::Texts;
