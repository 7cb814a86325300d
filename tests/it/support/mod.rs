//! What several tests share.

pub mod alfworld;
pub mod balls;
pub mod checkpoint;
pub mod credit;
pub mod fake_openenv;
pub mod gguf;
pub mod process;
pub mod shared;
pub mod socket;
pub mod untrusted;
pub mod webshop;
