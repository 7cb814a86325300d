//! What several tests share.

pub mod alfworld;
pub mod balls;
pub mod checkpoint;
pub mod credit;
pub mod gguf;
pub mod process;
pub mod shared;
pub mod untrusted;
pub mod webshop;
