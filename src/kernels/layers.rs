//! Operations of the layers of language models, each in one pass over memory.
//!
//! Tensors are as wide as their last dimension; what comes before it are rows. A NaN in a row reaches that
//! row of the result only.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use super::backend::KernelBackend;

/// A normalisation and its gradients.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalisation {
    /// Added to the mean of the squares.
    pub epsilon: f32,
    /// Whether the weight's gradient is asked for.
    pub to_weight: bool,
}

/// A softmax over the keys up to each query's own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CausalScale {
    /// Rows are queries; each run of so many begins at position 0.
    pub queries: usize,
    /// The factor on scores.
    pub scale: f32,
}

/// A step of AdamW. The corrections are `1 − βᵗ` at step `t`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWStep {
    /// The learning rate.
    pub rate: f32,
    /// The factor on the parameter, `1 − learning rate · weight decay`.
    pub kept: f32,
    /// Decay rates of the moments.
    pub betas: [f32; 2],
    /// Corrections of the moments.
    pub corrections: [f32; 2],
    /// Added to the root of the second moment.
    pub epsilon: f32,
}

/// `silu(gate) ⊙ up` (SwiGLU, arXiv 2002.05202), of the same shape.
pub(crate) fn swiglu(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::swiglu(gate.into_dispatch(), up.into_dispatch()))
}

/// `w ⊙ x / sqrt(mean(x²) + ε)` over the last dimension (arXiv 1910.07467), with the weight `w` of its
/// length.
pub(crate) fn rms_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, epsilon: f32) -> Tensor<D> {
    let settings = Normalisation { epsilon, to_weight: true };
    Tensor::from_dispatch(Dispatch::rms_norm(x.into_dispatch(), weight.into_dispatch(), settings))
}

/// The softmax of scaled scores over keys, `[…, queries, keys]`, where query `q` sees keys 0 to `q`: other
/// keys get 0. A row with a NaN or `+∞` among the scores that it sees is NaN.
pub(crate) fn causal_softmax<const D: usize>(scores: Tensor<D>, scale: f32) -> Tensor<D> {
    let settings = CausalScale { queries: scores.dims()[D - 2], scale };
    Tensor::from_dispatch(Dispatch::causal_softmax(scores.into_dispatch(), settings))
}

/// Rotates each pair `(x_i, x_{i + width / 2})` of `x`, `[rows, tokens, heads, width]`, by the angle of its
/// token (RoFormer, arXiv 2104.09864), whose cosine and sine `[1, tokens, 1, width / 2]` are given. No
/// gradient reaches these.
pub(crate) fn rotate(x: Tensor<4>, cosines: &Tensor<4>, sines: &Tensor<4>) -> Tensor<4> {
    let [cosines, sines] = [cosines, sines].map(|table| table.clone().into_dispatch());
    Tensor::from_dispatch(Dispatch::rotate(x.into_dispatch(), cosines, sines, false))
}

/// One step of AdamW (arXiv 1711.05101): from a parameter, its gradient and both moments, all of the same
/// shape, the parameter and the moments after it.
///
/// ```text
/// m ← β₁ m + (1 − β₁) g        v ← β₂ v + (1 − β₂) g²        p ← kept · p − rate · (m / c₁) / (sqrt(v / c₂) + ε)
/// ```
pub(crate) fn adamw<const D: usize>(
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    [first, second]: [Tensor<D>; 2],
    step: AdamWStep,
) -> (Tensor<D>, [Tensor<D>; 2]) {
    let (parameter, first, second) = Dispatch::adamw(
        parameter.into_dispatch(),
        gradient.into_dispatch(),
        first.into_dispatch(),
        second.into_dispatch(),
        step,
    );
    (Tensor::from_dispatch(parameter), [first, second].map(Tensor::from_dispatch))
}

#[cfg(test)]
mod tests;
