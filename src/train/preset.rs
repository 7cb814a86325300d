//! Presets: settings that work well together.

use super::config::Config;
use crate::env::alfworld::BenchmarkConfig;
use crate::env::webshop::{Flavour, ShopConfig, WebShopConfig};
use crate::policy::scorer::ScorerConfig;

/// A named set of settings that work well together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// The defaults: generated household tasks, trained in a minute or two.
    Household,
    /// The games of ALFWorld, trained from scratch to the paper's success rate on two CPU cores.
    Alfworld,
    /// A generated shop, or the catalogue that `--catalogue` names.
    Webshop,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Household, Self::Alfworld, Self::Webshop];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Household => "household",
            Self::Alfworld => "alfworld",
            Self::Webshop => "webshop",
        }
    }

    /// Its settings. The path of the games is not set.
    pub fn config(self) -> Config {
        let mut config = Config::default();
        if self == Self::Alfworld {
            config.env = BenchmarkConfig::default().into();
            config.run.iterations = 1500;
            config.run.checkpoint_every = 50;
            config.eval.every = 50;
        }
        if self == Self::Webshop {
            let rules = WebShopConfig { flavour: Flavour::WebShop, ..WebShopConfig::default() };
            config.env = ShopConfig { rules, ..ShopConfig::default() }.into();
            // A few hundred instructions: more words would be learned by heart.
            config.policy =
                ScorerConfig { mentions: true, max_words: 20, ..ScorerConfig::default() }.into();
            config.update.kl_weight = 0.0;
            config.update.entropy_weight = 0.02;
            config.run.iterations = 400;
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
    fn presets_are_valid_and_have_different_names() {
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
