//! What goes wrong around a run: environments, numbers, files. Nothing is lost, nothing is silently
//! wrong, and what went wrong is said plainly.

mod checkpoints;
mod crafted;
mod environments;
mod faulty;
mod folders;
mod numbers;
mod poisoned;
mod runs;
