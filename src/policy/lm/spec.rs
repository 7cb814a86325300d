//! What the settings of a language model become for an environment.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::config::{LmConfig, ResponseMode};
use super::encoder::LmEncoder;
use super::layout::{Layout, WORDING};
use super::policy::{LmPolicy, LmSettings};
use crate::device::max_binding;
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::files::{write_folder, write_new};
use crate::lm::{
    Bpe, BpeOptions, Cache, Decoder, ModelConfig, ModelFiles, NewModelConfig, SaveOptions,
    Tokenizer, save_adapter, save_as,
};
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
    /// The `tokenizer.json` of a new model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
    /// The files of a pretrained model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<Pretrained>,
    /// The template of the environment's messages.
    pub wording: String,
}

/// The files of a pretrained model, which checkpoints refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pretrained {
    /// The folder or GGUF file, from the root of the file system.
    pub path: PathBuf,
    /// The SHA-256 of its weights.
    pub sha256: String,
}

impl Pretrained {
    fn of(path: &Path) -> Result<Self> {
        let sha256 = ModelFiles::open(path)?.weights.sha256()?;
        let path = std::path::absolute(path).map_err(Error::io("find", path))?;
        Ok(Self { path, sha256 })
    }

    /// Opens the files, if they are those that the policy began with.
    fn open(&self) -> Result<ModelFiles> {
        let files = ModelFiles::open(&self.path)?;
        match files.weights.sha256()? == self.sha256 {
            true => Ok(files),
            false => Err(Error::file(
                &self.path,
                "holds other weights than those that the policy was trained from",
            )),
        }
    }
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
        if self.response != ResponseMode::Free && !environment.lists_actions() {
            let name = if self.response == ResponseMode::Whole { "whole" } else { "choice" };
            let message = format!(
                "is '{name}', and the environment lists no actions; set it to 'free', or name the list of \
                 actions"
            );
            return Err(Error::setting("policy.response", message));
        }
        let wording = match self.template.as_str() {
            "" => WORDING.to_string(),
            file => {
                let path = Path::new(file);
                std::fs::read_to_string(path).map_err(Error::io("read", path))?
            }
        };
        if !self.model.is_empty() {
            let pretrained = Some(Pretrained::of(Path::new(&self.model))?);
            return Ok(LmSpec { settings: self.clone(), tokenizer: None, pretrained, wording });
        }
        if self.lora.rank > 0 {
            let message = "an adapter needs a pretrained model: set policy.model too";
            return Err(Error::setting("policy.lora.rank", message));
        }
        let texts: AllTexts = random_texts(environment, environment.vocabulary_tasks(), seed)?;
        let options = BpeOptions { vocabulary: self.vocabulary, ..BpeOptions::default() };
        let tokenizer = Some(Bpe::train(texts.0.iter(), &options)?.to_json()?);
        Ok(LmSpec { settings: self.clone(), tokenizer, pretrained: None, wording })
    }
}

