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
mod stream;
mod trust;

pub use config::{OpenEnvConfig, Threshold};
pub use environment::OpenEnv;
