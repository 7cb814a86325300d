//! The operations of layers of language models in burn's autodiff.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;

use super::backend::KernelBackend;
use super::layers::{CausalScale, Normalisation};

/// The backward step of the gated unit.
#[derive(Debug)]
struct SwigluStep;

impl<B: KernelBackend> Backward<B, 2> for SwigluStep {
    type State = [FloatTensor<B>; 2];

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let [gate, up] = ops.state;
        let (to_gate, to_up) = B::swiglu_gradients(gate, up, gradient);
        for (node, gradient) in ops.parents.into_iter().zip([to_gate, to_up]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

pub(super) fn swiglu<B: KernelBackend, C: CheckpointStrategy>(
    gate: FloatTensor<Autodiff<B, C>>,
    up: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    let ((gate, gate_node), (up, up_node)) = (gate.into_parts(), up.into_parts());
    match SwigluStep.prepare::<C>([gate_node, up_node]).compute_bound().stateful() {
        OpsKind::Tracked(step) => {
            let result = B::swiglu(gate.clone(), up.clone());
            step.finish([gate, up], result)
        }
        OpsKind::UnTracked(step) => step.finish(B::swiglu(gate, up)),
    }
}

/// The backward step of the normalisation.
#[derive(Debug)]
struct NormStep;

/// What the forward pass keeps for it.
#[derive(Debug, Clone)]
struct SavedNorm<B: KernelBackend> {
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    settings: Normalisation,
}

impl<B: KernelBackend> Backward<B, 2> for NormStep {
    type State = SavedNorm<B>;

    fn backward(self, ops: Ops<SavedNorm<B>, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let [x, weight] = ops.parents;
        let saved = ops.state;
        let settings = Normalisation { to_weight: weight.is_some(), ..saved.settings };
        let (to_x, to_weight) = B::rms_norm_gradients(saved.x, saved.weight, gradient, settings);
        for (node, gradient) in [(x, to_x), (weight, to_weight)] {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

pub(super) fn rms_norm<B: KernelBackend, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    weight: FloatTensor<Autodiff<B, C>>,
    settings: Normalisation,
) -> FloatTensor<Autodiff<B, C>> {
    let ((x, x_node), (weight, weight_node)) = (x.into_parts(), weight.into_parts());
    match NormStep.prepare::<C>([x_node, weight_node]).compute_bound().stateful() {
        OpsKind::Tracked(step) => {
            let result = B::rms_norm(x.clone(), weight.clone(), settings);
            step.finish(SavedNorm { x, weight, settings }, result)
        }
        OpsKind::UnTracked(step) => step.finish(B::rms_norm(x, weight, settings)),
    }
}

/// The backward step of the softmax, from its result.
#[derive(Debug)]
struct SoftmaxStep(CausalScale);

impl<B: KernelBackend> Backward<B, 1> for SoftmaxStep {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let [scores] = ops.parents;
        let gradient = B::causal_softmax_gradients(ops.state, gradient, self.0);
        if let Some(node) = scores {
            grads.register::<B>(node.id, gradient);
        }
    }
}

pub(super) fn causal_softmax<B: KernelBackend, C: CheckpointStrategy>(
    scores: FloatTensor<Autodiff<B, C>>,
    settings: CausalScale,
) -> FloatTensor<Autodiff<B, C>> {
    let (scores, node) = scores.into_parts();
    let weights = B::causal_softmax(scores, settings);
    match SoftmaxStep(settings).prepare::<C>([node]).compute_bound().stateful() {
        OpsKind::Tracked(step) => step.finish(weights.clone(), weights),
        OpsKind::UnTracked(step) => step.finish(weights),
    }
}

/// The backward step of a rotation: the rotation back.
#[derive(Debug)]
struct RotationStep {
    is_inverse: bool,
}

impl<B: KernelBackend> Backward<B, 1> for RotationStep {
    type State = [FloatTensor<B>; 2];

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let [x] = ops.parents;
        let [cosines, sines] = ops.state;
        if let Some(node) = x {
            grads.register::<B>(node.id, B::rotate(gradient, cosines, sines, !self.is_inverse));
        }
    }
}

pub(super) fn rotate<B: KernelBackend, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    tables: [FloatTensor<B>; 2],
    is_inverse: bool,
) -> FloatTensor<Autodiff<B, C>> {
    let (x, node) = x.into_parts();
    let [cosines, sines] = tables.clone();
    let rotated = B::rotate(x, cosines, sines, is_inverse);
    match (RotationStep { is_inverse }).prepare::<C>([node]).compute_bound().stateful() {
        OpsKind::Tracked(step) => step.finish(tables, rotated),
        OpsKind::UnTracked(step) => step.finish(rotated),
    }
}
