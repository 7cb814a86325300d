//! The kernels in burn's autodiff.

use burn::backend::Autodiff;
use burn::backend::AutodiffBackend;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;

use super::autodiff_layers as layers;
use super::backend::KernelBackend;
use super::cached_attention::CacheSpans;
use super::layers::{AdamWStep, CausalScale, Normalisation};
use super::parameters::EpisodeComparison;
use super::parameters::{Neighbourhood, Targets};
use crate::episodes::Layout;

/// The backward step of proximity.
#[derive(Debug)]
struct ProximityStep;

/// The tensors that the forward pass keeps for it: `O(rows)`, and mostly shared with the graph.
#[derive(Debug, Clone)]
struct Saved<B: KernelBackend> {
    embeddings: FloatTensor<B>,
    values: FloatTensor<B>,
    means: FloatTensor<B>,
    state: FloatTensor<B>,
    neighbourhood: Neighbourhood,
}

impl<B: KernelBackend> Backward<B, 2> for ProximityStep {
    type State = Saved<B>;

    fn backward(self, ops: Ops<Saved<B>, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [embeddings, values] = ops.parents;
        let gradient = grads.consume::<B>(&ops.node);
        let saved = ops.state;
        let (to_embeddings, to_values) = B::proximity_gradients(
            saved.embeddings,
            saved.values,
            saved.means,
            saved.state,
            gradient,
            saved.neighbourhood,
        );
        if let Some(node) = embeddings {
            grads.register::<B>(node.id, to_embeddings);
        }
        if let Some(node) = values {
            grads.register::<B>(node.id, to_values);
        }
    }
}

/// The backward step of the statistics of logits.
#[derive(Debug)]
struct LogitStep;

/// The tensors that the forward pass keeps for it. Logits are computed again.
#[derive(Debug, Clone)]
struct SavedLogits<B: KernelBackend> {
    hidden: FloatTensor<B>,
    head: FloatTensor<B>,
    statistics: FloatTensor<B>,
    targets: Targets,
}

impl<B: KernelBackend> Backward<B, 2> for LogitStep {
    type State = SavedLogits<B>;

    fn backward(self, ops: Ops<SavedLogits<B>, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [hidden, head] = ops.parents;
        let gradient = grads.consume::<B>(&ops.node);
        let saved = ops.state;
        let targets = saved.targets.with_gradients(hidden.is_some(), head.is_some());
        let (to_hidden, to_head) =
            B::logit_gradients(saved.hidden, saved.head, saved.statistics, gradient, targets);
        if let Some(node) = hidden {
            grads.register::<B>(node.id, to_hidden);
        }
        if let Some(node) = head {
            grads.register::<B>(node.id, to_head);
        }
    }
}

pub(super) fn constant<B: KernelBackend, C: CheckpointStrategy>(
    tensor: FloatTensor<B>,
) -> FloatTensor<Autodiff<B, C>> {
    <Autodiff<B, C> as AutodiffBackend>::from_inner(tensor)
}

