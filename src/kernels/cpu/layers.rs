//! Layers of language models and the optimizer's step, in one pass each.
//!
//! Work is cut into pieces that do not depend on the number of threads, and sums run in a fixed order, so
//! results do not depend on it either.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;

use super::lanes;
use super::tensors::{Host, Owned, are_floats, tensor, width};
use super::vectors::widest;
use crate::kernels::layers::{AdamWStep, CausalScale, Normalisation};
use crate::kernels::portable;
use crate::parallel::par_each;

/// Numbers of a piece of work.
const PIECE: usize = 1 << 14;

/// Numbers of a piece of whole rows, at least one row.
fn whole_rows(width: usize) -> usize {
    let width = width.max(1);
    (PIECE / width).max(1) * width
}

/// Works on pieces, in threads and with the widest vectors.
fn each<T: Send>(pieces: impl Iterator<Item = T>, work: impl Fn(T) + Send + Sync) {
    par_each(pieces.collect(), 1, work);
}

pub(in crate::kernels) fn swiglu<B: Host>(
    gate: FloatTensor<B>,
    up: FloatTensor<B>,
) -> FloatTensor<B> {
    if !are_floats::<B>(&[&gate, &up]) {
        return portable::swiglu::<B>(gate, up);
    }
    let mut result = Owned::<B>::of(gate);
    let up = B::view(&up);
    each(result.numbers().chunks_mut(PIECE).zip(up.chunks(PIECE)), |(gate, up)| {
        widest(
            #[inline(always)]
            || {
                for (gate, up) in gate.iter_mut().zip(up) {
                    *gate = *gate * lanes::sigmoid(*gate) * up;
                }
            },
        );
    });
    result.tensor()
}

pub(in crate::kernels) fn swiglu_gradients<B: Host>(
    gate: FloatTensor<B>,
    up: FloatTensor<B>,
    gradient: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    if !are_floats::<B>(&[&gate, &up, &gradient]) {
        return portable::swiglu_gradients::<B>(gate, up, gradient);
    }
    let (mut gate, mut up) = (Owned::<B>::of(gate), Owned::<B>::of(up));
    let gradient = B::view(&gradient);
    let pieces = gate.numbers().chunks_mut(PIECE).zip(up.numbers().chunks_mut(PIECE));
    each(pieces.zip(gradient.chunks(PIECE)), |((gate, up), gradient)| {
        widest(
            #[inline(always)]
            || {
                for ((gate, up), gradient) in gate.iter_mut().zip(up).zip(gradient) {
                    let share = lanes::sigmoid(*gate);
                    let slope = share * (1.0 + *gate * (1.0 - share));
                    let to_up = gradient * *gate * share;
                    *gate = gradient * *up * slope;
                    *up = to_up;
                }
            },
        );
    });
    (gate.tensor(), up.tensor())
}

/// `1 / sqrt(mean(x²) + ε)` of a row.
#[inline(always)]
fn inverse_scale(x: &[f32], epsilon: f32) -> f32 {
    1.0 / (lanes::product(x, x) / x.len() as f32 + epsilon).sqrt()
}

pub(in crate::kernels) fn rms_norm<B: Host>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    settings: Normalisation,
) -> FloatTensor<B> {
    if !are_floats::<B>(&[&x, &weight]) {
        return portable::rms_norm::<B>(x, weight, settings);
    }
    let width = width::<B>(&x).max(1);
    let mut result = Owned::<B>::of(x);
    let weight = &*B::view(&weight);
    each(result.numbers().chunks_mut(whole_rows(width)), |rows| {
        widest(
            #[inline(always)]
            || {
                for row in rows.chunks_exact_mut(width) {
                    let factor = inverse_scale(row, settings.epsilon);
                    for (x, weight) in row.iter_mut().zip(weight) {
                        *x = *x * factor * weight;
                    }
                }
            },
        );
    });
    result.tensor()
}

