//! Proximity and its gradients by blocks of rows.
//!
//! A block of rows is multiplied with the range of rows that its groups span, never with all rows:
//! work is `O(rows · group)` and memory `O(group)` a thread. Products are the backend's own, sums over
//! surroundings run in 64 bits.

use std::ops::Range;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Slice};

use super::lanes;
use super::tensors::{numbers, taken, tensor};
use super::units::Units;
use crate::kernels::parameters::{Neighbourhood, Span};

/// Rows of small groups that are multiplied at once, each with those of the other groups too.
const BLOCK: usize = 64;

/// Pairs of a larger group that are made at once, unless it takes fewer than `BLOCK` rows.
const PAIRS: usize = 1 << 18;

/// The inputs of the gradients.
pub(in crate::kernels) struct GradientInputs<'a, B: Backend> {
    pub embeddings: &'a FloatTensor<B>,
    pub values: &'a FloatTensor<B>,
    pub means: &'a FloatTensor<B>,
    pub state: &'a FloatTensor<B>,
    pub gradient: &'a FloatTensor<B>,
}

/// Some rows, and the range of their neighbours.
struct Block {
    rows: Range<usize>,
    others: Range<usize>,
}

/// Pieces of large groups, and small groups together.
fn blocks(spans: &[Span]) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut first = 0;
    while first < spans.len() {
        let group = first..spans[first].end as usize;
        match blocks.last_mut() {
            Some(last) if group.end - last.others.start <= BLOCK => {
                last.rows.end = group.end;
                last.others.end = group.end;
            }
            _ => {
                let most = (PAIRS / group.len().max(1)).max(BLOCK);
                let piece = group.len().div_ceil(group.len().div_ceil(most));
                blocks.extend(group.clone().step_by(piece).map(|row| Block {
                    rows: row..group.end.min(row + piece),
                    others: group.clone(),
                }));
            }
        }
        first = group.end;
    }
    blocks
}

/// Works on blocks in parallel, and returns the results in order.
fn per_block<T: Send>(blocks: &[Block], work: impl Fn(&Block) -> T + Send + Sync) -> Vec<T> {
    #[cfg(feature = "parallel")]
    {
        use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
        blocks.par_iter().map(work).collect()
    }
    #[cfg(not(feature = "parallel"))]
    {
        blocks.iter().map(work).collect()
    }
}

/// `a[rows] · b[others]ᵀ`, row after row.
fn products<B: Backend>(a: &FloatTensor<B>, b: &FloatTensor<B>, block: &Block) -> Option<Vec<f32>> {
    let b = B::float_transpose(rows::<B>(b, &block.others));
    taken::<B>(B::float_matmul(rows::<B>(a, &block.rows), b))
}

/// `tile · b[others]`, row after row.
fn mixed<B: Backend>(tile: Vec<f32>, b: &FloatTensor<B>, block: &Block) -> Option<Vec<f32>> {
    let tile = tensor::<B, 2>(tile, [block.rows.len(), block.others.len()], b);
    taken::<B>(B::float_matmul(tile, rows::<B>(b, &block.others)))
}

fn rows<B: Backend>(tensor: &FloatTensor<B>, rows: &Range<usize>) -> FloatTensor<B> {
    use burn::backend::TensorMetadata;
    let columns = tensor.shape()[1];
    B::float_slice(tensor.clone(), &[rows.clone().into(), Slice::from(0..columns)])
}

/// The two runs of a row's neighbours, counted from `first`.
fn reach(span: &Span, first: usize) -> [Range<usize>; 2] {
    let at = |row: u32| row as usize - first;
    let [from, to] = span.hole;
    [at(span.begin)..at(from), at(to)..at(span.end)]
}

/// Sums over a row's neighbours.
#[derive(Clone, Copy, Default)]
struct Sums {
    nearest: f32,
    total: f64,
    squares: f64,
    non_finite: bool,
}

