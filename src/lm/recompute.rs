//! The gradient with layers computed again (arXiv 1604.06174).
//!
//! The forward pass keeps the input of each layer and nothing else. The backward pass computes one layer
//! at a time again, with what its gradient needs. So memory is that of one layer, plus `[tokens, hidden]`
//! a layer.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Gradients, Tensor};

use super::model::Decoder;
use crate::error::Result;
use crate::gradients::Gradient;

/// A loss of sequences, and its gradient by the trained weights of a model with autodiff. `loss` turns the
/// hidden states after the last normalisation, `[rows * tokens, hidden]`, into the loss, `[1]`, and a
/// further result.
///
/// # Errors
/// Fails if a sequence does not fit the model, or `loss` fails.
pub(crate) fn differentiate<T>(
    model: &Decoder,
    rows: &[&[u32]],
    loss: impl FnOnce(Tensor<2>) -> Result<(Tensor<1>, T)>,
) -> Result<(T, Gradient)> {
    let layers = model.config().layers;
    let mut states = states(&model.valid(), rows)?;
    let inputs = model.inputs(rows)?;
    let x = leaf(states.split_off(layers).remove(0));
    let (loss, result) = loss(model.normalised(x.clone()))?;
    let (mut upstream, mut sum) = back(model, &x, loss.backward());
    for (layer, state) in states.into_iter().enumerate().rev() {
        let x = leaf(state);
        let y = model.layer(layer, x.clone(), &inputs);
        // The gradient of this sum is the layer's share of the loss's.
        let gradients = (y * Tensor::from_inner(upstream)).sum().backward();
        let (next, gradient) = back(model, &x, gradients);
        (upstream, sum) = (next, sum.add(model, gradient));
    }
    if model.trains_embedding() {
        model.add_embedding_gradient(&inputs, &upstream, &mut sum);
    }
    Ok((result, sum))
}

/// The input of each layer and the output of the last, `[rows * tokens, hidden]` each.
fn states(model: &Decoder, rows: &[&[u32]]) -> Result<Vec<Tensor<2>>> {
    let inputs = model.inputs(rows)?;
    let mut x = model.embed(&inputs);
    let mut states = vec![x.clone()];
    for layer in 0..model.config().layers {
        x = model.layer(layer, x, &inputs);
        states.push(x.clone());
    }
    Ok(states)
}

/// A tensor with autodiff that gets a gradient.
pub(super) fn leaf(state: Tensor<2>) -> Tensor<2> {
    Tensor::from_inner(state).require_grad()
}

/// The gradient by a leaf, and those by the weights.
pub(super) fn back(
    model: &Decoder,
    x: &Tensor<2>,
    mut gradients: Gradients,
) -> (Tensor<2>, Gradient) {
    let of_x = x.grad_remove(&mut gradients).unwrap_or_else(|| x.clone().inner().zeros_like());
    (of_x, Gradient(GradientsParams::from_grads(gradients, model)))
}
