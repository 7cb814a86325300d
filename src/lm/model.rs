//! The decoder.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::block::Block;
use super::cache::{Cache, RowId};
use super::config::ModelConfig;
use super::embedding::Embedding;
use super::linear::Linear;
use super::loader::Loader;
use super::memory;
use super::norm::Norm;
use super::rope::Rope;
use super::source::ModelFiles;
use crate::device::{computes_here, max_binding};
use crate::error::{Error, Result};
use crate::gradients::Gradient;
use crate::parallel::among_workers;

/// A decoder-only transformer: embedding, layers, normalisation and head.
#[derive(Module, Debug)]
pub struct Decoder {
    embed_tokens: Embedding,
    layers: Vec<Block>,
    norm: Norm,
    lm_head: Option<Embedding>,
    #[module(skip)]
    config: ModelConfig,
}

/// A ragged batch of sequences, as the layers need it.
pub(super) struct Inputs {
    /// Tokens, padded at the end of rows, `[rows * tokens]`.
    ids: Tensor<1, Int>,
    /// Rows and tokens.
    shape: [usize; 2],
    rope: Rope,
}

impl Decoder {
    /// Loads a model from a folder with `config.json` and safetensors, or from a GGUF file. Weights
    /// become 32-bit floats.
    ///
    /// # Errors
    /// Returns an error if the folder or file holds no supported model, a weight is missing, has another
    /// shape or type, or is not finite, or the device has too little memory or too small buffers. All of
    /// this but the values is checked before anything is allocated.
    pub fn open(path: &Path, device: &Device) -> Result<Self> {
        Self::of_files(&ModelFiles::open(path)?, device, max_binding(device))
    }

