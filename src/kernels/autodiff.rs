//! The kernels in burn's autodiff.

use burn::backend::Autodiff;
use burn::backend::AutodiffBackend;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;

use super::backend::KernelBackend;
use super::cached_attention::CacheSpans;
use super::layers::AdamWStep;
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

/// The backward step of SwiGLU.
#[derive(Debug)]
struct SwigluStep;

impl<B: KernelBackend> Backward<B, 2> for SwigluStep {
    type State = [FloatTensor<B>; 2];

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [gate_node, up_node] = ops.parents;
        let gradient = grads.consume::<B>(&ops.node);
        let [gate, up] = ops.state;
        let (to_gate, to_up) = B::swiglu_gradients(gate, up, gradient);
        if let Some(node) = gate_node {
            grads.register::<B>(node.id, to_gate);
        }
        if let Some(node) = up_node {
            grads.register::<B>(node.id, to_up);
        }
    }
}

/// The backward step of root mean square normalisation.
#[derive(Debug)]
struct RmsNormStep;

impl<B: KernelBackend> Backward<B, 2> for RmsNormStep {
    type State = ([FloatTensor<B>; 2], f32);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x_node, weight_node] = ops.parents;
        let gradient = grads.consume::<B>(&ops.node);
        let ([x, weight], epsilon) = ops.state;
        let (to_x, to_weight) =
            B::rms_norm_gradients(x, weight, gradient, epsilon, weight_node.is_some());
        if let Some(node) = x_node {
            grads.register::<B>(node.id, to_x);
        }
        if let Some(node) = weight_node {
            grads.register::<B>(node.id, to_weight);
        }
    }
}

/// The backward step of the causal softmax.
#[derive(Debug)]
struct CausalSoftmaxStep;

impl<B: KernelBackend> Backward<B, 1> for CausalSoftmaxStep {
    type State = (FloatTensor<B>, f32);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [scores] = ops.parents;
        let gradient = grads.consume::<B>(&ops.node);
        let (weights, scale) = ops.state;
        if let Some(node) = scores {
            grads.register::<B>(node.id, B::causal_softmax_gradient(weights, gradient, scale));
        }
    }
}

/// The backward step of the rotation.
#[derive(Debug)]
struct RotateStep;

impl<B: KernelBackend> Backward<B, 1> for RotateStep {
    type State = ([FloatTensor<B>; 2], bool);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x] = ops.parents;
        let gradient = grads.consume::<B>(&ops.node);
        let ([cosines, sines], back) = ops.state;
        if let Some(node) = x {
            grads.register::<B>(node.id, B::rotate(gradient, cosines, sines, !back));
        }
    }
}

fn constant<B: KernelBackend, C: CheckpointStrategy>(
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
        let (gate, gate_node) = gate.into_parts();
        let (up, up_node) = up.into_parts();
        match SwigluStep.prepare::<C>([gate_node, up_node]).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let saved = [gate.clone(), up.clone()];
                step.finish(saved, B::swiglu(gate, up))
            }
            OpsKind::UnTracked(step) => step.finish(B::swiglu(gate, up)),
        }
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
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let (x, x_node) = x.into_parts();
        let (weight, weight_node) = weight.into_parts();
        match RmsNormStep.prepare::<C>([x_node, weight_node]).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let saved = ([x.clone(), weight.clone()], epsilon);
                step.finish(saved, B::rms_norm(x, weight, epsilon))
            }
            OpsKind::UnTracked(step) => step.finish(B::rms_norm(x, weight, epsilon)),
        }
    }

    /// Gradients are constants: there are no second derivatives.
    fn rms_norm_gradients(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f32,
        wants_weight: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [x, weight, gradient] = [x, weight, gradient].map(|tensor| tensor.into_primitive());
        let (to_x, to_weight) = B::rms_norm_gradients(x, weight, gradient, epsilon, wants_weight);
        (constant::<B, C>(to_x), constant::<B, C>(to_weight))
    }

    fn causal_softmax(scores: FloatTensor<Self>, scale: f32) -> FloatTensor<Self> {
        let (scores, node) = scores.into_parts();
        let weights = B::causal_softmax(scores, scale);
        match CausalSoftmaxStep.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish((weights.clone(), scale), weights),
            OpsKind::UnTracked(step) => step.finish(weights),
        }
    }

    /// Gradients are constants: there are no second derivatives.
    fn causal_softmax_gradient(
        weights: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        scale: f32,
    ) -> FloatTensor<Self> {
        let [weights, gradient] = [weights, gradient].map(|tensor| tensor.into_primitive());
        constant::<B, C>(B::causal_softmax_gradient(weights, gradient, scale))
    }

    /// The tables are constants.
    fn rotate(
        x: FloatTensor<Self>,
        cosines: FloatTensor<Self>,
        sines: FloatTensor<Self>,
        back: bool,
    ) -> FloatTensor<Self> {
        let (x, node) = x.into_parts();
        let [cosines, sines] = [cosines, sines].map(|table| table.into_primitive());
        let rotated = B::rotate(x, cosines.clone(), sines.clone(), back);
        match RotateStep.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish(([cosines, sines], back), rotated),
            OpsKind::UnTracked(step) => step.finish(rotated),
        }
    }

    /// Constants: steps are not differentiated.
    fn adamw(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        moment_1: FloatTensor<Self>,
        moment_2: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [parameter, gradient, moment_1, moment_2] =
            [parameter, gradient, moment_1, moment_2].map(|tensor| tensor.into_primitive());
        let (parameter, moment_1, moment_2) =
            B::adamw(parameter, gradient, moment_1, moment_2, step);
        let of = constant::<B, C>;
        (of(parameter), of(moment_1), of(moment_2))
    }
}