/// Turns a row of cosines into weights, in place.
fn weigh(
    cosines: &mut [f32],
    reach: &[Range<usize>; 2],
    non_finite: &[bool],
    temperature: f32,
) -> Sums {
    let mut sums = Sums { nearest: f32::NEG_INFINITY, ..Sums::default() };
    for range in reach.clone() {
        sums.non_finite |= non_finite[range.clone()].contains(&true);
        sums.nearest = sums.nearest.max(lanes::greatest(&cosines[range]));
    }
    let inverse = temperature.recip();
    for range in reach.clone() {
        let weights = &mut cosines[range];
        for weight in &mut *weights {
            *weight = lanes::exp((*weight - sums.nearest) * inverse);
        }
        sums.total += lanes::sum(weights);
        sums.squares += lanes::dot(weights, weights);
    }
    sums
}

/// The results of one block.
struct BlockResult {
    means: Vec<f32>,
    neighbours: Vec<f32>,
    state: Vec<f32>,
}

/// The operation; `None` if the numbers are not 32 bits wide.
pub(in crate::kernels) fn proximity<B: Backend>(
    embeddings: &FloatTensor<B>,
    values: &FloatTensor<B>,
    neighbourhood: &Neighbourhood,
) -> Option<(FloatTensor<B>, FloatTensor<B>, FloatTensor<B>)> {
    let spans = neighbourhood.spans();
    let given = numbers::<B>(embeddings)?;
    let width = given.shape()[1];
    let units = Units::of(given.as_slice().ok()?, width);
    let unit = tensor::<B, 2>(units.values, [spans.len(), width], embeddings);
    let given = numbers::<B>(values)?;
    let columns = given.shape()[1];
    let plain = given.as_slice::<f32>().ok()?;
    let both = units.non_finite.iter().zip(plain.chunks_exact(columns));
    let non_finite: Vec<bool> =
        both.map(|(&non_finite, row)| non_finite || is_non_finite(row)).collect();

    let results = per_block(&blocks(&spans), |block| {
        let mut tile = products::<B>(&unit, &unit, block)?;
        let mut result = BlockResult::with_capacity(block.rows.len(), columns);
        for (row, weights) in block.rows.clone().zip(tile.chunks_exact_mut(block.others.len())) {
            let reach = reach(&spans[row], block.others.start);
            let sums = weigh(
                weights,
                &reach,
                &non_finite[block.others.clone()],
                neighbourhood.temperature,
            );
            let sums = Sums { non_finite: sums.non_finite || non_finite[row], ..sums };
            let own = &plain[row * columns..(row + 1) * columns];
            let others = &plain[block.others.start * columns..];
            result.push(&sums, own, |means| mean(weights, &reach, others, means));
        }
        Some(result)
    });
    let results: Vec<BlockResult> = results.into_iter().collect::<Option<_>>()?;
    let (mut means, mut neighbours, mut state) = (Vec::new(), Vec::new(), Vec::new());
    for result in results {
        means.extend(result.means);
        neighbours.extend(result.neighbours);
        state.extend(result.state);
    }
    Some((
        tensor::<B, 2>(means, [spans.len(), columns], values),
        tensor::<B, 1>(neighbours, [spans.len()], values),
        tensor::<B, 2>(state, [spans.len(), 2], values),
    ))
}

impl BlockResult {
    fn with_capacity(rows: usize, columns: usize) -> Self {
        Self {
            means: Vec::with_capacity(rows * columns),
            neighbours: Vec::with_capacity(rows),
            state: Vec::with_capacity(2 * rows),
        }
    }

    /// Appends a row. `sum` adds up its weighted values.
    fn push(&mut self, sums: &Sums, own: &[f32], sum: impl FnOnce(&mut [f64])) {
        if sums.non_finite {
            self.means.extend(own.iter().map(|_| f32::NAN));
            self.neighbours.push(f32::NAN);
            self.state.extend([0.0, -1.0]);
        } else if sums.total == 0.0 {
            self.means.extend(own);
            self.neighbours.push(0.0);
            self.state.extend([0.0, 0.0]);
        } else {
            let mut means = vec![0.0; own.len()];
            sum(&mut means);
            self.means.extend(means.iter().map(|mean| (mean / sums.total) as f32));
            self.neighbours.push((sums.total * sums.total / sums.squares) as f32);
            self.state.extend([sums.nearest, (1.0 / sums.total) as f32]);
        }
    }
}

