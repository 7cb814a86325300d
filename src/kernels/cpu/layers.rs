//! Layers of language models and the optimizer's step, in one pass each.
//!
//! Work is cut into pieces that do not depend on the number of threads, and sums run in a fixed order, so
//! results do not depend on it either. A tensor without other owners is changed in place.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{DType, TensorData};

use super::lanes;
use super::tensors::{Numbers, owned};
use super::vectors::widest;
use crate::kernels::layers::AdamWStep;
use crate::kernels::portable;
use crate::parallel::par_each;

/// Numbers of a piece of work.
const PIECE: usize = 1 << 14;

/// Numbers of a piece of whole rows, at least one.
fn piece_of_rows(width: usize) -> usize {
    (PIECE / width).max(1) * width
}

/// Runs work on pieces, in threads and with the widest vectors.
macro_rules! for_pieces {
    ($pieces:expr, |$piece:pat_param| $work:expr) => {
        par_each($pieces.collect(), 1, |$piece| {
            widest(
                #[inline(always)]
                || $work,
            )
        })
    };
}

/// Whether all numbers are 32 bits wide.
fn are_floats<B: Backend>(tensors: &[&FloatTensor<B>]) -> bool {
    tensors.iter().all(|tensor| tensor.dtype() == DType::F32)
}

/// The length of the last dimension.
fn width<B: Backend>(tensor: &FloatTensor<B>) -> usize {
    let shape = tensor.shape();
    shape[shape.num_dims() - 1]
}

/// Numbers in the shape and on the device of a tensor.
fn shaped_as<B: Backend>(like: &FloatTensor<B>) -> impl Fn(Vec<f32>) -> FloatTensor<B> + use<B> {
    let (shape, device) = (like.shape(), like.device());
    move |numbers| B::float_from_data(TensorData::new(numbers, shape.clone()), &device)
}

pub(in crate::kernels) fn swiglu<B: Backend>(
    gate: FloatTensor<B>,
    up: FloatTensor<B>,
) -> FloatTensor<B> {
    if !are_floats::<B>(&[&gate, &up]) {
        return portable::swiglu::<B>(gate, up);
    }
    let tensor = shaped_as::<B>(&gate);
    let up = Numbers::of::<B>(up);
    let mut out = owned::<B>(gate);
    let pieces = out.chunks_mut(PIECE).zip(up.slice().chunks(PIECE));
    for_pieces!(pieces, |(gate, up)| lanes::swiglu(gate, up));
    tensor(out)
}

pub(in crate::kernels) fn swiglu_gradients<B: Backend>(
    gate: FloatTensor<B>,
    up: FloatTensor<B>,
    gradient: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    if !are_floats::<B>(&[&gate, &up, &gradient]) {
        return portable::swiglu_gradients::<B>(gate, up, gradient);
    }
    let tensor = shaped_as::<B>(&gate);
    let up = Numbers::of::<B>(up);
    let (mut to_gate, mut to_up) = (owned::<B>(gate), owned::<B>(gradient));
    let pieces = to_gate.chunks_mut(PIECE).zip(to_up.chunks_mut(PIECE));
    let pieces = pieces.zip(up.slice().chunks(PIECE));
    for_pieces!(pieces, |((gate, gradient), up)| lanes::swiglu_slopes(gate, up, gradient));
    (tensor(to_gate), tensor(to_up))
}

pub(in crate::kernels) fn rms_norm<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    epsilon: f32,
) -> FloatTensor<B> {
    if !are_floats::<B>(&[&x, &weight]) {
        return portable::rms_norm::<B>(x, weight, epsilon);
    }
    let (tensor, width) = (shaped_as::<B>(&x), width::<B>(&x));
    let weight = Numbers::of::<B>(weight);
    let mut out = owned::<B>(x);
    for_pieces!(out.chunks_mut(piece_of_rows(width)), |rows| {
        for row in rows.chunks_exact_mut(width) {
            let scale = inverse_rms(row, epsilon);
            for (x, weight) in row.iter_mut().zip(weight.slice()) {
                *x = *x * scale * weight;
            }
        }
    });
    tensor(out)
}

