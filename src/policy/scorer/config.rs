//! The scorer's settings, and what they become for an environment.

use burn::tensor::Device;
use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::inputs::ACTION_FEATURES;
use super::memory::ScorerEncoder;
use super::mentions::MENTION_FEATURES;
use super::network::ScorerNetworkConfig;
use super::policy::Scorer;
use super::vocabulary::Vocabulary;
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::policy::kind::{PolicyKind, PolicySpec};
use crate::settings;

/// Settings of the scorer, a small network that chooses among the admissible actions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ScorerConfig {
    /// Length of word vectors and text encodings.
    #[garde(range(min = 4, max = 4096))]
    #[schemars(extend("x-flag" = "policy-embedding"))]
    pub embedding: usize,
    /// Width of the hidden layers.
    #[garde(range(min = 4, max = 4096))]
    pub hidden: usize,
    /// Maximum number of words in the vocabulary.
    #[garde(range(min = 1, max = 65_536))]
    pub max_words: usize,
    /// Whether an action's features tell how the goal and the observation mention it: for actions with
    /// an argument that the observation describes, as in a shop.
    #[garde(skip)]
    pub mentions: bool,
}

impl Default for ScorerConfig {
    fn default() -> Self {
        Self { embedding: 64, hidden: 64, max_words: 2048, mentions: false }
    }
}

impl ScorerConfig {
    /// The network for a vocabulary of `words` words.
    pub fn network(&self, words: usize) -> ScorerNetworkConfig {
        let mentions = if self.mentions { MENTION_FEATURES } else { 0 };
        ScorerNetworkConfig::new(words, self.embedding, self.hidden)
            .with_features(ACTION_FEATURES + mentions)
    }
}

impl PolicyKind for ScorerConfig {
    type Spec = ScorerSpec;

    fn spec(&self, environment: &dyn Environment, seed: u64) -> Result<ScorerSpec> {
        if !environment.lists_actions() {
            let message = "is 'scorer', which chooses from a list, and the environment lists no actions; \
                           name the list of actions, or train a language model that writes freely";
            return Err(Error::setting("policy.kind", message));
        }
        let tasks = environment.vocabulary_tasks();
        Ok(ScorerSpec {
            size: self.clone(),
            max_steps: environment.max_steps(),
            vocabulary: Vocabulary::from_environment(environment, tasks, self.max_words, seed)?,
            value_head: false,
        })
    }
}

/// Everything that defines a scorer except its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScorerSpec {
    /// Size of the network and the vocabulary.
    pub size: ScorerConfig,
    /// Step limit by which the scorer measures progress.
    pub max_steps: usize,
    /// The words that it knows.
    pub vocabulary: Vocabulary,
    /// Whether it estimates values of states.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub value_head: bool,
}

impl PolicySpec for ScorerSpec {
    const KIND: &'static str = "scorer";
    type Config = ScorerConfig;
    type Policy = Scorer;

    fn build(&self, seed: u64, device: &Device) -> Result<(Scorer, ScorerEncoder)> {
        let network = self.size.network(self.vocabulary.len());
        let network = network.with_value_head(self.value_head);
        let encoder = ScorerEncoder {
            vocabulary: self.vocabulary.clone(),
            max_steps: self.max_steps,
            mentions: self.size.mentions,
        };
        Ok((Scorer::new(&network, seed, device), encoder))
    }

    fn validate(&self) -> Result<(), String> {
        settings::check(&self.size, "size").map_err(|error| error.to_string())
    }

    fn min_weight_bytes(&self) -> u64 {
        let [words, embedding, hidden] =
            [self.vocabulary.len(), self.size.embedding, self.size.hidden].map(|size| size as u64);
        4 * (words * (embedding + hidden) + hidden * hidden)
    }

    fn estimates_values(&self) -> bool {
        self.value_head
    }

    fn with_value_head(&self) -> Result<Self, String> {
        Ok(Self { value_head: true, ..self.clone() })
    }

    fn expect_settings(&self, config: &ScorerConfig) -> Result<(), String> {
        let saved = &self.size;
        let sizes = [
            ("embedding", saved.embedding, config.embedding),
            ("hidden", saved.hidden, config.hidden),
            ("max_words", saved.max_words, config.max_words),
        ];
        match sizes.into_iter().find(|(_, saved, config)| saved != config) {
            None if saved.mentions == config.mentions => Ok(()),
            None => Err(format!(
                "the saved policy has policy.mentions {}, the settings have {}",
                saved.mentions, config.mentions
            )),
            Some((name, saved, config)) => Err(format!(
                "the saved policy has policy.{name} {saved}, the settings have {config}"
            )),
        }
    }

    fn summary(&self) -> String {
        format!("{} words", self.vocabulary.len())
    }
}
