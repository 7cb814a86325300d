//! The trait of a kind of environment.

use std::path::PathBuf;

use super::environment::Environment;
use crate::error::Result;

/// The settings of one kind of environment, and how to open it.
pub trait EnvKind {
    /// Name of the kind: the value of `env.name`.
    fn name(&self) -> &'static str;

    /// One line that says which tasks the kind plays.
    fn about(&self) -> &'static str;

    /// The splits that the kind has, in words.
    fn splits(&self) -> &'static str;

    /// The split to train on.
    fn split(&self) -> &str;

    /// The held-out split, if `eval.split` names none.
    fn held_out_split(&self) -> &'static str;

    /// Opens one split, or all splits in order.
    ///
    /// # Errors
    /// Returns an error if files are absent or malformed, if a program cannot be run, or if there is
    /// no such split.
    fn open(&self, split: Option<&str>) -> Result<Box<dyn Environment>>;

    /// The settings that are paths. A run folder keeps them as absolute paths.
    fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        Vec::new()
    }

    /// Fills in settings that are not set and that this machine decides, such as a folder of data.
    /// Returns a line that says so.
    fn fill_in(&mut self) -> Option<String> {
        None
    }

    /// The seed that tasks are made from, if the kind has one.
    fn task_seed_mut(&mut self) -> Option<&mut u64> {
        None
    }

    /// The settings that decide how long an update takes. Measurements of backends are cached by
    /// this text.
    fn workload(&self) -> String;
}
