//! Attention of new tokens over a cache of keys and values, each sequence in place.
//!
//! One token's few queries go key by key and page by page, with the numbers of a head side by side. Many
//! queries go 16 at a time, side by side. Either way the order of additions of a query depends on its own sequence
//! only, not on the batch.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{DType, Shape, TensorData};

use super::lanes;
use super::vectors::widest;
use crate::kernels::cached_attention::{CacheSpans, PAGE, Span};
use crate::kernels::portable;
use crate::parallel::par_each;

/// Numbers side by side.
const LANES: usize = 16;

/// New tokens of a sequence that one thread works on at a time.
const BLOCK: usize = 32;

/// Queries from which they are laid side by side.
const MANY: usize = 8;

/// Keys that are multiplied by one load of the queries, and value columns by one of the weights.
const KEYS: usize = 4;
const COLUMNS: usize = 8;

pub(in crate::kernels) fn cached_attention<B: Backend>(
    inputs: [FloatTensor<B>; 3],
    cache: FloatTensor<B>,
    spans: &CacheSpans,
) -> (FloatTensor<B>, FloatTensor<B>) {
    if inputs.iter().chain([&cache]).any(|tensor| tensor.dtype() != DType::F32) {
        return portable::cached_attention::<B>(inputs, cache, spans);
    }
    let device = cache.device();
    let [queries, keys, values] = inputs.map(floats::<B>);
    // Without another owner, the cache's memory is taken and given back.
    let mut cache = floats::<B>(cache);
    let cells = cache.as_mut_slice().expect("the cache holds 32-bit floats");
    append(slice(&keys), slice(&values), cells, spans);
    let mixed = attend(slice(&queries), cells, spans);
    let shape = Shape::from([spans.tokens(), spans.heads * spans.width]);
    let mixed = B::float_from_data(TensorData::new(mixed, shape), &device);
    (mixed, B::float_from_data(cache, &device))
}

fn floats<B: Backend>(tensor: FloatTensor<B>) -> TensorData {
    pollster::block_on(B::float_into_data(tensor)).expect("memory of the CPU can be read")
}

fn slice(data: &TensorData) -> &[f32] {
    data.as_slice().expect("the tensors hold 32-bit floats")
}

/// Writes keys and values of the new tokens.
fn append(keys: &[f32], values: &[f32], cells: &mut [f32], spans: &CacheSpans) {
    let half = spans.kv_heads * spans.width;
    let mut rows = keys.chunks_exact(half).zip(values.chunks_exact(half));
    for span in spans.spans.iter() {
        for (token, (keys, values)) in (span.before..span.total()).zip(&mut rows) {
            let cell = &mut cells[span.slot(token) * 2 * half..][..2 * half];
            cell[..half].copy_from_slice(keys);
            cell[half..].copy_from_slice(values);
        }
    }
}

/// Some new tokens of one sequence.
struct Block<'a> {
    span: &'a Span,
    /// The first token's place in the sequence.
    first: usize,
    /// Their queries, `[tokens, heads * width]`, and their results.
    queries: &'a [f32],
    mixed: &'a mut [f32],
}

fn attend(queries: &[f32], cells: &[f32], spans: &CacheSpans) -> Vec<f32> {
    let row = spans.heads * spans.width;
    let mut mixed = vec![0.0; queries.len()];
    let mut blocks = Vec::new();
    let (mut queries, mut rest) = (queries, mixed.as_mut_slice());
    for span in spans.spans.iter() {
        for first in (span.before..span.total()).step_by(BLOCK) {
            let size = BLOCK.min(span.total() - first) * row;
            let (own, others) = queries.split_at(size);
            let (place, places) = std::mem::take(&mut rest).split_at_mut(size);
            blocks.push(Block { span, first, queries: own, mixed: place });
            (queries, rest) = (others, places);
        }
    }
    let tokens = spans.tokens().max(1);
    let is_decoding = tokens == spans.spans.len();
    par_each(blocks, if is_decoding { 4 } else { 1 }, |block| {
        widest(
            #[inline(always)]
            || attend_block(block, cells, spans),
        );
    });
    mixed
}