pub(in crate::kernels) fn rms_norm_gradients<B: Host>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    gradient: FloatTensor<B>,
    settings: Normalisation,
) -> (FloatTensor<B>, FloatTensor<B>) {
    if !are_floats::<B>(&[&x, &weight, &gradient]) {
        return portable::rms_norm_gradients::<B>(x, weight, gradient, settings);
    }
    let width = width::<B>(&x).max(1);
    let piece = whole_rows(width);
    let mut to_x = Owned::<B>::of(gradient);
    let (given_x, given_weight) = (B::view(&x), B::view(&weight));
    let weight_numbers = &*given_weight;
    // Each piece has a sum of its own, and these are added in order.
    let count = given_x.len().div_ceil(piece);
    let mut sums = vec![0f32; count * width];
    let pieces = to_x.numbers().chunks_mut(piece).zip(given_x.chunks(piece));
    each(pieces.zip(sums.chunks_mut(width)), |((gradients, x), sum)| {
        widest(
            #[inline(always)]
            || {
                for (gradient, x) in gradients.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
                    let factor = inverse_scale(x, settings.epsilon);
                    if settings.to_weight {
                        for ((sum, gradient), x) in sum.iter_mut().zip(&*gradient).zip(x) {
                            *sum += gradient * x * factor;
                        }
                    }
                    for (gradient, weight) in gradient.iter_mut().zip(weight_numbers) {
                        *gradient *= weight * factor;
                    }
                    let shared = lanes::product(gradient, x) / width as f32 * factor * factor;
                    for (gradient, x) in gradient.iter_mut().zip(x) {
                        *gradient -= x * shared;
                    }
                }
            },
        );
    });
    let to_weight = match settings.to_weight {
        true => tensor::<B, 1>(added(&sums, width), [width], &weight),
        false => tensor::<B, 1>(vec![0.0], [1], &weight),
    };
    (to_x.tensor(), to_weight)
}

/// The sum of rows, in 64 bits.
fn added(rows: &[f32], width: usize) -> Vec<f32> {
    let mut sums = vec![0f64; width];
    for row in rows.chunks_exact(width) {
        for (sum, &number) in sums.iter_mut().zip(row) {
            *sum += f64::from(number);
        }
    }
    sums.into_iter().map(|sum| sum as f32).collect()
}

pub(in crate::kernels) fn causal_softmax<B: Host>(
    scores: FloatTensor<B>,
    settings: CausalScale,
) -> FloatTensor<B> {
    if !are_floats::<B>(&[&scores]) {
        return portable::causal_softmax::<B>(scores, settings);
    }
    let keys = width::<B>(&scores).max(1);
    let mut result = Owned::<B>::of(scores);
    let piece = whole_rows(keys);
    each(result.numbers().chunks_mut(piece).enumerate(), |(index, rows)| {
        widest(
            #[inline(always)]
            || {
                for (row, scores) in rows.chunks_exact_mut(keys).enumerate() {
                    let query = (index * (piece / keys) + row) % settings.queries;
                    let (seen, future) = scores.split_at_mut(keys.min(query + 1));
                    lanes::softmax(seen, settings.scale);
                    future.fill(if seen[0].is_nan() { f32::NAN } else { 0.0 });
                }
            },
        );
    });
    result.tensor()
}

