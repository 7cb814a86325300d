//! What the settings of a language model become for an environment.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::config::LmConfig;
use super::encoder::LmEncoder;
use super::layout::{Layout, WORDING};
use super::policy::{LmPolicy, LmSettings};
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::lm::{Bpe, BpeOptions, Decoder, ModelConfig, NewModelConfig, Tokenizer};
use crate::policy::kind::{PolicyKind, PolicySpec};
use crate::policy::walks::{TextCollector, random_texts};
use crate::settings;

/// Context of a new model that the settings leave open.
const NEW_CONTEXT: usize = 4096;

/// Everything that defines a language model that plays except its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LmSpec {
    /// The settings.
    pub settings: LmConfig,
    /// The `tokenizer.json` of a new model. A pretrained model has its own files.
    pub tokenizer: Option<String>,
    /// The template of the environment's messages.
    pub wording: String,
}

/// All texts, each once.
#[derive(Default)]
struct AllTexts(BTreeSet<String>);

impl TextCollector for AllTexts {
    fn add(&mut self, text: &str) {
        if !self.0.contains(text) {
            self.0.insert(text.to_string());
        }
    }

    fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

impl PolicyKind for LmConfig {
    type Spec = LmSpec;

    fn spec(&self, environment: &dyn Environment, seed: u64) -> Result<LmSpec> {
        let wording = match self.template.as_str() {
            "" => WORDING.to_string(),
            file => {
                let path = Path::new(file);
                std::fs::read_to_string(path).map_err(Error::io("read", path))?
            }
        };
        let tokenizer = match self.model.as_str() {
            "" => {
                let texts: AllTexts =
                    random_texts(environment, environment.vocabulary_tasks(), seed)?;
                let options = BpeOptions { vocabulary: self.vocabulary, ..BpeOptions::default() };
                Some(Bpe::train(texts.0.iter(), &options)?.to_json()?)
            }
            _ => None,
        };
        Ok(LmSpec { settings: self.clone(), tokenizer, wording })
    }
}

impl LmSpec {
    fn tokenizer(&self) -> Result<Tokenizer> {
        match &self.tokenizer {
            Some(json) => Bpe::tokenizer_of(json),
            None => Tokenizer::open(Path::new(&self.settings.model)),
        }
    }

    /// The model without an adapter.
    fn model(&self, tokenizer: &Tokenizer, seed: u64, device: &Device) -> Result<Decoder> {
        match &self.tokenizer {
            Some(_) => Decoder::untrained(&self.shape(tokenizer.size())?, seed, device),
            None => Decoder::open(Path::new(&self.settings.model), device),
        }
    }

    /// The shape of a new model.
    fn shape(&self, vocabulary: usize) -> Result<ModelConfig> {
        let LmConfig { layers, width, heads, context, .. } = self.settings;
        let context = if context == 0 { NEW_CONTEXT } else { context };
        NewModelConfig { layers, width, heads, context, ..NewModelConfig::default() }
            .shape(vocabulary)
    }
}

impl PolicySpec for LmSpec {
    const KIND: &'static str = "lm";
    type Config = LmConfig;
    type Policy = LmPolicy;

    fn build(&self, seed: u64, device: &Device) -> Result<(LmPolicy, LmEncoder)> {
        let tokenizer = Arc::new(self.tokenizer()?);
        let mut model = self.model(&tokenizer, seed, device)?;
        tokenizer.check_vocabulary(model.config().vocabulary)?;
        let layout = Layout::new(tokenizer, &self.wording)?;
        if self.settings.lora.rank > 0 {
            model = model.with_lora(&self.settings.lora, seed)?;
        }
        let own = model.config().context;
        let context = match self.settings.context {
            0 => own,
            context if context <= own => context,
            context => {
                let message = format!("is {context}, the model's context is {own} tokens");
                return Err(Error::setting("policy.context", message));
            }
        };
        let model = model.map(&mut Numbered(0));
        let settings = LmSettings {
            layout: layout.clone(),
            max_response_tokens: self.settings.max_response_tokens,
            part_tokens: self.settings.part_tokens,
        };
        let encoder = LmEncoder::new(layout, self.settings.clone(), context);
        Ok((LmPolicy::new(model, settings), encoder))
    }

    fn validate(&self) -> Result<(), String> {
        settings::check(&self.settings, "settings").map_err(|error| error.to_string())
    }

    fn min_weight_bytes(&self) -> u64 {
        match (&self.tokenizer, self.shape(1)) {
            (Some(_), Ok(shape)) => 4 * (shape.layers * shape.hidden * shape.intermediate) as u64,
            _ => 0,
        }
    }

    fn expect_settings(&self, config: &LmConfig) -> Result<(), String> {
        // How an update is divided may change. All else is part of the policy.
        let tree = |config: &LmConfig| serde_json::to_value(config).map_err(|e| e.to_string());
        let (saved, given) = (tree(&self.settings)?, tree(config)?);
        let differs = |key: &&String| saved[*key] != given[*key] && *key != "part_tokens";
        match saved.as_object().and_then(|saved| saved.keys().find(differs)) {
            None => Ok(()),
            Some(key) => Err(format!(
                "the saved policy has policy.{key} {}, the settings have {}",
                saved[key], given[key]
            )),
        }
    }

    fn summary(&self) -> String {
        match self.settings.model.as_str() {
            "" => format!("{} layers of width {}", self.settings.layers, self.settings.width),
            model => model.to_string(),
        }
    }
}

/// Numbers the parameters in order, so that a saved optimizer state matches its parameters.
struct Numbered(u64);

impl ModuleMapper for Numbered {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.0 += 1;
        let is_trained = param.is_require_grad();
        let (_, tensor, _) = param.consume();
        Param::initialized(ParamId::from(self.0), tensor).set_require_grad(is_trained)
    }
}
