//! What a command plays: an environment, of which some commands need more than others give.

use crate::env::alfworld::AlfWorld;
use crate::env::{EnvConfig, EnvName, Environment};
use crate::error::{Error, Result};

/// An opened split.
pub enum World {
    /// Household tasks or ALFWorld's games, which have experts and walkthroughs.
    BuiltIn(Box<AlfWorld>),
    /// Whatever else.
    Other(Box<dyn Environment>),
}

impl World {
    pub fn open(config: &EnvConfig, split: &str) -> Result<Self> {
        Ok(match config.name {
            EnvName::Process => Self::Other(config.open(split)?),
            _ => Self::BuiltIn(Box::new(config.open_alfworld(Some(split))?)),
        })
    }

    pub fn environment(&self) -> &dyn Environment {
        match self {
            Self::BuiltIn(world) => &**world,
            Self::Other(environment) => &**environment,
        }
    }

    /// What knows its own solutions. `setting` is what asks for that, and `instead` what may be asked
    /// for in its place.
    pub fn built_in(&self, setting: &str, instead: &str) -> Result<&AlfWorld> {
        match self {
            Self::BuiltIn(world) => Ok(world),
            Self::Other(_) => {
                let message = format!(
                    "needs household or alfworld, whose solutions are known, and not a program \
                     (--env process); {instead}"
                );
                Err(Error::setting(setting, message))
            }
        }
    }
}