pub(in crate::kernels) fn causal_softmax_gradients<B: Host>(
    weights: FloatTensor<B>,
    gradient: FloatTensor<B>,
    settings: CausalScale,
) -> FloatTensor<B> {
    if !are_floats::<B>(&[&weights, &gradient]) {
        return portable::causal_softmax_gradients::<B>(weights, gradient, settings);
    }
    let keys = width::<B>(&weights).max(1);
    let mut result = Owned::<B>::of(gradient);
    let weights = B::view(&weights);
    let piece = whole_rows(keys);
    let pieces = result.numbers().chunks_mut(piece).zip(weights.chunks(piece)).enumerate();
    each(pieces, |(index, (rows, weights))| {
        widest(
            #[inline(always)]
            || {
                let rows = rows.chunks_exact_mut(keys).zip(weights.chunks_exact(keys));
                for (row, (slopes, weights)) in rows.enumerate() {
                    let query = (index * (piece / keys) + row) % settings.queries;
                    let (slopes, future) = slopes.split_at_mut(keys.min(query + 1));
                    let weights = &weights[..slopes.len()];
                    let shared = lanes::product(slopes, weights);
                    for (slope, weight) in slopes.iter_mut().zip(weights) {
                        *slope = weight * (*slope - shared) * settings.scale;
                    }
                    future.fill(if shared.is_nan() { f32::NAN } else { 0.0 });
                }
            },
        );
    });
    result.tensor()
}

pub(in crate::kernels) fn rotate<B: Host>(
    x: FloatTensor<B>,
    cosines: FloatTensor<B>,
    sines: FloatTensor<B>,
    is_inverse: bool,
) -> FloatTensor<B> {
    if !are_floats::<B>(&[&x, &cosines, &sines]) {
        return portable::rotate::<B>(x, cosines, sines, is_inverse);
    }
    let [_, tokens, heads, width] = x.shape().dims();
    let half = width / 2;
    let mut result = Owned::<B>::of(x);
    let (cosines, sines) = (B::view(&cosines), B::view(&sines));
    let sign = if is_inverse { -1.0 } else { 1.0 };
    let row = (heads * width).max(1);
    let piece = whole_rows(row);
    each(result.numbers().chunks_mut(piece).enumerate(), |(index, rows)| {
        widest(
            #[inline(always)]
            || {
                for (at, row) in rows.chunks_exact_mut(row).enumerate() {
                    let token = (index * (piece / row.len()) + at) % tokens;
                    let cosines = &cosines[token * half..][..half];
                    let sines = &sines[token * half..][..half];
                    for head in row.chunks_exact_mut(width) {
                        let (a, b) = head.split_at_mut(half);
                        let pairs = a.iter_mut().zip(b).zip(cosines).zip(sines);
                        for (((a, b), cosine), sine) in pairs {
                            let sine = sine * sign;
                            (*a, *b) = (*a * cosine - *b * sine, *b * cosine + *a * sine);
                        }
                    }
                }
            },
        );
    });
    result.tensor()
}

pub(in crate::kernels) fn adamw<B: Host>(
    [parameter, gradient, first, second]: [FloatTensor<B>; 4],
    step: AdamWStep,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    if !are_floats::<B>(&[&parameter, &gradient, &first, &second]) {
        return portable::adamw::<B>([parameter, gradient, first, second], step);
    }
    let [mut parameter, mut first, mut second] = [parameter, first, second].map(Owned::<B>::of);
    let gradient = B::view(&gradient);
    let moments = first.numbers().chunks_mut(PIECE).zip(second.numbers().chunks_mut(PIECE));
    let numbers = parameter.numbers().chunks_mut(PIECE).zip(gradient.chunks(PIECE));
    each(numbers.zip(moments), |((parameter, gradient), (first, second))| {
        widest(
            #[inline(always)]
            || {
                let [beta_1, beta_2] = step.betas;
                let numbers = parameter.iter_mut().zip(gradient);
                for ((parameter, gradient), (m, v)) in numbers.zip(first.iter_mut().zip(second)) {
                    *m = *m * beta_1 + gradient * (1.0 - beta_1);
                    *v = *v * beta_2 + gradient * gradient * (1.0 - beta_2);
                    let root = (*v / step.corrections[1]).sqrt() + step.epsilon;
                    let change = *m / step.corrections[0] / root;
                    *parameter = *parameter * step.kept - change * step.rate;
                }
            },
        );
    });
    (parameter.tensor(), first.tensor(), second.tensor())
}
