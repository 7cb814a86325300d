//! Failures around a run: environments, NaN and infinite values, files. No result is lost or silently
//! wrong, and every failure is reported.

mod checkpoints;
mod crafted;
mod environments;
mod faulty;
mod folders;
mod numbers;
mod poisoned;
mod runs;
