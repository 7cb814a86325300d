//! Presets: settings that work well together.

use super::config::Config;
use super::imitation_config::EXPERT;
use crate::env::alfworld::BenchmarkConfig;
use crate::env::webshop::{Flavour, ShopConfig, WebShopConfig};
use crate::policy::scorer::ScorerConfig;
#[cfg(feature = "lm")]
use crate::policy::{PolicyConfig, lm::LmConfig};
#[cfg(feature = "lm")]
use crate::schedule::Schedule;

/// A named set of settings that work well together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// The defaults: generated household tasks, trained in a minute or two.
    Household,
    /// The games of ALFWorld, trained from scratch to the paper's success rate on two CPU cores.
    Alfworld,
    /// The games of ALFWorld for a new language model, which imitates the expert first.
    #[cfg(feature = "lm")]
    AlfworldLm,
    /// A generated shop, or the catalogue that `--catalogue` names.
    Webshop,
}

impl Preset {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Household,
        Self::Alfworld,
        #[cfg(feature = "lm")]
        Self::AlfworldLm,
        Self::Webshop,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Household => "household",
            Self::Alfworld => "alfworld",
            #[cfg(feature = "lm")]
            Self::AlfworldLm => "alfworld-lm",
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
        #[cfg(feature = "lm")]
        if self == Self::AlfworldLm {
            config.env = BenchmarkConfig::default().into();
            // Episodes of 50 steps have about 1,500 tokens.
            config.policy = LmConfig { context: 2048, ..LmConfig::default() }.into();
            config.suit_policy();
            config.run.iterations = 200;
            config.run.checkpoint_every = 20;
            config.eval.every = 20;
        }
        if self == Self::Webshop {
            let rules = WebShopConfig { flavour: Flavour::WebShop, ..WebShopConfig::default() };
            config.env = ShopConfig { rules, ..ShopConfig::default() }.into();
            // A few hundred instructions: more words would be learned by heart.
            config.policy =
                ScorerConfig { mentions: true, max_words: 20, ..ScorerConfig::default() }.into();
            config.rollout.vary_tasks = true;
            // A discount would favour an early purchase over one more look.
            config.credit.gamma = 1.0;
            config.update.kl_weight = 0.0;
            config.update.entropy_weight = 0.02;
            config.run.iterations = 600;
            config.eval.every = 50;
        }
        config
    }
}

impl Config {
    /// Takes the settings of training that suit the kind of policy. Those of the scorer are the defaults.
    pub fn suit_policy(&mut self) {
        #[cfg(feature = "lm")]
        if let PolicyConfig::Lm(_) = self.policy {
            let update = &mut self.update;
            update.learning_rate = 1e-4;
            update.warmup = 5;
            update.epochs = 1;
            update.kl_weight = 0.0;
            self.rollout.vary_tasks = true;
        }
    }

    /// Takes the settings that suit the imitation of the expert.
    pub fn suit_imitation(&mut self) {
        self.imitation.from = EXPERT.into();
        self.run.iterations = 20;
        self.run.checkpoint_every = 5;
        self.eval.every = 5;
        self.update.epochs = 1;
        self.update.minibatch = 256;
        // There is no pretrained reference to stay near.
        self.update.kl_weight = 0.0;
        #[cfg(feature = "lm")]
        if let PolicyConfig::Lm(model) = &self.policy {
            self.update.minibatch = 128;
            self.update.warmup = 0;
            let is_new = model.model.is_empty();
            self.rollout.vary_tasks = is_new;
            if is_new {
                self.update.learning_rate = 2e-3;
                self.update.schedule = Schedule::Cosine;
                self.imitation.observation_weight = 1.0;
                self.imitation.noise = 0.1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::EnvConfig;

    #[test]
    fn presets_are_valid_and_have_different_names() {
        for &preset in Preset::ALL {
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
