//! Settings that were found good together.

use super::config::Config;
use crate::env::alfworld::BenchmarkConfig;

/// A name for settings that were found good together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// The defaults: generated household tasks, learned in a minute or two.
    Household,
    /// ALFWorld's games, learned from scratch to the paper's level on two CPU cores.
    Alfworld,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Household, Self::Alfworld];

    /// What the command line calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Household => "household",
            Self::Alfworld => "alfworld",
        }
    }

    /// Its settings. Where the games are is left to be said.
    pub fn config(self) -> Config {
        let mut config = Config::default();
        if self == Self::Alfworld {
            config.env = BenchmarkConfig::default().into();
            config.run.iterations = 1500;
            config.run.checkpoint_every = 50;
            config.eval.every = 50;
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::EnvConfig;

    #[test]
    fn presets_are_valid_and_have_names_of_their_own() {
        for preset in Preset::ALL {
            let mut config = preset.config();
            if let EnvConfig::Alfworld(env) = &mut config.env {
                env.games = "json_2.1.1".into();
            }
            config.validate().unwrap();
            let namesakes = Preset::ALL.iter().filter(|other| other.name() == preset.name());
            assert_eq!(namesakes.count(), 1);
        }
        assert_eq!(Preset::Household.config(), Config::default());
    }
}
