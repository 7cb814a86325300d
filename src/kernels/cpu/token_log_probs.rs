//! Statistics of logits and their gradients by blocks of rows and windows of the vocabulary.
//!
//! Products are the backend's own; a block of them is a few MiB, whatever the vocabulary. Sums over the
//! vocabulary run in 32 bits within a few hundred tokens and in 64 beyond.

use std::ops::Range;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Slice, TensorMetadata};

use super::lanes;
use super::tensors::{numbers, taken, tensor};
use super::vectors::widest;
use crate::kernels::parameters::Targets;

/// Rows of a block.
const ROWS: usize = 256;

/// Tokens of a window.
const WINDOW: usize = 4096;

/// The sums of a row over the tokens so far.
#[derive(Debug, Clone, Copy)]
struct Sums {
    greatest: f32,
    /// `Σ exp(l − greatest)`.
    total: f64,
    /// `Σ exp(l − greatest) (l − greatest)`.
    weighed: f64,
    chosen: f32,
    finite: bool,
}

impl Sums {
    const NONE: Self =
        Self { greatest: f32::MIN, total: 0.0, weighed: 0.0, chosen: 0.0, finite: true };

    /// Adds a window of a row's logits.
    #[inline(always)]
    fn add(&mut self, logits: &[f32]) {
        self.finite &= lanes::sum(logits).is_finite();
        if !self.finite {
            return;
        }
        let greatest = lanes::greatest(logits).max(self.greatest);
        if self.total > 0.0 {
            let behind = f64::from(self.greatest) - f64::from(greatest);
            let shrink = behind.exp();
            self.weighed = (self.weighed + self.total * behind) * shrink;
            self.total *= shrink;
        }
        self.greatest = greatest;
        for logits in logits.chunks(256) {
            let (total, weighed) = lanes::softmax_sums(logits, greatest);
            self.total += f64::from(total);
            self.weighed += f64::from(weighed);
        }
    }

    fn statistics(self) -> [f32; 3] {
        if !self.finite {
            return [f32::NAN; 3];
        }
        let rest = self.total.ln();
        let entropy = rest - self.weighed / self.total;
        [(f64::from(self.greatest) + rest) as f32, entropy as f32, self.chosen]
    }
}

/// The log of the sum of the exponentials of logits, and the entropy of their softmax; `None` if one is
/// not finite.
pub(crate) fn log_sum_and_entropy(logits: &[f32]) -> Option<[f32; 2]> {
    let mut sums = Sums::NONE;
    sums.add(logits);
    let [log_sum, entropy, _] = sums.statistics();
    log_sum.is_finite().then_some([log_sum, entropy])
}

/// Ranges of at most `most` that cover `count`.
fn pieces(count: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count).step_by(most).map(move |first| first..count.min(first + most))
}

fn rows<B: Backend>(tensor: &FloatTensor<B>, rows: &Range<usize>) -> FloatTensor<B> {
    let columns = tensor.shape()[1];
    B::float_slice(tensor.clone(), &[rows.clone().into(), Slice::from(0..columns)])
}

/// Works on each row of a block, with the widest vectors.
fn per_row<T: Send>(
    logits: &mut [f32],
    width: usize,
    state: &mut [T],
    work: impl Fn(usize, &mut [f32], &mut T) + Send + Sync,
) {
    let work = |row, logits: &mut [f32], state: &mut T| {
        widest(
            #[inline(always)]
            || work(row, logits, state),
        );
    };
    #[cfg(feature = "parallel")]
    {
        use rayon::prelude::*;
        let rows = logits.par_chunks_exact_mut(width).zip(state.par_iter_mut()).enumerate();
        rows.with_min_len(4).for_each(|(row, (logits, state))| work(row, logits, state));
    }
    #[cfg(not(feature = "parallel"))]
    {
        let rows = logits.chunks_exact_mut(width).zip(state.iter_mut()).enumerate();
        rows.for_each(|(row, (logits, state))| work(row, logits, state));
    }
}

