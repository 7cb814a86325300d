//! Programs in the registry of environments.

use std::path::PathBuf;

use super::config::ProcessConfig;
use super::environment::Process;
use crate::env::environment::Environment;
use crate::env::kind::EnvKind;
use crate::error::Result;

impl EnvKind for ProcessConfig {
    fn name(&self) -> &'static str {
        "process"
    }

    fn about(&self) -> &'static str {
        "the tasks of a program of your own, which speaks the protocol of `proxmo env serve`"
    }

    fn splits(&self) -> &'static str {
        "the program's own, or train, valid"
    }

    fn split(&self) -> &str {
        &self.split
    }

    fn held_out_split(&self) -> &'static str {
        "valid"
    }

    fn open(&self, split: Option<&str>) -> Result<Box<dyn Environment>> {
        Ok(Box::new(Process::open(self, split)?))
    }

    fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        vec![&mut self.working_folder]
    }

    fn workload(&self) -> String {
        format!("{}: {}", self.name(), self.command)
    }
}