    /// Loads a model whose files are open. `max_binding` is the largest buffer that the device can bind,
    /// in bytes; `None` sets no limit. Embedding and head are divided into parts that fit.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn of_files(files: &ModelFiles, device: &Device, max_binding: Option<u64>) -> Result<Self> {
        let loader = || Loader::of_files(&files.weights, device, max_binding);
        Self::load(&files.config, &loader().checking())?;
        memory::check_fits(&files.config, device)?;
        Self::load(&files.config, &loader())
    }

    /// An untrained model: weights are drawn from a normal distribution, and the seed determines them.
    ///
    /// # Errors
    /// Returns an error if the configuration is invalid, or the device has too little memory or too small
    /// buffers.
    pub fn untrained(config: &ModelConfig, seed: u64, device: &Device) -> Result<Self> {
        config.check().map_err(|message| Error::input("config", message))?;
        memory::check_fits(config, device)?;
        let loader = || Loader::initial(seed, device, max_binding(device));
        Self::load(config, &loader().checking())?;
        Self::load(config, &loader())
    }

    fn load(config: &ModelConfig, loader: &Loader) -> Result<Self> {
        let table = [config.vocabulary, config.hidden];
        let head = match config.tied {
            true => None,
            false => Some(Embedding::load(loader, "lm_head.weight", table)?),
        };
        let layers = (0..config.layers)
            .map(|layer| Block::load(loader, &format!("model.layers.{layer}"), config));
        Ok(Self {
            embed_tokens: Embedding::load(loader, "model.embed_tokens.weight", table)?,
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
        self.embed_tokens.device()
    }

    /// Hidden states after the last normalisation, `[rows * tokens, hidden]`, where `tokens` is the
    /// longest row's length. Shorter rows are padded at their end; as attention is causal, this does
    /// not change their own states.
    ///
    /// # Errors
    /// Returns an error if there is no row, a row is empty or longer than the context, or an id is out
    /// of range.
    pub fn hidden(&self, rows: &[&[u32]]) -> Result<Tensor<2>> {
        let inputs = self.inputs(rows)?;
        Ok(self.hidden_of(self.embed(&inputs), &inputs))
    }

    /// Hidden states after the last normalisation of embeddings, `[rows * tokens, hidden]`.
    pub(super) fn hidden_of(&self, mut x: Tensor<2>, inputs: &Inputs) -> Tensor<2> {
        for layer in 0..self.layers.len() {
            x = self.layer(layer, x, inputs);
        }
        self.normalised(x)
    }

    /// What the layers need to know of sequences, on the model's device.
    ///
    /// # Errors
    /// As [`hidden`](Self::hidden).
    pub(super) fn inputs(&self, rows: &[&[u32]]) -> Result<Inputs> {
        rows.iter().try_for_each(|row| self.check_ids(row))?;
        let tokens = rows.iter().map(|row| row.len()).max();
        let tokens = tokens.ok_or_else(|| Error::input("ids", "there are no rows"))?;
        let device = self.device();
        let padded = rows.iter().flat_map(|row| {
            row.iter().map(|&id| id as i32).chain(std::iter::repeat_n(0, tokens - row.len()))
        });
        let ids = TensorData::new(padded.collect::<Vec<i32>>(), [rows.len() * tokens]);
        Ok(Inputs {
            ids: Tensor::from_data(ids, &device),
            shape: [rows.len(), tokens],
            rope: Rope::new(&self.config, tokens, &device),
        })
    }

    /// Embeddings of the tokens, `[rows * tokens, hidden]`.
    pub(super) fn embed(&self, inputs: &Inputs) -> Tensor<2> {
        self.embed_tokens.lookup(inputs.ids.clone())
    }

    /// Maps hidden states, `[rows * tokens, hidden]`, by one layer.
    pub(super) fn layer(&self, layer: usize, x: Tensor<2>, inputs: &Inputs) -> Tensor<2> {
        self.layers[layer].forward(x, inputs.shape, &inputs.rope)
    }

    /// The last normalisation of hidden states.
    pub(super) fn normalised(&self, x: Tensor<2>) -> Tensor<2> {
        self.norm.forward(x)
    }

    /// Whether the embedding is trained.
    pub(super) fn trains_embedding(&self) -> bool {
        self.embed_tokens.is_require_grad()
    }

    /// Adds what the embeddings of the tokens contribute to a gradient; `upstream`, `[rows * tokens,
    /// hidden]`, is the gradient by them.
    pub(super) fn add_embedding_gradient(
        &self,
        inputs: &Inputs,
        upstream: &Tensor<2>,
        gradient: &mut Gradient,
    ) {
        self.embed_tokens.add_gradient(&inputs.ids.clone().inner(), upstream, gradient);
    }

    /// Calls `act` with the full name, such as `model.layers.0.self_attn.q_proj`, and each linear map.
    pub(super) fn for_linears(&mut self, act: &mut dyn FnMut(&str, &mut Linear)) {
        for (index, layer) in self.layers.iter_mut().enumerate() {
            layer.for_linears(&format!("model.layers.{index}"), act);
        }
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
        let work = || {
            let mut x = self.embed_tokens.lookup(ids);
            for (index, layer) in self.layers.iter().enumerate() {
                x = layer.extend(x, &rope, cache, index, &spans)?;
            }
            Ok(self.norm.forward(x))
        };
        if computes_here(&device) { among_workers(work) } else { work() }
    }

    /// Logits of some tokens only, `[rows, tokens]`, of hidden states, `[rows, hidden]`.
    pub fn logits_of(&self, hidden: Tensor<2>, tokens: &[u32]) -> Tensor<2> {
        let tokens: Vec<i32> = tokens.iter().map(|&token| token as i32).collect();
        let tokens = Tensor::<1, Int>::from_data(tokens.as_slice(), &hidden.device());
        hidden.matmul(self.head().lookup(tokens).transpose())
    }

    /// Logits, `[rows, vocabulary]`, of hidden states, `[rows, hidden]`.
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        self.head().logits(hidden)
    }

    /// The output head in parts of the vocabulary, `[part, width]` each.
    pub fn head_parts(&self) -> Vec<Tensor<2>> {
        self.head().parts()
    }

    /// The output head: a table of its own, or the embedding.
    pub(super) fn head(&self) -> &Embedding {
        self.lm_head.as_ref().unwrap_or(&self.embed_tokens)
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
