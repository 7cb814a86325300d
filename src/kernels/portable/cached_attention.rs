//! Attention of new tokens over a cache of keys and values: sequences are padded to the longest.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Slice, TensorMetadata};
use burn::tensor::{DType, IndexingUpdateOp, Shape, TensorData};

use crate::kernels::cached_attention::CacheSpans;

/// Scores of a window of new tokens, unless those of a single token a sequence are more.
const SCORES: usize = 1 << 22;

/// Below every score. Not infinite, so that a padded query is not NaN.
const LOWEST: f32 = -1e30;

pub(in crate::kernels) fn cached_attention<B: Backend>(
    [queries, keys, values]: [FloatTensor<B>; 3],
    cache: FloatTensor<B>,
    spans: &CacheSpans,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let device = cache.device();
    let integers = |values: Vec<usize>| {
        let count = values.len();
        let values: Vec<i32> = values.into_iter().map(|value| value as i32).collect();
        B::int_from_data(TensorData::new(values, [count]), &device)
    };
    let slots = spans
        .spans
        .iter()
        .flat_map(|span| (span.before..span.total()).map(|token| span.slot(token)));
    let added = B::float_cat(vec![keys, values], 1);
    let slots = integers(slots.collect());
    let cache = B::float_select_assign(cache, 0, slots, added, IndexingUpdateOp::Assign);

    let rows = spans.spans.len();
    let longest = spans.spans.iter().map(|span| span.total()).max().unwrap_or(0);
    let slots = spans.spans.iter().flat_map(|span| {
        // Padding repeats the last token; no query sees it.
        (0..longest).map(|token| span.slot(token.min(span.total() - 1)))
    });
    let cells = B::float_select(cache.clone(), 0, integers(slots.collect()));
    let (kv_heads, width) = (spans.kv_heads, spans.width);
    let by_head = |first: usize| {
        let half = kv_heads * width;
        let part = [Slice::from(0..rows * longest), Slice::from(first..first + half)];
        let part = B::float_slice(cells.clone(), &part);
        let part = B::float_reshape(part, Shape::from([rows, longest, kv_heads, width]));
        B::float_swap_dims(part, 1, 2)
    };
    let keys = B::float_transpose(by_head(0));
    let values = by_head(kv_heads * width);

    let most = spans.spans.iter().map(|span| span.new).max().unwrap_or(0);
    let size = (SCORES / (rows * spans.heads * longest).max(1)).clamp(1, most.max(1));
    let mut parts = Vec::new();
    for first in (0..most).step_by(size) {
        let window = Window { spans, first, size: size.min(most - first), longest };
        let own = B::float_select(queries.clone(), 0, integers(window.tokens()));
        parts.push(window.attend::<B>(own, keys.clone(), values.clone()));
    }
    let places = integers(places(spans, size, most));
    (B::float_select(B::float_cat(parts, 0), 0, places), cache)
}

/// Where each new token's result lies among the windows' padded ones.
fn places(spans: &CacheSpans, size: usize, most: usize) -> Vec<usize> {
    let rows = spans.spans.len();
    let of = |(row, new): (usize, usize)| {
        let first = new / size * size;
        first * rows + row * size.min(most - first) + new - first
    };
    let spans = spans.spans.iter().enumerate();
    spans.flat_map(|(row, span)| (0..span.new).map(move |new| (row, new))).map(of).collect()
}

/// A window of each sequence's new tokens.
struct Window<'a> {
    spans: &'a CacheSpans,
    first: usize,
    size: usize,
    longest: usize,
}

impl Window<'_> {
    /// The places of its tokens in the batch, `[rows * size]`. Padding repeats a sequence's last.
    fn tokens(&self) -> Vec<usize> {
        let mut start = 0;
        let mut tokens = Vec::new();
        for span in self.spans.spans.iter() {
            let of = |new: usize| start + new.min(span.new - 1);
            tokens.extend((self.first..self.first + self.size).map(of));
            start += span.new;
        }
        tokens
    }

    /// What is added to the scores: `[rows, 1, size, longest]`.
    fn bias(&self) -> Vec<f32> {
        let mut bias = Vec::new();
        for span in self.spans.spans.iter() {
            for new in self.first..self.first + self.size {
                let last = span.before + new.min(span.new - 1);
                bias.extend((0..self.longest).map(|key| if key > last { LOWEST } else { 0.0 }));
            }
        }
        bias
    }

    /// The mixed values, `[rows * size, heads * width]`, of queries of the same shape.
    fn attend<B: Backend>(
        &self,
        queries: FloatTensor<B>,
        keys: FloatTensor<B>,
        values: FloatTensor<B>,
    ) -> FloatTensor<B> {
        let CacheSpans { heads, kv_heads, width, .. } = *self.spans;
        let (rows, group) = (self.spans.spans.len(), self.spans.group());
        let shaped = |tensor, shape: [usize; 4]| B::float_reshape(tensor, Shape::from(shape));
        let device = queries.device();
        let dtype = queries.dtype();
        let queries = shaped(queries, [rows, self.size, heads, width]);
        // Query heads that share a key head become rows of one product, so no key is repeated.
        let queries = B::float_swap_dims(queries, 1, 2);
        let queries = B::float_mul_scalar(queries, (width as f32).powf(-0.5).into());
        let queries = shaped(queries, [rows, kv_heads, group * self.size, width]);
        let scores = B::float_matmul(queries, keys);
        let scores = shaped(scores, [rows, heads, self.size, self.longest]);
        let bias = TensorData::new(self.bias(), [rows, 1, self.size, self.longest]);
        let bias = B::float_from_data(bias, &device);
        let bias = if dtype == DType::F32 { bias } else { B::float_cast(bias, dtype.into()) };
        let scores = B::float_add(scores, bias);
        let greatest = B::float_max_dim(scores.clone(), 3);
        let weights = B::float_exp(B::float_sub(scores, greatest));
        let weights = B::float_div(weights.clone(), B::float_sum_dim(weights, 3));
        let weights = shaped(weights, [rows, kv_heads, group * self.size, self.longest]);
        let mixed = B::float_matmul(weights, values);
        let mixed = B::float_swap_dims(shaped(mixed, [rows, heads, self.size, width]), 1, 2);
        B::float_reshape(mixed, Shape::from([rows * self.size, heads * width]))
    }
}
