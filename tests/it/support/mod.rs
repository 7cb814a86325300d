//! What several tests share.

pub mod alfworld;
pub mod authority;
pub mod balls;
pub mod checkpoint;
pub mod credit;
pub mod fake_openenv;
pub mod gguf;
pub mod process;
pub mod runs;
pub mod shared;
pub mod socket;
pub mod untrusted;
pub mod webshop;

/// Settings of a training that takes a second.
pub const SMALL_TRAINING: &[&str] = &[
    "--backend",
    "flex",
    "--train-tasks",
    "30",
    "--held-out",
    "6",
    "--groups",
    "3",
    "--group-size",
    "3",
    "--max-steps",
    "10",
    "--policy-embedding",
    "8",
    "--hidden",
    "8",
    "--eval-every",
    "2",
    "--checkpoint-every",
    "1",
];