/// `Σ_j w_j v_j`, column by column.
fn mean(weights: &[f32], reach: &[Range<usize>; 2], values: &[f32], sums: &mut [f64]) {
    let columns = sums.len();
    for range in reach.clone() {
        if columns == 1 {
            sums[0] += lanes::dot(&weights[range.clone()], &values[range]);
            continue;
        }
        let values = values[range.start * columns..range.end * columns].chunks_exact(columns);
        for (&weight, values) in weights[range].iter().zip(values) {
            for (sum, &value) in sums.iter_mut().zip(values) {
                *sum += f64::from(weight) * f64::from(value);
            }
        }
    }
}

fn is_non_finite(row: &[f32]) -> bool {
    row.iter().any(|value| !value.is_finite())
}

/// Each row's terms in the gradients.
struct RowTerms {
    nearest: Vec<f32>,
    /// 1 / the sum of weights; 0 for a row without neighbours and for a non-finite one.
    inverse: Vec<f32>,
    /// `Σ_c g_c b_c`, the gradient along the row's own means.
    expected: Vec<f32>,
    non_finite: Vec<bool>,
}

impl RowTerms {
    fn of(state: &[f32], means: &[f32], gradient: &[f32], columns: usize) -> Self {
        let rows = state.len() / 2;
        let mut terms = Self {
            nearest: vec![0.0; rows],
            inverse: vec![0.0; rows],
            expected: vec![0.0; rows],
            non_finite: vec![true; rows],
        };
        let products = means.chunks_exact(columns).zip(gradient.chunks_exact(columns));
        for (row, (state, (mean, gradient))) in state.chunks_exact(2).zip(products).enumerate() {
            let product = mean.iter().zip(gradient).map(|(&b, &g)| f64::from(b) * f64::from(g));
            let expected = product.sum::<f64>() as f32;
            if state[1] >= 0.0 && expected.is_finite() && !is_non_finite(gradient) {
                terms.nearest[row] = state[0];
                terms.inverse[row] = state[1];
                terms.expected[row] = expected;
                terms.non_finite[row] = false;
            }
        }
        terms
    }

    /// The tensor with zeros in its non-finite rows.
    fn zeroed<B: Backend>(&self, like: &FloatTensor<B>, columns: usize) -> Option<FloatTensor<B>> {
        let mut values: Vec<f32> = numbers::<B>(like)?.try_into_vec().ok()?;
        for (row, _) in values.chunks_exact_mut(columns).zip(&self.non_finite).filter(|row| *row.1)
        {
            row.fill(0.0);
        }
        Some(tensor::<B, 2>(values, [self.non_finite.len(), columns], like))
    }
}

/// The gradients; `None` if the numbers are not 32 bits wide.
pub(in crate::kernels) fn proximity_gradients<B: Backend>(
    given: &GradientInputs<B>,
    neighbourhood: &Neighbourhood,
) -> Option<(FloatTensor<B>, FloatTensor<B>)> {
    let spans = neighbourhood.spans();
    let embeddings = numbers::<B>(given.embeddings)?;
    let width = embeddings.shape()[1];
    let Units { values: unit, scales, .. } = Units::of(embeddings.as_slice().ok()?, width);
    let gradient = numbers::<B>(given.gradient)?;
    let columns = gradient.shape()[1];
    let (state, means) = (numbers::<B>(given.state)?, numbers::<B>(given.means)?);
    let terms = RowTerms::of(
        state.as_slice().ok()?,
        means.as_slice().ok()?,
        gradient.as_slice().ok()?,
        columns,
    );
    let step: Step<B> = Step {
        units: tensor::<B, 2>(unit.clone(), [spans.len(), width], given.embeddings),
        values: terms.zeroed::<B>(given.values, columns)?,
        gradient: terms.zeroed::<B>(given.gradient, columns)?,
        unit,
        scales,
        terms,
        spans: &spans,
        temperature: neighbourhood.temperature,
    };
    let results = per_block(&blocks(&spans), |block| step.block(block));
    let (mut to_embeddings, mut to_values) = (Vec::new(), Vec::new());
    for result in results {
        let (embeddings, values) = result?;
        to_embeddings.extend(embeddings);
        to_values.extend(values);
    }
    Some((
        tensor::<B, 2>(to_embeddings, [spans.len(), width], given.embeddings),
        tensor::<B, 2>(to_values, [spans.len(), columns], given.values),
    ))
}

