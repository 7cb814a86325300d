//! Attention of new tokens over a cache of keys and values.

use std::sync::Arc;

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use super::backend::KernelBackend;
use super::shapes;
use crate::error::{Error, Result};

/// Slots of a page. A sequence occupies whole pages, which need not follow one another.
pub const PAGE: usize = 16;

/// The part of one sequence in a batch of new tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The sequence's pages, in order. The slot of token `t` is `pages[t / PAGE] * PAGE + t % PAGE`.
    pub pages: Vec<u32>,
    /// Tokens whose keys and values are in the cache.
    pub before: usize,
    /// New tokens.
    pub new: usize,
}

impl Span {
    /// The slot of a token.
    pub fn slot(&self, token: usize) -> usize {
        self.pages[token / PAGE] as usize * PAGE + token % PAGE
    }

    /// Tokens after the new ones are added.
    pub fn total(&self) -> usize {
        self.before + self.new
    }
}

/// The sequences of a batch of new tokens, and the shape of the heads.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheSpans {
    /// Sequences of the batch that have new tokens, in the order of these.
    pub(super) spans: Arc<[Span]>,
    /// Query heads.
    pub(super) heads: usize,
    /// Key and value heads.
    pub(super) kv_heads: usize,
    /// The width of a head.
    pub(super) width: usize,
}

impl CacheSpans {
    /// Sequences of a batch, in the order of their tokens. `heads` are the numbers of query heads and
    /// of key heads.
    pub fn new(spans: Vec<Span>, [heads, kv_heads]: [usize; 2], width: usize) -> Self {
        let spans = spans.into_iter().filter(|span| span.new > 0).collect();
        Self { spans, heads, kv_heads, width }
    }

    /// New tokens of all sequences.
    pub(super) fn tokens(&self) -> usize {
        self.spans.iter().map(|span| span.new).sum()
    }

    /// Query heads that share a key head.
    pub(super) fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Numbers of a slot: its keys, then its values.
    pub(super) fn columns(&self) -> usize {
        2 * self.kv_heads * self.width
    }
}

/// Adds keys and values to a cache, and lets each new token attend to its sequence up to itself:
/// `softmax(q Kᵀ / sqrt(width)) V` by head.
///
/// Queries are `[tokens, heads * width]`, keys and values `[tokens, kv_heads * width]`, the cache
/// `[slots, 2 * kv_heads * width]`. Gives the mixed values, as the queries, and the cache, which is
/// changed in place where it has no other owner. No gradient passes. The result of a token with a
/// score that is not finite is NaN.
///
/// # Errors
/// Fails if shapes or devices do not fit, or the cache lacks a page of a sequence.
pub fn cached_attention(
    [queries, keys, values]: [Tensor<2>; 3],
    cache: Tensor<2>,
    spans: &CacheSpans,
) -> Result<(Tensor<2>, Tensor<2>)> {
    check([&queries, &keys, &values], &cache, spans)?;
    if spans.tokens() == 0 {
        return Ok((queries, cache));
    }
    let [queries, keys, values] = [queries, keys, values].map(Tensor::into_dispatch);
    let cache = cache.into_dispatch();
    let (mixed, cache) = Dispatch::cached_attention(queries, keys, values, cache, spans.clone());
    Ok((Tensor::from_dispatch(mixed), Tensor::from_dispatch(cache)))
}

fn check(
    [queries, keys, values]: [&Tensor<2>; 3],
    cache: &Tensor<2>,
    spans: &CacheSpans,
) -> Result<()> {
    let narrow = spans.kv_heads * spans.width;
    let tokens = spans.tokens();
    for (name, tensor, columns) in [
        ("queries", queries, spans.heads * spans.width),
        ("keys", keys, narrow),
        ("values", values, narrow),
        ("cache", cache, spans.columns()),
    ] {
        let rows = if name == "cache" { cache.dims()[0] } else { tokens };
        shapes::matrix(name, tensor, rows)?;
        shapes::same_device(name, tensor, queries)?;
        if tensor.dims()[1] != columns {
            let message = format!("has {} columns, expected {columns}", tensor.dims()[1]);
            return Err(Error::input(name, message));
        }
    }
    let slots = cache.dims()[0];
    for (index, span) in spans.spans.iter().enumerate() {
        let held = span.pages.iter().all(|&page| (page as usize + 1) * PAGE <= slots);
        if !held || span.pages.len() * PAGE < span.total() {
            let message = format!("has pages that do not hold its {} tokens", span.total());
            return Err(Error::input(format!("spans[{index}]"), message));
        }
    }
    Ok(())
}