/// `1 / sqrt(mean(x²) + ε)` of a row.
#[inline(always)]
fn inverse_rms(row: &[f32], epsilon: f32) -> f32 {
    1.0 / (lanes::sum_of(row, row, |x, y| x * y) / row.len() as f32 + epsilon).sqrt()
}

pub(in crate::kernels) fn rms_norm_gradients<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    gradient: FloatTensor<B>,
    epsilon: f32,
    wants_weight: bool,
) -> (FloatTensor<B>, FloatTensor<B>) {
    if !are_floats::<B>(&[&x, &weight, &gradient]) {
        return portable::rms_norm_gradients::<B>(x, weight, gradient, epsilon, wants_weight);
    }
    let (tensor, of_weight) = (shaped_as::<B>(&x), shaped_as::<B>(&weight));
    let width = width::<B>(&x);
    let (x, weight) = (Numbers::of::<B>(x), Numbers::of::<B>(weight));
    let mut to_x = owned::<B>(gradient);
    let (piece, shares) = (piece_of_rows(width), if wants_weight { width } else { 0 });
    // Each piece sums its own share of the weight's gradient.
    let mut to_weights = vec![0.0; to_x.len().div_ceil(piece) * shares];
    let pieces = to_x.chunks_mut(piece).zip(x.slice().chunks(piece));
    let mut rest = to_weights.as_mut_slice();
    let pieces = pieces.map(|(gradient, x)| {
        let (own, others) = std::mem::take(&mut rest).split_at_mut(shares);
        rest = others;
        (gradient, x, own)
    });
    for_pieces!(pieces, |(gradient, x, to_weight)| {
        for (gradient, x) in gradient.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            let scale = inverse_rms(x, epsilon);
            norm_slopes(gradient, x, weight.slice(), scale, to_weight);
        }
    });
    let mut to_weight = vec![0.0; width];
    for share in to_weights.chunks_exact(width) {
        to_weight.iter_mut().zip(share).for_each(|(sum, one)| *sum += one);
    }
    (tensor(to_x), of_weight(to_weight))
}

/// Replaces the gradient of a normalised row by that of the row, and adds to that of the weight, unless it
/// is empty.
#[inline(always)]
fn norm_slopes(gradient: &mut [f32], x: &[f32], weight: &[f32], scale: f32, to_weight: &mut [f32]) {
    for ((sum, x), gradient) in to_weight.iter_mut().zip(x).zip(gradient.iter()) {
        *sum += x * scale * gradient;
    }
    gradient.iter_mut().zip(weight).for_each(|(gradient, weight)| *gradient *= weight);
    let pull = lanes::sum_of(gradient, x, |a, b| a * b) * scale * scale / x.len() as f32;
    for (gradient, x) in gradient.iter_mut().zip(x) {
        *gradient = scale * (*gradient - x * pull);
    }
}

pub(in crate::kernels) fn causal_softmax<B: Backend>(
    scores: FloatTensor<B>,
    scale: f32,
) -> FloatTensor<B> {
    if !are_floats::<B>(&[&scores]) {
        return portable::causal_softmax::<B>(scores, scale);
    }
    let (tensor, tokens) = (shaped_as::<B>(&scores), width::<B>(&scores));
    let mut out = owned::<B>(scores);
    let piece = piece_of_rows(tokens);
    for_pieces!(out.chunks_mut(piece).enumerate(), |(index, rows)| {
        let first = index * (piece / tokens);
        for (row, scores) in rows.chunks_exact_mut(tokens).enumerate() {
            let (seen, unseen) = scores.split_at_mut((first + row) % tokens + 1);
            lanes::softmax(seen, scale);
            unseen.fill(0.0);
        }
    });
    tensor(out)
}

