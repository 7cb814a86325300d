//! What goes wrong around a run: environments, numbers, files. Nothing is lost, nothing is silently
//! wrong, and what went wrong is said plainly.

#[path = "../checkpoint_support/mod.rs"]
mod checkpoint_support;
mod checkpoints;
#[path = "../common/mod.rs"]
mod common;
mod crafted;
mod environments;
mod faulty;
mod folders;
mod numbers;
mod poisoned;
mod runs;
