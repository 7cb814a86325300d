//! x
#[cfg(feature = "cli")]
pub mod cli;
pub mod credit;
pub mod device;
pub mod embed;
pub mod env;
pub mod error;
mod files;
pub mod policy;
pub mod report;
pub mod rollout;
pub mod stream;
pub mod train;
pub use error::{Error, Result};
