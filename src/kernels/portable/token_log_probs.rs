//! Statistics of logits and their gradients, a window of the vocabulary at a time.

use std::ops::Range;

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{IndexingUpdateOp, TensorData};

use super::array::Array;
use crate::kernels::parameters::Targets;

/// Logits of a window, unless a single token a row are more.
const LOGITS: usize = 1 << 22;

/// Below every logit.
const LOWEST: f32 = -1e38;

/// The windows of the vocabulary.
fn windows<B: Backend>(head: &FloatTensor<B>, rows: usize) -> impl Iterator<Item = Range<usize>> {
    let vocabulary = head.shape()[0];
    let size = (LOGITS / rows.max(1)).max(1);
    (0..vocabulary).step_by(size).map(move |first| first..vocabulary.min(first + size))
}

/// The target of each row, or 0, and 1 for each row that has one.
fn targets_of<B: Backend>(like: &Array<B>, targets: &Targets) -> (IntTensor<B>, Array<B>) {
    let rows = targets.rows();
    let some = |&token: &u32| token != Targets::NONE;
    let tokens = targets.tokens().iter().map(|token| if some(token) { *token as i32 } else { 0 });
    let tokens = TensorData::new(tokens.collect::<Vec<_>>(), [rows]);
    let flags = targets.tokens().iter().map(|token| if some(token) { 1.0 } else { 0.0 });
    let flags = like.constant(flags.collect(), [rows, 1]);
    (B::int_from_data(tokens, &like.0.device()), flags)
}

pub(in crate::kernels) fn logit_statistics<B: Backend>(
    hidden: FloatTensor<B>,
    head: FloatTensor<B>,
    targets: &Targets,
) -> FloatTensor<B> {
    let rows = targets.rows();
    let (hidden, head) = (Array::<B>(hidden), Array::<B>(head));
    let (tokens, flags) = targets_of(&hidden, targets);
    let chosen = Array(B::float_select(head.0.clone(), 0, tokens));
    let chosen = (hidden.clone() * chosen).sum() * flags;

    let mut greatest = hidden.constant(vec![LOWEST; rows], [rows, 1]);
    let zeros = hidden.constant(vec![0.0; rows], [rows, 1]);
    let (mut total, mut weighed, mut bad) = (zeros.clone(), zeros.clone(), zeros);
    for window in windows::<B>(&head.0, rows) {
        let logits = hidden.clone().matmul(head.rows(window).transpose());
        bad = bad + logits.flags(logits.non_finite()).max();
        let logits = logits.clone().fill(logits.non_finite(), 0.0);
        let before = greatest.clone();
        greatest = before.clone().beside(logits.clone().max()).max();
        let behind = before - greatest.clone();
        let shrink = behind.clone().exp();
        let below = logits - greatest.clone();
        let weights = below.clone().exp();
        weighed =
            (weighed + total.clone() * behind) * shrink.clone() + (weights.clone() * below).sum();
        total = total * shrink + weights.sum();
    }
    let rest = Array::<B>(B::float_log(total.0.clone()));
    let entropy = rest.clone() - weighed / total;
    let statistics = (greatest + rest).beside(entropy).beside(chosen);
    let bad = statistics.stretched(bad.above(0.0));
    statistics.fill(bad, f32::NAN).0
}

pub(in crate::kernels) fn logit_gradients<B: Backend>(
    [hidden, head, statistics, gradient]: [FloatTensor<B>; 4],
    targets: &Targets,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let rows = targets.rows();
    let (hidden, head) = (Array::<B>(hidden), Array::<B>(head));
    let (statistics, gradient) = (Array::<B>(statistics), Array::<B>(gradient));
    let (log_sum, entropy) = (statistics.column(0), statistics.column(1));
    let (to_log_sum, to_entropy) = (gradient.column(0), gradient.column(1));
    let (tokens, flags) = targets_of(&hidden, targets);
    let to_chosen = gradient.column(2) * flags;
    let bad = log_sum.flags(log_sum.non_finite()) + gradient.flags(gradient.non_finite()).max();
    let bad = bad.above(0.0);

    // A target's own share; all others come from the softmax.
    let chosen = Array::<B>(B::float_select(head.0.clone(), 0, tokens.clone()));
    let mut to_hidden = chosen * to_chosen.clone();
    let mut to_head = Vec::new();
    for window in windows::<B>(&head.0, rows) {
        let head = head.rows(window);
        let logits = hidden.clone().matmul(head.clone().transpose());
        let log_p = logits - log_sum.clone();
        let pull = (log_p.clone() + entropy.clone()) * to_entropy.clone();
        let slopes = log_p.exp() * (to_log_sum.clone() - pull);
        let slopes = slopes.clone().fill(slopes.stretched(bad.clone()), f32::NAN);
        if targets.to_hidden {
            to_hidden = to_hidden + slopes.clone().matmul(head);
        }
        if targets.to_head {
            to_head.push(slopes.transpose().matmul(hidden.clone()));
        }
    }
    let one = || hidden.constant(vec![0.0], [1, 1]);
    let to_head = if targets.to_head {
        let change = (hidden.clone() * to_chosen).0;
        B::float_select_assign(Array::stack(to_head), 0, tokens, change, IndexingUpdateOp::Add)
    } else {
        Array::<B>::reshape(one().0, [1])
    };
    let to_hidden = if targets.to_hidden { to_hidden.0 } else { Array::<B>::reshape(one().0, [1]) };
    (to_hidden, to_head)
}
