//! The decoder.

use std::path::Path;

use burn::module::{Module, Param};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::block::Block;
use super::cache::{Cache, RowId};
use super::config::ModelConfig;
use super::norm::Norm;
use super::rope::Rope;
use super::weights::{Loader, Weights};
use crate::error::{Error, Result};

/// A decoder-only transformer: embedding, layers, normalisation and head.
#[derive(Module, Debug)]
pub struct Decoder {
    embed_tokens: Param<Tensor<2>>,
    layers: Vec<Block>,
    norm: Norm,
    lm_head: Option<Param<Tensor<2>>>,
    #[module(skip)]
    config: ModelConfig,
}

impl Decoder {
    /// Loads a model from a folder with `config.json` and safetensors. Weights become 32-bit floats.
    ///
    /// # Errors
    /// Returns an error if the folder holds no supported model, or a weight is missing, has another
    /// shape or type, or is not finite. The headers of all files are checked before any weight is read.
    pub fn open(folder: &Path, device: &Device) -> Result<Self> {
        let config = ModelConfig::open(folder)?;
        let weights = Weights::open(folder)?;
        // The first pass checks names and shapes only.
        Self::load(&config, &Loader::checking(&weights, device))?;
        Self::load(&config, &Loader::reading(&weights, device))
    }

    /// An untrained model: weights are drawn from a normal distribution, and the seed determines them.
    ///
    /// # Errors
    /// Returns an error if the configuration is invalid.
    pub fn untrained(config: &ModelConfig, seed: u64, device: &Device) -> Result<Self> {
        config.check().map_err(|message| Error::input("config", message))?;
        Self::load(config, &Loader::initial(seed, device))
    }

    fn load(config: &ModelConfig, loader: &Loader) -> Result<Self> {
        let table = [config.vocabulary, config.hidden];
        let head = match config.tied {
            true => None,
            false => Some(loader.parameter("lm_head.weight", table)?),
        };
        let layers = (0..config.layers)
            .map(|layer| Block::load(loader, &format!("model.layers.{layer}"), config));
        Ok(Self {
            embed_tokens: loader.parameter("model.embed_tokens.weight", table)?,
            layers: layers.collect::<Result<_>>()?,
            norm: Norm::load(loader, "model.norm", config.hidden, config.norm_epsilon)?,
            lm_head: head,
            config: config.clone(),
        })
    }

    /// The model's shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The device of the weights.
    pub fn device(&self) -> Device {
        self.embed_tokens.val().device()
    }

    /// Hidden states after the last normalisation, `[rows * tokens, hidden]`, where `tokens` is the
    /// longest row's length. Shorter rows are padded at their end; as attention is causal, this does
    /// not change their own states.
    ///
    /// # Errors
    /// Returns an error if there is no row, a row is empty or longer than the context, or an id is out
    /// of range.
    pub fn hidden(&self, rows: &[&[u32]]) -> Result<Tensor<2>> {
        rows.iter().try_for_each(|row| self.check_ids(row))?;
        let tokens = rows.iter().map(|row| row.len()).max();
        let tokens = tokens.ok_or_else(|| Error::input("ids", "there are no rows"))?;
        let device = self.device();
        let padded = rows.iter().flat_map(|row| {
            row.iter().map(|&id| id as i32).chain(std::iter::repeat_n(0, tokens - row.len()))
        });
        let ids = TensorData::new(padded.collect::<Vec<i32>>(), [rows.len() * tokens]);
        let ids = Tensor::<1, Int>::from_data(ids, &device);
        let rope = Rope::new(&self.config, tokens, &device);
        let future: Vec<bool> =
            (0..tokens).flat_map(|query| (0..tokens).map(move |key| key > query)).collect();
        let future = TensorData::new(future, [1, 1, tokens, tokens]);
        let future = Tensor::<4, Bool>::from_data(future, &device);
        let mut x = self.embed_tokens.val().select(0, ids);
        for layer in &self.layers {
            x = layer.forward(x, [rows.len(), tokens], &rope, &future);
        }
        Ok(self.norm.forward(x))
    }

    /// Appends tokens to sequences of a cache. Gives the hidden states of the new tokens after the last
    /// normalisation, `[new tokens, hidden]`, sequence by sequence in the order given. Nothing is padded,
    /// and sequences may differ in how many tokens they have and get.
    ///
    /// # Errors
    /// Returns an error, and changes nothing, if a sequence occurs twice or gets no token, an id is out
    /// of range, a sequence outgrows the context ([`Error::ContextOverflow`]) or the cache its limit
    /// ([`Error::CacheFull`]).
    pub fn extend(&self, cache: &mut Cache, new: &[(RowId, &[u32])]) -> Result<Tensor<2>> {
        new.iter().try_for_each(|(_, ids)| self.check_ids(ids))?;
        let device = self.device();
        let spans = cache.extend(new)?;
        let positions = new.iter().flat_map(|&(row, ids)| {
            let end = cache.tokens(row);
            end - ids.len()..end
        });
        let rope = Rope::at(&self.config, positions, &device);
        let ids: Vec<i32> =
            new.iter().flat_map(|(_, ids)| ids.iter().map(|&id| id as i32)).collect();
        let ids = Tensor::<1, Int>::from_data(ids.as_slice(), &device);
        let mut x = self.embed_tokens.val().select(0, ids);
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.extend(x, &rope, cache, index, &spans)?;
        }
        Ok(self.norm.forward(x))
    }

    /// Logits of some tokens only, `[rows, tokens]`, of hidden states, `[rows, hidden]`.
    pub fn logits_of(&self, hidden: Tensor<2>, tokens: &[u32]) -> Tensor<2> {
        let tokens: Vec<i32> = tokens.iter().map(|&token| token as i32).collect();
        let tokens = Tensor::<1, Int>::from_data(tokens.as_slice(), &hidden.device());
        hidden.matmul(self.head().select(0, tokens).transpose())
    }

    /// Logits, `[rows, vocabulary]`, of hidden states, `[rows, hidden]`.
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        hidden.matmul(self.head().transpose())
    }

    /// The output head, `[vocabulary, width]`: a weight of its own, or the embedding.
    pub(super) fn head(&self) -> Tensor<2> {
        self.lm_head.as_ref().unwrap_or(&self.embed_tokens).val()
    }

    /// Checks that a sequence can be fed to the model.
    ///
    /// # Errors
    /// Returns an error if the sequence is empty or longer than the context, or an id is out of range.
    pub fn check_ids(&self, ids: &[u32]) -> Result<()> {
        let ModelConfig { vocabulary, context, .. } = self.config;
        if ids.is_empty() || ids.len() > context {
            let message = format!("{} tokens, expected 1 to {context} (the context)", ids.len());
            return Err(Error::input("ids", message));
        }
        match ids.iter().find(|&&id| id as usize >= vocabulary) {
            Some(id) => {
                let message = format!("id {id} is out of range, the vocabulary is {vocabulary}");
                Err(Error::input("ids", message))
            }
            None => Ok(()),
        }
    }
}
