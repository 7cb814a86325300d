//! The tasks of an OpenEnv server as an environment.

mod address;
mod config;
mod environment;
mod http;
mod kind;
mod link;
mod pool;
mod session;
mod shape;

pub use config::{OpenEnvConfig, Threshold};
pub use environment::OpenEnv;