impl<B: KernelBackend, C: CheckpointStrategy> KernelBackend for Autodiff<B, C> {
    fn proximity(
        embeddings: FloatTensor<Self>,
        values: FloatTensor<Self>,
        neighbourhood: Neighbourhood,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (embeddings, embeddings_node) = embeddings.into_parts();
        let (values, values_node) = values.into_parts();
        let (means, neighbours, state) =
            B::proximity(embeddings.clone(), values.clone(), neighbourhood.clone());
        let step = ProximityStep.prepare::<C>([embeddings_node, values_node]);
        let tracked = match step.compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let saved = Saved {
                    embeddings,
                    values,
                    means: means.clone(),
                    state: state.clone(),
                    neighbourhood,
                };
                step.finish(saved, means)
            }
            OpsKind::UnTracked(step) => step.finish(means),
        };
        (tracked, constant::<B, C>(neighbours), constant::<B, C>(state))
    }

    /// Gradients are constants: there are no second derivatives.
    fn proximity_gradients(
        embeddings: FloatTensor<Self>,
        values: FloatTensor<Self>,
        means: FloatTensor<Self>,
        state: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        neighbourhood: Neighbourhood,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (to_embeddings, to_values) = B::proximity_gradients(
            embeddings.into_primitive(),
            values.into_primitive(),
            means.into_primitive(),
            state.into_primitive(),
            gradient.into_primitive(),
            neighbourhood,
        );
        (constant::<B, C>(to_embeddings), constant::<B, C>(to_values))
    }

    /// A constant: no gradient reaches rewards.
    fn discounted_returns(
        rewards: FloatTensor<Self>,
        layout: Layout,
        gamma: f32,
    ) -> FloatTensor<Self> {
        constant::<B, C>(B::discounted_returns(rewards.into_primitive(), layout, gamma))
    }

    /// Constants: no gradient reaches rewards.
    fn episode_advantages(
        rewards: FloatTensor<Self>,
        success: FloatTensor<Self>,
        comparison: EpisodeComparison,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (advantages, statistics) =
            B::episode_advantages(rewards.into_primitive(), success.into_primitive(), comparison);
        (constant::<B, C>(advantages), constant::<B, C>(statistics))
    }

    fn logit_statistics(
        hidden: FloatTensor<Self>,
        head: FloatTensor<Self>,
        targets: Targets,
    ) -> FloatTensor<Self> {
        let (hidden, hidden_node) = hidden.into_parts();
        let (head, head_node) = head.into_parts();
        let statistics = B::logit_statistics(hidden.clone(), head.clone(), targets.clone());
        let step = LogitStep.prepare::<C>([hidden_node, head_node]);
        match step.compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let saved = SavedLogits { hidden, head, statistics: statistics.clone(), targets };
                step.finish(saved, statistics)
            }
            OpsKind::UnTracked(step) => step.finish(statistics),
        }
    }

    /// Gradients are constants: there are no second derivatives.
    fn logit_gradients(
        hidden: FloatTensor<Self>,
        head: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        targets: Targets,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [hidden, head, statistics, gradient] =
            [hidden, head, statistics, gradient].map(|tensor| tensor.into_primitive());
        let (to_hidden, to_head) = B::logit_gradients(hidden, head, statistics, gradient, targets);
        (constant::<B, C>(to_hidden), constant::<B, C>(to_head))
    }

    /// Constants: a cache keeps no graph.
    fn cached_attention(
        queries: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        cache: FloatTensor<Self>,
        spans: CacheSpans,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [queries, keys, values, cache] =
            [queries, keys, values, cache].map(|tensor| tensor.into_primitive());
        let (mixed, cache) = B::cached_attention(queries, keys, values, cache, spans);
        (constant::<B, C>(mixed), constant::<B, C>(cache))
    }

    fn swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        layers::swiglu::<B, C>(gate, up)
    }

    /// Gradients are constants: there are no second derivatives.
    fn swiglu_gradients(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [gate, up, gradient] = [gate, up, gradient].map(|tensor| tensor.into_primitive());
        let (to_gate, to_up) = B::swiglu_gradients(gate, up, gradient);
        (constant::<B, C>(to_gate), constant::<B, C>(to_up))
    }

    fn rms_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        settings: Normalisation,
    ) -> FloatTensor<Self> {
        layers::rms_norm::<B, C>(x, weight, settings)
    }

    /// Gradients are constants: there are no second derivatives.
    fn rms_norm_gradients(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        settings: Normalisation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [x, weight, gradient] = [x, weight, gradient].map(|tensor| tensor.into_primitive());
        let (to_x, to_weight) = B::rms_norm_gradients(x, weight, gradient, settings);
        (constant::<B, C>(to_x), constant::<B, C>(to_weight))
    }

    fn causal_softmax(scores: FloatTensor<Self>, settings: CausalScale) -> FloatTensor<Self> {
        layers::causal_softmax::<B, C>(scores, settings)
    }

    /// The gradient is a constant: there are no second derivatives.
    fn causal_softmax_gradients(
        weights: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        settings: CausalScale,
    ) -> FloatTensor<Self> {
        let [weights, gradient] = [weights, gradient].map(|tensor| tensor.into_primitive());
        constant::<B, C>(B::causal_softmax_gradients(weights, gradient, settings))
    }

    /// No gradient reaches cosines and sines.
    fn rotate(
        x: FloatTensor<Self>,
        cosines: FloatTensor<Self>,
        sines: FloatTensor<Self>,
        is_inverse: bool,
    ) -> FloatTensor<Self> {
        let [cosines, sines] = [cosines, sines].map(|tensor| tensor.into_primitive());
        layers::rotate::<B, C>(x, [cosines, sines], is_inverse)
    }

    /// Constants: no gradient passes a step of the optimizer.
    fn adamw(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [parameter, gradient, first, second] =
            [parameter, gradient, first, second].map(|tensor| tensor.into_primitive());
        let (parameter, first, second) = B::adamw(parameter, gradient, first, second, step);
        let [parameter, first, second] = [parameter, first, second].map(constant::<B, C>);
        (parameter, first, second)
    }
}
