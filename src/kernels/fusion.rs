//! The shapes of the operations' results, which burn's fusion asks for before it runs them.

use burn::backend::fusion::custom::TensorSpec;
use burn::tensor::Shape;

use super::cached_attention::CacheSpans;
use super::layers::AdamWStep;
use super::parameters::{EpisodeComparison, Neighbourhood, Targets};

/// A result of another shape.
fn shaped<const D: usize>(like: &TensorSpec, shape: [usize; D]) -> TensorSpec {
    TensorSpec::new(Shape::from(shape), like.dtype)
}

/// Means, neighbours and state.
pub(super) fn proximity(
    _embeddings: &TensorSpec,
    values: &TensorSpec,
    neighbourhood: &Neighbourhood,
) -> (TensorSpec, TensorSpec, TensorSpec) {
    let rows = neighbourhood.layout.rows();
    (values.clone(), shaped(values, [rows]), shaped(values, [rows, 2]))
}

/// Gradients have the shapes of their arguments.
pub(super) fn proximity_gradients(
    embeddings: &TensorSpec,
    values: &TensorSpec,
    _means: &TensorSpec,
    _state: &TensorSpec,
    _gradient: &TensorSpec,
    _neighbourhood: &Neighbourhood,
) -> (TensorSpec, TensorSpec) {
    (embeddings.clone(), values.clone())
}

/// Advantages and statistics.
pub(super) fn episode_advantages(
    rewards: &TensorSpec,
    _success: &TensorSpec,
    comparison: &EpisodeComparison,
) -> (TensorSpec, TensorSpec) {
    (rewards.clone(), shaped(rewards, [comparison.layout.groups(), 3]))
}

/// Three statistics a row.
pub(super) fn logit_statistics(
    hidden: &TensorSpec,
    _head: &TensorSpec,
    targets: &Targets,
) -> TensorSpec {
    shaped(hidden, [targets.rows(), 3])
}

/// Gradients have the shapes of their arguments; one that is not asked for is a single number.
pub(super) fn logit_gradients(
    hidden: &TensorSpec,
    head: &TensorSpec,
    _statistics: &TensorSpec,
    _gradient: &TensorSpec,
    targets: &Targets,
) -> (TensorSpec, TensorSpec) {
    let spec = |like: &TensorSpec, wanted| if wanted { like.clone() } else { shaped(like, [1]) };
    (spec(hidden, targets.to_hidden), spec(head, targets.to_head))
}

/// The mixed values and the cache have the shapes of the queries and of the cache.
pub(super) fn cached_attention(
    queries: &TensorSpec,
    _keys: &TensorSpec,
    _values: &TensorSpec,
    cache: &TensorSpec,
    _spans: &CacheSpans,
) -> (TensorSpec, TensorSpec) {
    (queries.clone(), cache.clone())
}

/// Gradients of the shapes of two arguments.
pub(super) fn first_and_second(
    first: &TensorSpec,
    second: &TensorSpec,
    _gradient: &TensorSpec,
) -> (TensorSpec, TensorSpec) {
    (first.clone(), second.clone())
}

/// Gradients have the shapes of their arguments.
pub(super) fn rms_norm_gradients(
    x: &TensorSpec,
    weight: &TensorSpec,
    _gradient: &TensorSpec,
    _epsilon: &f32,
    _wants_weight: &bool,
) -> (TensorSpec, TensorSpec) {
    (x.clone(), weight.clone())
}

/// The parameter and its moments have one shape.
pub(super) fn adamw(
    parameter: &TensorSpec,
    _gradient: &TensorSpec,
    moment_1: &TensorSpec,
    moment_2: &TensorSpec,
    _step: &AdamWStep,
) -> (TensorSpec, TensorSpec, TensorSpec) {
    (parameter.clone(), moment_1.clone(), moment_2.clone())
}
