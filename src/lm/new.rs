//! New models: a tokenizer of one's own texts and untrained weights.

use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bpe::Bpe;
use super::config::ModelConfig;
use super::model::Decoder;
use super::save::save;
use crate::error::{Error, Result};
use crate::files::{write_atomic, write_folder};
use crate::settings;

/// The size of a new model, of Llama's form or of Qwen3's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct NewModelConfig {
    /// Number of layers.
    #[garde(range(min = 1, max = 256))]
    pub layers: usize,
    /// Width of the hidden states.
    #[garde(range(min = 2, max = 16_384))]
    pub width: usize,
    /// Number of query heads. Their width, the model's divided by this, is even.
    #[garde(range(min = 1, max = 1024))]
    pub heads: usize,
    /// Number of key and value heads; by default half the heads, or all if their number is odd.
    #[garde(range(min = 1, max = 1024))]
    pub kv_heads: Option<usize>,
    /// Width of the feed-forward layers; by default three times the model's width.
    #[garde(range(min = 1, max = 65_536))]
    pub intermediate: Option<usize>,
    /// Largest number of tokens of a sequence.
    #[garde(range(min = 2, max = 1_048_576))]
    pub context: usize,
    /// Whether the head shares the embedding's weights.
    #[garde(skip)]
    pub tied: bool,
    /// Whether queries and keys are normalised by head: Qwen3's form in place of Llama's.
    #[garde(skip)]
    pub qk_norm: bool,
}

impl Default for NewModelConfig {
    fn default() -> Self {
        Self {
            layers: 4,
            width: 256,
            heads: 4,
            kv_heads: None,
            intermediate: None,
            context: 4096,
            tied: true,
            qk_norm: false,
        }
    }
}

impl NewModelConfig {
    /// The shape of the model for a vocabulary.
    ///
    /// # Errors
    /// Returns an error that names the setting that is out of range or does not fit another one.
    pub fn shape(&self, vocabulary: usize) -> Result<ModelConfig> {
        settings::check(self, "")?;
        let Self { width, heads, .. } = *self;
        let is_divisor = width.is_multiple_of(heads) && (width / heads).is_multiple_of(2);
        if !is_divisor {
            let message = format!("{heads} heads do not divide a width of {width} into even parts");
            return Err(Error::setting("heads", message));
        }
        let half = if heads.is_multiple_of(2) { heads / 2 } else { heads };
        let kv_heads = self.kv_heads.unwrap_or(half);
        if !heads.is_multiple_of(kv_heads) {
            let message = format!("is {kv_heads}, which does not divide {heads} heads");
            return Err(Error::setting("kv_heads", message));
        }
        Ok(ModelConfig {
            vocabulary,
            hidden: width,
            intermediate: self.intermediate.unwrap_or(3 * width),
            layers: self.layers,
            heads,
            kv_heads,
            head_width: width / heads,
            context: self.context,
            norm_epsilon: 1e-5,
            qkv_bias: false,
            output_bias: false,
            mlp_bias: false,
            qk_norm: self.qk_norm,
            tied: self.tied,
            rope_theta: 10_000.0,
            rope_scaling: None,
        })
    }

    /// Writes an untrained model with a tokenizer into a folder that does not exist or is empty. The
    /// folder appears whole. The seed determines the weights. Returns the number of parameters.
    ///
    /// # Errors
    /// Returns an error if a setting does not fit, the folder holds something, or the file system fails.
    pub fn write(&self, bpe: &Bpe, seed: u64, device: &Device, folder: &Path) -> Result<usize> {
        let config = self.shape(bpe.vocabulary())?;
        let model = Decoder::untrained(&config, seed, device)?;
        write_folder(folder, |folder: &Path| {
            save(&model, folder, None)?;
            bpe.files(self.context)?
                .iter()
                .try_for_each(|(name, bytes)| write_atomic(&folder.join(name), bytes))
        })?;
        Ok(model.num_params())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_does_not_fit_is_named() {
        let default = NewModelConfig::default();
        let shape = default.shape(1024).unwrap();
        assert_eq!((shape.kv_heads, shape.head_width, shape.intermediate), (2, 64, 768));
        for (config, says) in [
            (NewModelConfig { layers: 0, ..default.clone() }, "setting 'layers'"),
            (
                NewModelConfig { heads: 3, ..default.clone() },
                "3 heads do not divide a width of 256",
            ),
            (NewModelConfig { heads: 256, ..default.clone() }, "into even parts"),
            (
                NewModelConfig { kv_heads: Some(3), ..default.clone() },
                "setting 'kv_heads': is 3, which does not divide 4 heads",
            ),
        ] {
            let error = config.shape(1024).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
