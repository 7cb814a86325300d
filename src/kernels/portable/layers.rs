//! Layers of language models and the optimizer's step.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Slice, TensorMetadata};
use burn::tensor::{DType, Shape, TensorData};

use super::array::Array;
use crate::kernels::layers::AdamWStep;

fn sigmoid<B: Backend>(x: &Array<B>) -> Array<B> {
    Array(B::sigmoid(x.0.clone()))
}

pub(in crate::kernels) fn swiglu<B: Backend>(
    gate: FloatTensor<B>,
    up: FloatTensor<B>,
) -> FloatTensor<B> {
    let gate = Array::<B>(gate);
    let share = sigmoid(&gate);
    (gate * share * Array(up)).0
}

pub(in crate::kernels) fn swiglu_gradients<B: Backend>(
    gate: FloatTensor<B>,
    up: FloatTensor<B>,
    gradient: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let (gate, gradient) = (Array::<B>(gate), Array::<B>(gradient));
    let share = sigmoid(&gate);
    let silu = gate * share.clone();
    let slope = share.clone() + silu.clone() * (share * -1.0 + 1.0);
    ((gradient.clone() * Array(up) * slope).0, (gradient * silu).0)
}

/// A tensor as a matrix of its last dimension.
fn rows<B: Backend>(x: FloatTensor<B>) -> Array<B> {
    let shape = x.shape();
    let width = shape[shape.num_dims() - 1];
    Array(B::float_reshape(x, Shape::from([shape.num_elements() / width, width])))
}

fn reshaped<B: Backend>(x: Array<B>, shape: Shape) -> FloatTensor<B> {
    B::float_reshape(x.0, shape)
}

/// `sqrt(mean(x²) + ε)` of each row, as a column.
fn rms<B: Backend>(x: &Array<B>, epsilon: f32) -> Array<B> {
    let width = x.0.shape()[1] as f32;
    ((x.clone() * x.clone()).sum() * (1.0 / width) + epsilon).sqrt()
}

pub(in crate::kernels) fn rms_norm<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    epsilon: f32,
) -> FloatTensor<B> {
    let shape = x.shape();
    let (x, weight) = (rows::<B>(x), rows::<B>(weight));
    let rms = rms(&x, epsilon);
    reshaped(x / rms * weight, shape)
}

pub(in crate::kernels) fn rms_norm_gradients<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    gradient: FloatTensor<B>,
    epsilon: f32,
    wants_weight: bool,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let (shape, of_weight) = (x.shape(), weight.shape());
    let (x, weight, gradient) = (rows::<B>(x), rows::<B>(weight), rows::<B>(gradient));
    let width = x.0.shape()[1] as f32;
    let rms = rms(&x, epsilon);
    let to_weight = if wants_weight {
        B::float_sum_dim((x.clone() / rms.clone() * gradient.clone()).0, 0)
    } else {
        B::float_zeros(weight.0.shape(), &weight.0.device(), weight.0.dtype().into())
    };
    let inner = gradient * weight;
    let pull = (inner.clone() * x.clone()).sum() / (rms.clone() * rms.clone() * width);
    let to_x = (inner - x * pull) / rms;
    (reshaped(to_x, shape), B::float_reshape(to_weight, of_weight))
}

/// 1 where a key is not after its query, and 0 elsewhere, `[1, tokens, tokens]`, beside scores.
fn seen<B: Backend>(scores: &FloatTensor<B>, tokens: usize) -> Array<B> {
    let flags = (0..tokens).flat_map(|query| (0..tokens).map(move |key| key <= query));
    let flags: Vec<f32> = flags.map(|seen| if seen { 1.0 } else { 0.0 }).collect();
    let flags = TensorData::new(flags, Shape::from([1, tokens, tokens]));
    let flags = B::float_from_data(flags, &scores.device());
    let dtype = scores.dtype();
    Array(if dtype == DType::F32 { flags } else { B::float_cast(flags, dtype.into()) })
}

/// Scores as `[matrices, tokens, tokens]`.
fn matrices<B: Backend>(scores: FloatTensor<B>) -> (Array<B>, usize) {
    let shape = scores.shape();
    let tokens = shape[shape.num_dims() - 1];
    let count = shape.num_elements() / (tokens * tokens);
    (Array(B::float_reshape(scores, Shape::from([count, tokens, tokens]))), tokens)
}

pub(in crate::kernels) fn causal_softmax<B: Backend>(
    scores: FloatTensor<B>,
    scale: f32,
) -> FloatTensor<B> {
    let shape = scores.shape();
    let (scores, tokens) = matrices::<B>(scores);
    let unseen = scores.stretched(seen::<B>(&scores.0, tokens).below(0.5));
    // The product with 0 is NaN where a score is not finite.
    let bad = (scores.clone() * 0.0).fill(unseen.clone(), 0.0);
    let bad = Array::<B>(B::float_sum_dim(bad.0, 2));
    let low = scores.fill(unseen.clone(), f32::MIN);
    let greatest = Array::<B>(B::float_max_dim(low.0.clone(), 2));
    let weights = ((low - greatest) * scale).exp().fill(unseen.clone(), 0.0);
    let total = Array::<B>(B::float_sum_dim(weights.0.clone(), 2));
    reshaped((weights / total + bad).fill(unseen, 0.0), shape)
}

pub(in crate::kernels) fn causal_softmax_gradient<B: Backend>(
    weights: FloatTensor<B>,
    gradient: FloatTensor<B>,
    scale: f32,
) -> FloatTensor<B> {
    let shape = weights.shape();
    let (weights, tokens) = matrices::<B>(weights);
    let (gradient, _) = matrices::<B>(gradient);
    let unseen = weights.stretched(seen::<B>(&weights.0, tokens).below(0.5));
    let gradient = gradient.fill(unseen.clone(), 0.0);
    let pull = Array(B::float_sum_dim((weights.clone() * gradient.clone()).0, 2));
    reshaped((weights * (gradient - pull) * scale).fill(unseen, 0.0), shape)
}

pub(in crate::kernels) fn rotate<B: Backend>(
    x: FloatTensor<B>,
    cosines: FloatTensor<B>,
    sines: FloatTensor<B>,
    back: bool,
) -> FloatTensor<B> {
    let [rows, tokens, heads, width] = x.shape().dims::<4>();
    let half = width / 2;
    let part = |first: usize| {
        let slices = [0..rows, 0..tokens, 0..heads, first..first + half].map(Slice::from);
        Array::<B>(B::float_slice(x.clone(), &slices))
    };
    let (a, b) = (part(0), part(half));
    let table = |table| Array::<B>(B::float_reshape(table, Shape::from([1, tokens, 1, half])));
    let (cosines, sines) = (table(cosines), table(sines) * if back { -1.0 } else { 1.0 });
    let low = a.clone() * cosines.clone() - b.clone() * sines.clone();
    let high = b * cosines + a * sines;
    B::float_cat(vec![low.0, high.0], 3)
}

pub(in crate::kernels) fn adamw<B: Backend>(
    tensors: [FloatTensor<B>; 4],
    step: AdamWStep,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let [parameter, gradient, first, second] = tensors.map(Array::<B>);
    let squares = gradient.clone() * gradient.clone();
    let first = first * step.beta_1 + gradient * (1.0 - step.beta_1);
    let second = second * step.beta_2 + squares * (1.0 - step.beta_2);
    let root = (second.clone() * step.correction_2).sqrt() + step.epsilon;
    let change = first.clone() * step.correction_1 / root;
    let parameter = parameter * step.kept - change * step.rate;
    (parameter.0, first.0, second.0)
}