#[inline(always)]
fn attend_block(block: Block, cells: &[f32], spans: &CacheSpans) {
    let row = spans.heads * spans.width;
    let tokens = block.queries.len() / row;
    let mut scratch = Vec::new();
    if tokens * spans.group() >= MANY {
        for head in 0..spans.kv_heads {
            let view = Head { cells, span: block.span, spans, head };
            let lanes: Vec<[usize; 2]> = (0..tokens)
                .flat_map(|token| (0..spans.group()).map(move |member| [token, member]))
                .collect();
            for tile in lanes.chunks(LANES) {
                view.many(tile, block.queries, block.first, block.mixed, &mut scratch);
            }
        }
        return;
    }
    let tokens = block.queries.chunks_exact(row).zip(block.mixed.chunks_exact_mut(row));
    for (at, (queries, mixed)) in tokens.enumerate() {
        let token = Token { cells, span: block.span, spans, keys: block.first + at + 1 };
        token.attend(queries, mixed, &mut scratch);
    }
}

/// One token and the keys and values that it sees. They are read page by page, as they lie in memory.
struct Token<'a> {
    cells: &'a [f32],
    span: &'a Span,
    spans: &'a CacheSpans,
    keys: usize,
}

impl Token<'_> {
    /// Attention of the token's queries, `[heads * width]`.
    #[inline(always)]
    fn attend(&self, queries: &[f32], mixed: &mut [f32], scores: &mut Vec<f32>) {
        let (keys, width) = (self.keys, self.spans.width);
        scores.clear();
        scores.resize(self.spans.heads * keys, 0.0);
        for first in (0..keys).step_by(PAGE) {
            self.each_tile(first, queries, scores, mixed, true);
        }
        for (scores, mixed) in scores.chunks_exact_mut(keys).zip(mixed.chunks_exact_mut(width)) {
            let share = 1.0 / exponentials(scores);
            for score in scores {
                *score *= share;
            }
            mixed.fill(0.0);
        }
        for first in (0..keys).step_by(PAGE) {
            self.each_tile(first, queries, scores, mixed, false);
        }
    }

    /// The scores of a page, or what its values add, for up to four queries of one key head at a time.
    #[inline(always)]
    fn each_tile(
        &self,
        first: usize,
        queries: &[f32],
        scores: &mut [f32],
        mixed: &mut [f32],
        is_scoring: bool,
    ) {
        let (keys, width, columns) = (self.keys, self.spans.width, self.spans.columns());
        let start = self.span.slot(first) * columns;
        let page = &self.cells[start..start + PAGE.min(keys - first) * columns];
        for head in 0..self.spans.kv_heads {
            let group = self.spans.group();
            let mut query = head * group;
            while query < (head + 1) * group {
                let scores = &mut scores[query * keys..];
                let (own, mixed) = (&queries[query * width..], &mut mixed[query * width..]);
                let place = Place { first, keys, width, columns, column: head * width };
                // Compilers make little of three at a time.
                query += match (head + 1) * group - query {
                    1 => place.tile::<1>(page, own, scores, mixed, is_scoring),
                    2 | 3 => place.tile::<2>(page, own, scores, mixed, is_scoring),
                    _ => place.tile::<4>(page, own, scores, mixed, is_scoring),
                };
            }
        }
    }
}

/// A head within a page, and the page within the keys.
struct Place {
    first: usize,
    keys: usize,
    width: usize,
    columns: usize,
    column: usize,
}

impl Place {
    /// The work of `N` queries on a page. Gives `N`.
    #[inline(always)]
    fn tile<const N: usize>(
        &self,
        page: &[f32],
        queries: &[f32],
        scores: &mut [f32],
        mixed: &mut [f32],
        is_scoring: bool,
    ) -> usize {
        match is_scoring {
            true => self.score::<N>(page, queries, scores),
            false => self.mix::<N>(page, scores, mixed),
        }
        N
    }

    #[inline(always)]
    fn score<const N: usize>(&self, page: &[f32], queries: &[f32], scores: &mut [f32]) {
        let scale = (self.width as f32).powf(-0.5);
        let mut own: [&[f32]; N] = [&[]; N];
        for n in 0..N {
            own[n] = &queries[n * self.width..][..self.width];
        }
        for (at, cell) in page.chunks_exact(self.columns).enumerate() {
            let products = dots(own, &cell[self.column..][..self.width]);
            for n in 0..N {
                scores[n * self.keys + self.first + at] = products[n] * scale;
            }
        }
    }

