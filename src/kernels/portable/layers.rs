//! Operations of the layers of language models, and the optimizer's step.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Slice, TensorMetadata, get_or_init_device_settings};
use burn::tensor::{Shape, TensorData};

use super::array::Array;
use crate::kernels::layers::{AdamWStep, CausalScale, Normalisation};

pub(in crate::kernels) fn swiglu<B: Backend>(
    gate: FloatTensor<B>,
    up: FloatTensor<B>,
) -> FloatTensor<B> {
    B::float_mul(B::float_mul(B::sigmoid(gate.clone()), gate), up)
}

pub(in crate::kernels) fn swiglu_gradients<B: Backend>(
    gate: FloatTensor<B>,
    up: FloatTensor<B>,
    gradient: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let share = Array::<B>(B::sigmoid(gate.clone()));
    let (gate, up, gradient) = (Array::<B>(gate), Array::<B>(up), Array::<B>(gradient));
    let to_up = gradient.clone() * gate.clone() * share.clone();
    let slope = gate * (share.clone() * -1.0 + 1.0) + 1.0;
    ((gradient * up * share * slope).0, to_up.0)
}

/// As a matrix of the rows of the last dimension.
fn matrix<B: Backend>(tensor: FloatTensor<B>) -> Array<B> {
    let shape = tensor.shape();
    let width = shape[shape.num_dims() - 1];
    let rows = shape.num_elements() / width.max(1);
    Array(B::float_reshape(tensor, Shape::from([rows, width])))
}

/// `sqrt(mean(x²) + ε)` of each row.
fn scale<B: Backend>(x: &Array<B>, settings: Normalisation) -> Array<B> {
    let width = x.0.shape()[1] as f32;
    ((x.clone() * x.clone()).sum() / width + settings.epsilon).sqrt()
}

pub(in crate::kernels) fn rms_norm<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    settings: Normalisation,
) -> FloatTensor<B> {
    let shape = x.shape();
    let x = matrix::<B>(x);
    let normed = x.clone() / scale(&x, settings) * matrix::<B>(weight);
    B::float_reshape(normed.0, shape)
}

pub(in crate::kernels) fn rms_norm_gradients<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    gradient: FloatTensor<B>,
    settings: Normalisation,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let shape = x.shape();
    let x = matrix::<B>(x);
    let width = x.0.shape()[1];
    let gradient = matrix::<B>(gradient);
    let scale = scale(&x, settings);
    let normed = x / scale.clone();
    let to_normed = gradient.clone() * matrix::<B>(weight);
    let shared = (to_normed.clone() * normed.clone()).sum() / width as f32;
    let to_x = (to_normed - normed.clone() * shared) / scale;
    let to_weight = match settings.to_weight {
        true => {
            let sum = B::float_sum_dim((gradient * normed).0, 0);
            Array::<B>::reshape(sum, [width])
        }
        false => Array::<B>::reshape(to_x.constant(vec![0.0], [1, 1]).0, [1]),
    };
    (B::float_reshape(to_x.0, shape), to_weight)
}

/// Rows, queries and keys of scores.
fn dims<B: Backend>(scores: &FloatTensor<B>, settings: CausalScale) -> [usize; 3] {
    let shape = scores.shape();
    let keys = shape[shape.num_dims() - 1];
    let queries = settings.queries;
    [shape.num_elements() / (queries * keys).max(1), queries, keys]
}

pub(in crate::kernels) fn causal_softmax<B: Backend>(
    scores: FloatTensor<B>,
    settings: CausalScale,
) -> FloatTensor<B> {
    let (shape, device) = (scores.shape(), scores.device());
    let [rows, queries, keys] = dims::<B>(&scores, settings);
    let line = |count: usize, shape: [usize; 3]| {
        let numbers: Vec<f32> = (0..count).map(|at| at as f32).collect();
        let line = B::float_from_data(TensorData::new(numbers, shape), &device);
        B::float_expand(line, Shape::from([1, queries, keys]))
    };
    let bools = get_or_init_device_settings::<B>(&device).bool_dtype;
    let future = B::float_greater(line(keys, [1, 1, keys]), line(queries, [1, queries, 1]), bools);
    let future = B::bool_expand(future, Shape::from([rows, queries, keys]));
    let scores = B::float_reshape(scores, Shape::from([rows, queries, keys]));
    let scores = B::float_mul_scalar(scores, settings.scale.into());
    let scores = B::float_mask_fill(scores, future, f32::NEG_INFINITY.into());
    let greatest = B::float_max_dim(scores.clone(), 2);
    let weights = B::float_exp(B::float_sub(scores, greatest));
    let totals = B::float_sum_dim(weights.clone(), 2);
    B::float_reshape(B::float_div(weights, totals), shape)
}

/// Weights of other keys are 0, and so are their gradients.
pub(in crate::kernels) fn causal_softmax_gradients<B: Backend>(
    weights: FloatTensor<B>,
    gradient: FloatTensor<B>,
    settings: CausalScale,
) -> FloatTensor<B> {
    let shape = weights.shape();
    let weights = matrix::<B>(weights);
    let weighed = weights.clone() * matrix::<B>(gradient);
    let slopes = weighed.clone() - weights * weighed.sum();
    B::float_reshape((slopes * settings.scale).0, shape)
}

pub(in crate::kernels) fn rotate<B: Backend>(
    x: FloatTensor<B>,
    cosines: FloatTensor<B>,
    sines: FloatTensor<B>,
    is_inverse: bool,
) -> FloatTensor<B> {
    let [rows, tokens, heads, width] = x.shape().dims();
    let part = |from: usize| {
        let all = [0..rows, 0..tokens, 0..heads, from..from + width / 2].map(Slice::from);
        Array::<B>(B::float_slice(x.clone(), &all))
    };
    let (a, b) = (part(0), part(width / 2));
    let cosines = Array::<B>(cosines);
    let sines = Array::<B>(sines) * if is_inverse { -1.0 } else { 1.0 };
    let low = a.clone() * cosines.clone() - b.clone() * sines.clone();
    let high = b * cosines + a * sines;
    B::float_cat(vec![low.0, high.0], 3)
}

pub(in crate::kernels) fn adamw<B: Backend>(
    [parameter, gradient, first, second]: [FloatTensor<B>; 4],
    step: AdamWStep,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let (parameter, gradient) = (Array::<B>(parameter), Array::<B>(gradient));
    let [beta_1, beta_2] = step.betas;
    let first = Array::<B>(first) * beta_1 + gradient.clone() * (1.0 - beta_1);
    let squares = gradient.clone() * gradient;
    let second = Array::<B>(second) * beta_2 + squares * (1.0 - beta_2);
    let root = (second.clone() / step.corrections[1]).sqrt() + step.epsilon;
    let change = first.clone() / step.corrections[0] / root;
    ((parameter * step.kept - change * step.rate).0, first.0, second.0)
}
