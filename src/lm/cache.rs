//! The keys and values of sequences that grow: what a model keeps of the tokens it has read.
//!
//! Memory is handed out in pages, so that sequences of any lengths share it, may grow at any time, and
//! leave no gaps that later sequences cannot use.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::{Device, Tensor};

use super::config::ModelConfig;
use crate::error::{Error, Result};
use crate::kernels::{CacheSpans, PAGE, Span, cached_attention};

/// A sequence of a cache. No two sequences of a cache have the same, even after one is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId(usize);

/// Keys and values of sequences, for all layers of a model.
#[derive(Debug)]
pub struct Cache {
    /// By layer: `[slots, 2 * kv_heads * head_width]`. Taken while it is written, so that the write has
    /// the only owner and happens in place.
    layers: Vec<Option<Tensor<2>>>,
    rows: BTreeMap<RowId, Row>,
    /// Sequences that were ever started.
    started: usize,
    free_pages: Vec<u32>,
    /// Pages that exist.
    pages: usize,
    /// Pages that may exist.
    limit: usize,
    config: ModelConfig,
    device: Device,
}

#[derive(Debug, Default)]
struct Row {
    pages: Vec<u32>,
    tokens: usize,
}

impl Cache {
    /// An empty cache without a limit.
    pub fn new(config: &ModelConfig, device: &Device) -> Self {
        Self {
            layers: vec![None; config.layers],
            rows: BTreeMap::new(),
            started: 0,
            free_pages: Vec::new(),
            pages: 0,
            // A page's number is 32 bits wide.
            limit: u32::MAX as usize,
            config: config.clone(),
            device: device.clone(),
        }
    }

    /// The same with room for `tokens` tokens from the start.
    pub fn with_capacity(mut self, tokens: usize) -> Self {
        self.allocate(tokens.div_ceil(PAGE).min(self.limit));
        self
    }

    /// The same with a limit of its memory in bytes ([`Cache::bytes`]), rounded down to whole pages.
    pub fn with_limit(mut self, bytes: usize) -> Self {
        self.limit = (bytes / (self.bytes_per_token() * PAGE)).min(u32::MAX as usize);
        self
    }

    /// Bytes of one token: keys and values of all layers.
    pub fn bytes_per_token(&self) -> usize {
        self.config.layers * self.columns() * size_of::<f32>()
    }

    /// Bytes on the device, used or not.
    pub fn bytes(&self) -> usize {
        self.pages * PAGE * self.bytes_per_token()
    }

    /// Bytes that a sequence of some tokens occupies: a whole number of pages of 16 tokens.
    pub fn bytes_of(&self, tokens: usize) -> usize {
        tokens.next_multiple_of(PAGE) * self.bytes_per_token()
    }

    /// Starts an empty sequence.
    pub fn add(&mut self) -> RowId {
        let row = RowId(self.started);
        self.started += 1;
        self.rows.insert(row, Row::default());
        row
    }

    /// Forgets a sequence. Later ones use its memory.
    pub fn remove(&mut self, row: RowId) {
        if let Some(row) = self.rows.remove(&row) {
            self.free_pages.extend(row.pages.into_iter().rev());
        }
    }

    /// Forgets all but the first tokens of a sequence.
    pub fn truncate(&mut self, row: RowId, tokens: usize) {
        if let Some(row) = self.rows.get_mut(&row).filter(|row| row.tokens > tokens) {
            row.tokens = tokens;
            let kept = row.pages.len().min(tokens.div_ceil(PAGE));
            self.free_pages.extend(row.pages.drain(kept..).rev());
        }
    }

    /// Tokens of a sequence; 0 if it was removed.
    pub fn tokens(&self, row: RowId) -> usize {
        self.rows.get(&row).map_or(0, |row| row.tokens)
    }

    /// Numbers of a token in a layer.
    fn columns(&self) -> usize {
        2 * self.config.kv_heads * self.config.head_width
    }

    /// Makes room for new tokens, whose keys and values [`Cache::attend`] then adds layer by layer.
    pub(super) fn extend(&mut self, new: &[(RowId, &[u32])]) -> Result<CacheSpans> {
        let wanted = self.check(new)?;
        if wanted > self.free_pages.len() {
            let least = self.pages + wanted - self.free_pages.len();
            // Growing by half keeps the copies of growth few and what is unused small.
            self.allocate(least.max(self.pages + self.pages / 2).min(self.limit));
        }
        let mut spans = Vec::with_capacity(new.len());
        for (row, ids) in new {
            let Some(row) = self.rows.get_mut(row) else { continue };
            let before = row.tokens;
            row.tokens += ids.len();
            while row.pages.len() * PAGE < row.tokens {
                row.pages.extend(self.free_pages.pop());
            }
            spans.push(Span { pages: row.pages.clone(), before, new: ids.len() });
        }
        let ModelConfig { heads, kv_heads, head_width, .. } = self.config;
        Ok(CacheSpans::new(spans, [heads, kv_heads], head_width))
    }

    /// Checks that new tokens fit and gives the number of pages that they need.
    fn check(&self, new: &[(RowId, &[u32])]) -> Result<usize> {
        let mut wanted = 0;
        let mut seen = BTreeSet::new();
        for (index, (id, ids)) in new.iter().enumerate() {
            let place = || format!("sequence {index} of the batch");
            let Some(row) = self.rows.get(id) else {
                return Err(Error::input(place(), "was removed from the cache"));
            };
            if !seen.insert(*id) {
                return Err(Error::input(place(), "occurs twice"));
            }
            let tokens = row.tokens + ids.len();
            if tokens > self.config.context {
                return Err(Error::ContextOverflow { tokens, context: self.config.context });
            }
            wanted += tokens.div_ceil(PAGE) - row.pages.len();
        }
        let used = self.pages - self.free_pages.len();
        if used + wanted > self.limit {
            let (tokens, limit) = ((used + wanted) * PAGE, self.limit * PAGE);
            return Err(Error::CacheFull { tokens, limit });
        }
        Ok(wanted)
    }

    /// Grows to a number of pages.
    fn allocate(&mut self, pages: usize) {
        if pages <= self.pages {
            return;
        }
        let columns = self.columns();
        for layer in &mut self.layers {
            let grown = Tensor::zeros([pages * PAGE, columns], &self.device);
            *layer = Some(match layer.take() {
                Some(old) => {
                    let slots = old.dims()[0];
                    grown.slice_assign([0..slots, 0..columns], old)
                }
                None => grown,
            });
        }
        // The lowest page is handed out first.
        let new = self.pages as u32..pages as u32;
        self.free_pages.splice(0..0, new.rev());
        self.pages = pages;
    }

    /// Adds keys and values to a layer and attends over it ([`cached_attention`]).
    pub(super) fn attend(
        &mut self,
        inputs: [Tensor<2>; 3],
        layer: usize,
        spans: &CacheSpans,
    ) -> Result<Tensor<2>> {
        let cells = self.layers[layer].take();
        let cells = cells.unwrap_or_else(|| Tensor::zeros([0, self.columns()], &self.device));
        let (mixed, cells) = cached_attention(inputs, cells, spans)?;
        self.layers[layer] = Some(cells);
        Ok(mixed)
    }
}