    #[inline(always)]
    fn mix<const N: usize>(&self, page: &[f32], scores: &[f32], mixed: &mut [f32]) {
        let count = page.len() / self.columns;
        let column = self.columns / 2 + self.column;
        let mut weights = [[0f32; PAGE]; N];
        for n in 0..N {
            let own = &scores[n * self.keys + self.first..][..count];
            weights[n][..count].copy_from_slice(own);
        }
        let whole = self.width - self.width % LANES;
        for start in (0..whole).step_by(LANES) {
            let mut sums = [[0f32; LANES]; N];
            for n in 0..N {
                sums[n].copy_from_slice(&mixed[n * self.width + start..][..LANES]);
            }
            for (at, cell) in page.chunks_exact(self.columns).enumerate() {
                let value: &[f32; LANES] =
                    cell[column + start..][..LANES].try_into().expect("16 numbers");
                for n in 0..N {
                    for lane in 0..LANES {
                        sums[n][lane] += weights[n][at] * value[lane];
                    }
                }
            }
            for n in 0..N {
                mixed[n * self.width + start..][..LANES].copy_from_slice(&sums[n]);
            }
        }
        for (at, cell) in page.chunks_exact(self.columns).enumerate() {
            for n in 0..N {
                for place in whole..self.width {
                    mixed[n * self.width + place] += weights[n][at] * cell[column + place];
                }
            }
        }
    }
}

/// The keys and values of one head of a sequence.
struct Head<'a> {
    cells: &'a [f32],
    span: &'a Span,
    spans: &'a CacheSpans,
    head: usize,
}

impl Head<'_> {
    /// Where a query of a new token begins among the queries.
    #[inline(always)]
    fn offset(&self, token: usize, member: usize) -> usize {
        let CacheSpans { heads, width, .. } = *self.spans;
        (token * heads + self.head * self.spans.group() + member) * width
    }

    /// Calls `work` with each of the first values.
    #[inline(always)]
    fn each(&self, count: usize, mut work: impl FnMut(usize, &[f32])) {
        let (columns, width) = (self.spans.columns(), self.spans.width);
        let within = self.head * width + columns / 2;
        for (page, first) in self.span.pages.iter().zip((0..count).step_by(PAGE)) {
            let page = &self.cells[*page as usize * PAGE * columns..][..PAGE * columns];
            for token in first..count.min(first + PAGE) {
                work(token, &page[(token - first) * columns + within..][..width]);
            }
        }
    }

    /// Attention of up to 16 queries, each given by its token and its place in the group.
    #[inline(always)]
    fn many(
        &self,
        tile: &[[usize; 2]],
        queries: &[f32],
        first: usize,
        mixed: &mut [f32],
        scratch: &mut Vec<f32>,
    ) {
        let width = self.spans.width;
        let scale = (width as f32).powf(-0.5);
        // Unused lanes repeat the last query.
        let of = |lane: usize| tile[lane.min(tile.len() - 1)];
        let last: [usize; LANES] = std::array::from_fn(|lane| first + of(lane)[0]);
        let keys = last[LANES - 1] + 1;
        scratch.clear();
        scratch.resize((width + keys.next_multiple_of(KEYS)) * LANES, 0.0);
        let (packed, scores) = scratch.as_chunks_mut::<LANES>().0.split_at_mut(width);
        for lane in 0..LANES {
            let [token, member] = of(lane);
            let query = &queries[self.offset(token, member)..][..width];
            for (place, &number) in packed.iter_mut().zip(query) {
                place[lane] = number * scale;
            }
        }
        self.products(packed, keys, scores);
        let mut greatest = [f32::MIN; LANES];
        let mut poison = [0f32; LANES];
        for (token, scores) in scores[..keys].iter_mut().enumerate() {
            for lane in 0..LANES {
                let is_past = token <= last[lane];
                let score = if is_past { scores[lane] } else { f32::MIN };
                poison[lane] += score * 0.0;
                scores[lane] = score;
                greatest[lane] = if score > greatest[lane] { score } else { greatest[lane] };
            }
        }
        let mut totals = poison;
        for (token, scores) in scores[..keys].iter_mut().enumerate() {
            for lane in 0..LANES {
                let weight = lanes::exp(scores[lane] - greatest[lane]);
                scores[lane] = if token <= last[lane] { weight } else { 0.0 };
                totals[lane] += scores[lane];
            }
        }
        let shares = totals.map(|total| 1.0 / total);
        for column in (0..width).step_by(COLUMNS) {
            let sums = self.mixture(&scores[..keys], column);
            for (lane, &[token, member]) in tile.iter().enumerate() {
                let at = self.offset(token, member);
                let place = &mut mixed[at + column..at + width.min(column + COLUMNS)];
                for (place, sums) in place.iter_mut().zip(&sums) {
                    *place = sums[lane] * shares[lane];
                }
            }
        }
    }

    /// Products of 16 queries side by side with each key.
    #[inline(always)]
    fn products(&self, queries: &[[f32; LANES]], keys: usize, scores: &mut [[f32; LANES]]) {
        let (columns, width) = (self.spans.columns(), self.spans.width);
        for (block, scores) in scores.as_chunks_mut::<KEYS>().0.iter_mut().enumerate() {
            // A page holds whole blocks. Keys past the last one are not used.
            let slot = self.span.slot((block * KEYS).min(keys - 1));
            let mut block: [&[f32]; KEYS] = [&[]; KEYS];
            for (key, place) in block.iter_mut().enumerate() {
                *place = &self.cells[(slot + key) * columns + self.head * width..][..width];
            }
            let mut sums = [[0f32; LANES]; KEYS];
            for (column, query) in queries.iter().enumerate() {
                for (sums, key) in sums.iter_mut().zip(&block) {
                    let number = key[column];
                    for lane in 0..LANES {
                        sums[lane] += number * query[lane];
                    }
                }
            }
            *scores = sums;
        }
    }

    /// Sums of some columns of the values, with 16 weights side by side for each token.
    #[inline(always)]
    fn mixture(&self, weights: &[[f32; LANES]], column: usize) -> [[f32; LANES]; COLUMNS] {
        let mut sums = [[0f32; LANES]; COLUMNS];
        let rest = COLUMNS.min(self.spans.width - column);
        if rest < COLUMNS {
            self.each(
                weights.len(),
                #[inline(always)]
                |token, value| {
                    for (sums, &number) in sums.iter_mut().zip(&value[column..]) {
                        for lane in 0..LANES {
                            sums[lane] += number * weights[token][lane];
                        }
                    }
                },
            );
            return sums;
        }
        self.each(
            weights.len(),
            #[inline(always)]
            |token, value| {
                let value: &[f32; COLUMNS] =
                    value[column..][..COLUMNS].try_into().expect("8 numbers");
                let weights = &weights[token];
                for place in 0..COLUMNS {
                    for lane in 0..LANES {
                        sums[place][lane] += value[place] * weights[lane];
                    }
                }
            },
        );
        sums
    }
}

