//! Layers of language models and the optimizer's step, in one pass over memory each.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use super::backend::KernelBackend;

/// The gated activation of SwiGLU (arXiv 2002.05202), `silu(gate) ⊙ up` with `silu(x) = x / (1 + e^−x)`,
/// number by number. Gradients reach both.
///
/// # Panics
/// If the shapes differ.
pub fn swiglu<const D: usize>(gate: Tensor<D>, up: Tensor<D>) -> Tensor<D> {
    assert_eq!(gate.dims(), up.dims(), "gate and up have one shape");
    if gate.shape().num_elements() == 0 {
        return gate;
    }
    Tensor::from_dispatch(Dispatch::swiglu(gate.into_dispatch(), up.into_dispatch()))
}

/// Root mean square normalisation (arXiv 1910.07467) of `x`, `[…, width]`, by rows:
/// `x / sqrt(mean(x²) + ε) ⊙ weight` with a weight `[width]`. Gradients reach both; a weight that requires
/// none costs none.
///
/// # Panics
/// If the weight has another length than the rows.
pub fn rms_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, epsilon: f32) -> Tensor<D> {
    assert_eq!(x.dims()[D - 1], weight.dims()[0], "the weight is as long as a row");
    if x.shape().num_elements() == 0 {
        return x;
    }
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(Dispatch::rms_norm(x, weight, epsilon))
}

/// `softmax(scale · scores)` of causal attention: scores are `[…, tokens, tokens]`, the last dimension
/// counts keys, and a key after its query has the weight 0 and no influence. `scale` is above 0. A query
/// with a score that is not finite has the weights NaN.
///
/// # Panics
/// If the last two dimensions differ.
pub fn causal_softmax<const D: usize>(scores: Tensor<D>, scale: f32) -> Tensor<D> {
    let shape = scores.dims();
    assert_eq!(shape[D - 1], shape[D - 2], "there are as many keys as queries");
    if scores.shape().num_elements() == 0 {
        return scores;
    }
    Tensor::from_dispatch(Dispatch::causal_softmax(scores.into_dispatch(), scale))
}

/// Rotates each pair `(x_i, x_{i + width / 2})` of `x`, `[rows, tokens, heads, width]`, by the angle of its
/// token: `(a cos θ − b sin θ, b cos θ + a sin θ)` (arXiv 2104.09864). The tables of cosines and sines,
/// `[1, tokens, 1, width / 2]`, are constants.
///
/// # Panics
/// If the shapes do not fit.
pub fn rotate(x: Tensor<4>, cosines: Tensor<4>, sines: Tensor<4>) -> Tensor<4> {
    let [_, tokens, _, width] = x.dims();
    for table in [&cosines, &sines] {
        assert_eq!(table.dims(), [1, tokens, 1, width / 2], "the tables have a row a token");
    }
    assert_eq!(width % 2, 0, "the width is even");
    if x.shape().num_elements() == 0 {
        return x;
    }
    let (cosines, sines) = (cosines.into_dispatch(), sines.into_dispatch());
    Tensor::from_dispatch(Dispatch::rotate(x.into_dispatch(), cosines, sines, false))
}

/// The numbers of a step of AdamW (arXiv 1711.05101, algorithm 2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWStep {
    /// Learning rate.
    pub rate: f32,
    /// What weight decay leaves of a parameter: 1 − learning rate · weight decay.
    pub kept: f32,
    /// Decay rate of the first moment.
    pub beta_1: f32,
    /// Decay rate of the second moment.
    pub beta_2: f32,
    /// `1 / (1 − beta_1^t)` at step `t`.
    pub correction_1: f32,
    /// `1 / (1 − beta_2^t)` at step `t`.
    pub correction_2: f32,
    /// Added to the root of the corrected second moment.
    pub epsilon: f32,
}

/// A step of AdamW: the parameter and its two moments after it, from those before it, `[parameter,
/// first moment, second moment]`, and the gradient.
///
/// # Panics
/// If the shapes differ.
pub fn adamw<const D: usize>(
    [parameter, first, second]: [Tensor<D>; 3],
    gradient: Tensor<D>,
    step: AdamWStep,
) -> [Tensor<D>; 3] {
    for tensor in [&first, &second, &gradient] {
        assert_eq!(tensor.dims(), parameter.dims(), "moments and gradient have one shape");
    }
    if parameter.shape().num_elements() == 0 {
        return [parameter, first, second];
    }
    let (parameter, gradient) = (parameter.into_dispatch(), gradient.into_dispatch());
    let (first, second) = (first.into_dispatch(), second.into_dispatch());
    let (parameter, first, second) = Dispatch::adamw(parameter, gradient, first, second, step);
    [parameter, first, second].map(Tensor::from_dispatch)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn tensors_without_numbers_give_tensors_without_numbers() {
        let device = Device::flex();
        let empty = || Tensor::<2>::zeros([0, 4], &device);
        assert_eq!(swiglu(empty(), empty()).dims(), [0, 4]);
        assert_eq!(rms_norm(empty(), Tensor::zeros([4], &device), 1e-5).dims(), [0, 4]);
        assert_eq!(causal_softmax(Tensor::<3>::zeros([0, 3, 3], &device), 1.0).dims(), [0, 3, 3]);
        let table = || Tensor::zeros([1, 0, 1, 2], &device);
        assert_eq!(rotate(Tensor::zeros([2, 0, 3, 4], &device), table(), table()).dims(), [2, 0, 3, 4]);
    }

    #[test]
    fn a_shared_tensor_stays_as_it_was() {
        let device = Device::flex();
        let numbers = |tensor: &Tensor<2>| tensor.to_data().to_vec::<f32>().unwrap();
        let x = Tensor::<2>::from_data([[1.0, -2.0], [3.0, 0.5]], &device);
        let before = numbers(&x);
        let other = x.clone();
        let _ = swiglu(x.clone(), other.clone());
        let _ = rms_norm(x.clone(), Tensor::ones([2], &device), 1e-5);
        let _ = causal_softmax(x.clone(), 1.0);
        assert_eq!(numbers(&x), before);
        assert_eq!(numbers(&other), before);
    }
}