/// The inputs that all blocks share.
struct Step<'a, B: Backend> {
    units: FloatTensor<B>,
    values: FloatTensor<B>,
    gradient: FloatTensor<B>,
    unit: Vec<f32>,
    scales: Vec<f64>,
    terms: RowTerms,
    spans: &'a [Span],
    temperature: f32,
}

impl<B: Backend> Step<'_, B> {
    /// The gradients of a block's embeddings and values.
    fn block(&self, block: &Block) -> Option<(Vec<f32>, Vec<f32>)> {
        let cosines = products::<B>(&self.units, &self.units, block)?;
        let mut slopes = products::<B>(&self.gradient, &self.values, block)?;
        let mut backward = products::<B>(&self.values, &self.gradient, block)?;
        let wide = block.others.len();
        let tiles = cosines.chunks_exact(wide);
        let tiles = tiles.zip(slopes.chunks_exact_mut(wide).zip(backward.chunks_exact_mut(wide)));
        let mut along = Vec::with_capacity(block.rows.len());
        for (row, (cosines, (slopes, backward))) in block.rows.clone().zip(tiles) {
            along.push(self.row(row, block.others.start, cosines, slopes, backward));
        }
        let mut pulls = mixed::<B>(slopes, &self.units, block)?;
        let mut to_values = mixed::<B>(backward, &self.gradient, block)?;
        let width = self.unit.len() / self.spans.len();
        let columns = to_values.len() / block.rows.len();
        for (at, row) in block.rows.clone().enumerate() {
            let pull = &mut pulls[at * width..(at + 1) * width];
            if self.touches_non_finite(row) {
                pull.fill(f32::NAN);
                to_values[at * columns..(at + 1) * columns].fill(f32::NAN);
                continue;
            }
            // Only a change across an embedding changes a cosine.
            for (pull, &unit) in pull.iter_mut().zip(&self.unit[row * width..]) {
                let across = f64::from(*pull) - along[at] * f64::from(unit);
                *pull = (across * self.scales[row]) as f32;
            }
        }
        Some((pulls, to_values))
    }

    /// Turns a row of `g_i · v_j` into the factors of the other rows in the embedding's gradient, and a
    /// row of `v_i · g_j` into this row's weights for the other rows. Returns the sum of the former
    /// times the cosines.
    fn row(
        &self,
        row: usize,
        first: usize,
        cosines: &[f32],
        slopes: &mut [f32],
        backward: &mut [f32],
    ) -> f64 {
        let RowTerms { nearest, inverse, expected, non_finite } = &self.terms;
        let (own_nearest, own_inverse, own) = (nearest[row], inverse[row], expected[row]);
        let hot = self.temperature.recip();
        let weight = |cosine: f32, nearest: f32, inverse: f32| {
            let behind = cosine - nearest;
            lanes::exp(if behind < 0.0 { behind * hot } else { 0.0 }) * inverse
        };
        let (mut along, mut done) = (0.0, 0);
        let reach = reach(&self.spans[row], first);
        for range in reach {
            slopes[done..range.start].fill(0.0);
            backward[done..range.start].fill(0.0);
            done = range.end;
            let others = first + range.start..first + range.end;
            let others_terms = nearest[others.clone()].iter().zip(&inverse[others.clone()]);
            let others_terms = others_terms.zip(&expected[others]).zip(&cosines[range.clone()]);
            let results = slopes[range.clone()].iter_mut().zip(&mut backward[range.clone()]);
            for ((((&nearest, &inverse), &expected), &cosine), (slope, back)) in
                others_terms.zip(results)
            {
                let there = weight(cosine, own_nearest, own_inverse);
                let here = weight(cosine, nearest, inverse);
                *slope = (there * (*slope - own) + here * (*back - expected)) * hot;
                *back = here;
            }
            along += lanes::dot(&slopes[range.clone()], &cosines[range]);
        }
        slopes[done..].fill(0.0);
        backward[done..].fill(0.0);
        if self.spans[row].is_isolated() && !non_finite[row] {
            backward[row - first] = 1.0;
        }
        along
    }

    fn touches_non_finite(&self, row: usize) -> bool {
        let non_finite = &self.terms.non_finite;
        non_finite[row]
            || reach(&self.spans[row], 0).into_iter().any(|at| non_finite[at].contains(&true))
    }
}