/// Products of queries with a key.
#[inline(always)]
fn dots<const N: usize>(queries: [&[f32]; N], key: &[f32]) -> [f32; N] {
    let mut sums = [[0f32; LANES]; N];
    let (chunks, rest) = key.as_chunks::<LANES>();
    for (at, key) in chunks.iter().enumerate() {
        for n in 0..N {
            let query: &[f32; LANES] =
                queries[n][at * LANES..][..LANES].try_into().expect("16 numbers");
            for lane in 0..LANES {
                sums[n][lane] += query[lane] * key[lane];
            }
        }
    }
    let tail = chunks.len() * LANES;
    let mut products = [0f32; N];
    for n in 0..N {
        let sums = &sums[n];
        // Written out, compilers add the halves as vectors.
        let mut eight = [0f32; 8];
        for lane in 0..8 {
            eight[lane] = sums[lane] + sums[lane + 8];
        }
        let four =
            [eight[0] + eight[4], eight[1] + eight[5], eight[2] + eight[6], eight[3] + eight[7]];
        products[n] = (four[0] + four[2]) + (four[1] + four[3]);
        for (key, query) in rest.iter().zip(&queries[n][tail..]) {
            products[n] += key * query;
        }
    }
    products
}

/// Replaces scores by `exp(score − greatest)` and gives their sum: NaN if a score is not finite.
#[inline(always)]
fn exponentials(scores: &mut [f32]) -> f32 {
    let greatest = lanes::greatest(scores);
    let mut sums = [0f32; LANES];
    let (chunks, rest) = scores.as_chunks_mut::<LANES>();
    for scores in chunks {
        for lane in 0..LANES {
            let poison = scores[lane] * 0.0;
            scores[lane] = lanes::exp(scores[lane] - greatest);
            sums[lane] += scores[lane] + poison;
        }
    }
    for (score, sum) in rest.iter_mut().zip(&mut sums) {
        let poison = *score * 0.0;
        *score = lanes::exp(*score - greatest);
        *sum += *score + poison;
    }
    sums.iter().sum()
}