pub(in crate::kernels) fn causal_softmax_gradient<B: Backend>(
    weights: FloatTensor<B>,
    gradient: FloatTensor<B>,
    scale: f32,
) -> FloatTensor<B> {
    if !are_floats::<B>(&[&weights, &gradient]) {
        return portable::causal_softmax_gradient::<B>(weights, gradient, scale);
    }
    let (tensor, tokens) = (shaped_as::<B>(&weights), width::<B>(&weights));
    let weights = Numbers::of::<B>(weights);
    let mut out = owned::<B>(gradient);
    let piece = piece_of_rows(tokens);
    let pieces = out.chunks_mut(piece).zip(weights.slice().chunks(piece)).enumerate();
    for_pieces!(pieces, |(index, (rows, weights))| {
        let first = index * (piece / tokens);
        let rows = rows.chunks_exact_mut(tokens).zip(weights.chunks_exact(tokens));
        for (row, (gradient, weights)) in rows.enumerate() {
            let (seen, unseen) = gradient.split_at_mut((first + row) % tokens + 1);
            let pull = lanes::sum_of(seen, weights, |a, b| a * b);
            for (gradient, weight) in seen.iter_mut().zip(weights) {
                *gradient = scale * weight * (*gradient - pull);
            }
            unseen.fill(0.0);
        }
    });
    tensor(out)
}

pub(in crate::kernels) fn rotate<B: Backend>(
    x: FloatTensor<B>,
    cosines: FloatTensor<B>,
    sines: FloatTensor<B>,
    back: bool,
) -> FloatTensor<B> {
    if !are_floats::<B>(&[&x, &cosines, &sines]) {
        return portable::rotate::<B>(x, cosines, sines, back);
    }
    let tensor = shaped_as::<B>(&x);
    let [_, tokens, heads, width] = x.shape().dims::<4>();
    let half = width / 2;
    let (cosines, sines) = (Numbers::of::<B>(cosines), Numbers::of::<B>(sines));
    let mut out = owned::<B>(x);
    let piece = piece_of_rows(heads * width);
    for_pieces!(out.chunks_mut(piece).enumerate(), |(index, rows)| {
        let first = index * (piece / (heads * width));
        for (row, heads) in rows.chunks_exact_mut(heads * width).enumerate() {
            let at = (first + row) % tokens * half;
            let angles = [&cosines.slice()[at..at + half], &sines.slice()[at..at + half]];
            for head in heads.chunks_exact_mut(width) {
                lanes::rotate(head, angles, back);
            }
        }
    });
    tensor(out)
}

pub(in crate::kernels) fn adamw<B: Backend>(
    tensors: [FloatTensor<B>; 4],
    step: AdamWStep,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    if !are_floats::<B>(&tensors.each_ref()) {
        return portable::adamw::<B>(tensors, step);
    }
    let [parameter, gradient, moment_1, moment_2] = tensors;
    let tensor = shaped_as::<B>(&parameter);
    let gradient = Numbers::of::<B>(gradient);
    let [mut parameter, mut moment_1, mut moment_2] =
        [parameter, moment_1, moment_2].map(owned::<B>);
    let pieces = parameter.chunks_mut(PIECE).zip(gradient.slice().chunks(PIECE));
    let pieces = pieces.zip(moment_1.chunks_mut(PIECE)).zip(moment_2.chunks_mut(PIECE));
    for_pieces!(pieces, |(((parameter, gradient), moment_1), moment_2)| {
        let moments = moment_1.iter_mut().zip(moment_2);
        for ((parameter, &gradient), (first, second)) in
            parameter.iter_mut().zip(gradient).zip(moments)
        {
            *first = *first * step.beta_1 + gradient * (1.0 - step.beta_1);
            *second = *second * step.beta_2 + gradient * gradient * (1.0 - step.beta_2);
            let root = (*second * step.correction_2).sqrt() + step.epsilon;
            let change = *first * step.correction_1 / root;
            *parameter = *parameter * step.kept - change * step.rate;
        }
    });
    (tensor(parameter), tensor(moment_1), tensor(moment_2))
}