impl LmSpec {
    /// The tokenizer.
    ///
    /// # Errors
    /// Returns an error if a pretrained model's files cannot be read.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        match (&self.tokenizer, &self.pretrained) {
            (Some(json), _) => Bpe::parse(json)?.tokenizer(),
            (None, Some(pretrained)) => Tokenizer::open(&pretrained.path),
            (None, None) => Err(neither()),
        }
    }

    /// The model without an adapter.
    fn model(&self, tokenizer: &Tokenizer, seed: u64, device: &Device) -> Result<Decoder> {
        match (&self.tokenizer, &self.pretrained) {
            (Some(_), _) => Decoder::untrained(&self.shape(tokenizer.size())?, seed, device),
            (None, Some(pretrained)) => {
                let files = pretrained.open()?;
                tokenizer.check_vocabulary(files.config.vocabulary)?;
                Decoder::of_files(&files, device, max_binding(device))
            }
            (None, None) => Err(neither()),
        }
    }

    /// Writes a trained model into a folder, for Hugging Face: the model, or its adapter in the layout of
    /// PEFT if it has one and `merge` is not set.
    ///
    /// # Errors
    /// Returns an error if the folder holds something, or a file cannot be read or written.
    pub fn export(
        &self,
        model: &Decoder,
        folder: &Path,
        merge: bool,
        options: &SaveOptions,
    ) -> Result<()> {
        let pretrained = self.pretrained.as_ref().map(|pretrained| pretrained.path.as_path());
        write_folder(folder, |folder| {
            if model.has_adapter() && !merge {
                let base = pretrained.map(|path| path.display().to_string());
                return save_adapter(model, folder, base.as_deref());
            }
            save_as(&model.merged(), folder, pretrained, options)?;
            let Some(json) = &self.tokenizer else { return Ok(()) };
            let files = Bpe::parse(json)?.files(model.config().context)?;
            files.iter().try_for_each(|(name, bytes)| write_new(&folder.join(name), bytes))
        })
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
        let tokenizer = self.tokenizer()?;
        let mut model = self.model(&tokenizer, seed, device)?;
        let layout = Layout::new(Arc::new(tokenizer), &self.wording)?;
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
        let tokens = Cache::new(model.config(), device).bytes_of(context) as u64;
        let settings = LmSettings {
            layout: layout.clone(),
            max_response_tokens: self.settings.max_response_tokens,
            part_tokens: self.settings.part_tokens,
            recompute: self.settings.recompute,
            max_active: ((self.settings.max_cache << 20) / tokens.max(1)).max(1) as usize,
        };
        let encoder = LmEncoder::new(layout, self.settings.clone(), context);
        Ok((LmPolicy::new(model, settings), encoder))
    }

    fn validate(&self) -> Result<(), String> {
        if self.tokenizer.is_some() == self.pretrained.is_some() {
            return Err("expected either a tokenizer or a pretrained model".into());
        }
        settings::check(&self.settings, "settings").map_err(|error| error.to_string())
    }

    fn min_weight_bytes(&self) -> u64 {
        match (&self.tokenizer, self.shape(1)) {
            (Some(_), Ok(shape)) => 4 * (shape.layers * shape.hidden * shape.intermediate) as u64,
            _ => 0,
        }
    }

    fn expect_settings(&self, config: &LmConfig) -> Result<(), String> {
        // Memory and time may change. All else is part of the policy.
        self.expect_equal(config, &["model", "max_cache", "part_tokens", "recompute"])
    }

    /// What the model reads and how it answers may change.
    fn with_settings(&self, config: &LmConfig) -> Result<Self, String> {
        const FREE: [&str; 10] = [
            "model",
            "max_cache",
            "part_tokens",
            "recompute",
            "context",
            "prompt",
            "window",
            "list",
            "response",
            "max_response_tokens",
        ];
        self.expect_equal(config, &FREE)?;
        Ok(Self { settings: config.clone(), ..self.clone() })
    }

    fn summary(&self) -> String {
        match self.settings.model.as_str() {
            "" => format!("{} layers of width {}", self.settings.layers, self.settings.width),
            model => model.to_string(),
        }
    }
}

impl LmSpec {
    /// Checks that settings are those of the policy, except for those with the keys `free`.
    fn expect_equal(&self, config: &LmConfig, free: &[&str]) -> Result<(), String> {
        let tree = |config: &LmConfig| serde_json::to_value(config).map_err(|e| e.to_string());
        let (saved, given) = (tree(&self.settings)?, tree(config)?);
        let differs = |key: &&String| saved[*key] != given[*key] && !free.contains(&key.as_str());
        match saved.as_object().and_then(|saved| saved.keys().find(differs)) {
            None => Ok(()),
            Some(key) => Err(format!(
                "the saved policy has policy.{key} {}, the settings have {}",
                saved[key], given[key]
            )),
        }
    }
}

fn neither() -> Error {
    Error::input("policy", "has neither a tokenizer nor a pretrained model")
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