pub(in crate::kernels) fn logit_statistics<B: Backend>(
    hidden: &FloatTensor<B>,
    head: &FloatTensor<B>,
    targets: &Targets,
) -> Option<FloatTensor<B>> {
    let mut sums = vec![Sums::NONE; targets.rows()];
    for window in pieces(head.shape()[0], WINDOW) {
        let head = B::float_transpose(rows::<B>(head, &window));
        for block in pieces(targets.rows(), ROWS) {
            let products = B::float_matmul(rows::<B>(hidden, &block), head.clone());
            let mut logits = taken::<B>(products)?;
            let tokens = &targets.tokens()[block.clone()];
            per_row(
                &mut logits,
                window.len(),
                &mut sums[block],
                #[inline(always)]
                |row, logits, sums| {
                    let target = (tokens[row] as usize).checked_sub(window.start);
                    if let Some(&logit) = target.and_then(|target| logits.get(target)) {
                        sums.chosen = logit;
                    }
                    sums.add(logits);
                },
            );
        }
    }
    let statistics = sums.into_iter().flat_map(Sums::statistics).collect();
    Some(tensor::<B, 2>(statistics, [targets.rows(), 3], hidden))
}

pub(in crate::kernels) fn logit_gradients<B: Backend>(
    [hidden, head, statistics, gradient]: &[FloatTensor<B>; 4],
    targets: &Targets,
) -> Option<(FloatTensor<B>, FloatTensor<B>)> {
    let (statistics, gradient) = (numbers::<B>(statistics)?, numbers::<B>(gradient)?);
    let (statistics, gradient) = (statistics.as_slice().ok()?, gradient.as_slice().ok()?);
    let mut to_hidden: Vec<Option<FloatTensor<B>>> = Vec::new();
    let mut to_head = Vec::new();
    for window in pieces(head.shape()[0], WINDOW) {
        let head = rows::<B>(head, &window);
        let transposed = B::float_transpose(head.clone());
        let mut to_window = None;
        for (at, block) in pieces(targets.rows(), ROWS).enumerate() {
            let hidden = rows::<B>(hidden, &block);
            let products = B::float_matmul(hidden.clone(), transposed.clone());
            let mut logits = taken::<B>(products)?;
            set_slopes(&mut logits, &window, &block, [statistics, gradient], targets);
            let slopes = tensor::<B, 2>(logits, [block.len(), window.len()], &hidden);
            if targets.to_hidden {
                to_hidden.resize_with(to_hidden.len().max(at + 1), || None);
                let change = B::float_matmul(slopes.clone(), head.clone());
                to_hidden[at] = Some(added::<B>(to_hidden[at].take(), change));
            }
            if targets.to_head {
                let change = B::float_matmul(B::float_transpose(slopes), hidden);
                to_window = Some(added::<B>(to_window, change));
            }
        }
        to_head.extend(to_window);
    }
    let one = || tensor::<B, 1>(vec![0.0], [1], hidden);
    let joined = |parts: Vec<FloatTensor<B>>| {
        if parts.is_empty() { one() } else { B::float_cat(parts, 0) }
    };
    Some((joined(to_hidden.into_iter().flatten().collect()), joined(to_head)))
}

fn added<B: Backend>(sum: Option<FloatTensor<B>>, change: FloatTensor<B>) -> FloatTensor<B> {
    match sum {
        Some(sum) => B::float_add(sum, change),
        None => change,
    }
}

/// Replaces a block of logits by their gradients.
fn set_slopes(
    logits: &mut [f32],
    window: &Range<usize>,
    block: &Range<usize>,
    [statistics, gradient]: [&[f32]; 2],
    targets: &Targets,
) {
    let mut nothing = vec![(); block.len()];
    per_row(
        logits,
        window.len(),
        &mut nothing,
        #[inline(always)]
        |row, logits, ()| {
            let row = block.start + row;
            let [log_sum, entropy, _] = [0, 1, 2].map(|column| statistics[3 * row + column]);
            let [to_log_sum, to_entropy, to_chosen] =
                [0, 1, 2].map(|column| gradient[3 * row + column]);
            if !(log_sum + to_log_sum + to_entropy + to_chosen).is_finite() {
                return logits.fill(f32::NAN);
            }
            lanes::softmax_slopes(logits, [log_sum, entropy], [to_log_sum, to_entropy]);
            let target = (targets.tokens()[row] as usize).checked_sub(window.start);
            if let Some(slope) = target.and_then(|target| logits.get_mut(target)) {
                *slope += to_chosen;
            }
        },
    );
}
