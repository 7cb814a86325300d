//! OpenEnv servers in the registry of environments.

use super::config::OpenEnvConfig;
use super::environment::OpenEnv;
use crate::env::environment::Environment;
use crate::env::kind::EnvKind;
use crate::error::Result;

impl EnvKind for OpenEnvConfig {
    fn name(&self) -> &'static str {
        "openenv"
    }

    fn about(&self) -> &'static str {
        "the tasks of an OpenEnv server"
    }

    fn splits(&self) -> &'static str {
        "the server's own, or train, valid"
    }

    fn split(&self) -> &str {
        &self.split
    }

    fn held_out_split(&self) -> &'static str {
        "valid"
    }

    fn open(&self, split: Option<&str>) -> Result<Box<dyn Environment>> {
        Ok(Box::new(OpenEnv::open(self, split)?))
    }

    fn workload(&self) -> String {
        format!("{}: {}", self.name(), self.url)
    }
}
