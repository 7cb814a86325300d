//! The extension of burn's backends by the operations of this crate.
//!
//! The trait's own bodies state each operation in burn's operations. Backends without a body of their own
//! run these.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};

use super::cached_attention::CacheSpans;
#[cfg(feature = "fusion")]
use super::fusion;
use super::layers::AdamWStep;
use super::parameters::{EpisodeComparison, Neighbourhood, Targets};
use super::{cpu, portable};
use crate::episodes::Layout;

/// The operations that a backend adds to burn's.
///
/// burn's fusion delays operations until a result is read. It knows only the shapes of the results of
/// these operations, and runs them unchanged.
#[backend_extension(
    Cube: cfg(feature = "wgpu"),
    Flex,
    NdArray: cfg(feature = "ndarray"),
    Autodiff,
    Fusion: cfg(feature = "fusion")
)]
pub trait KernelBackend: Backend {
    /// Softmax-weighted means over each row's neighbours.
    ///
    /// From embeddings `[rows, width]` and values `[rows, columns]`: the means `[rows, columns]`, the
    /// effective sample sizes `[rows]`, and the state of the gradient `[rows, 2]`: the cosine of the
    /// nearest row and 1 / the sum of the weights relative to it (0 for a row without neighbours, −1
    /// for a NaN row).
    #[fusion(meta = fusion::proximity)]
    fn proximity(
        embeddings: FloatTensor<Self>,
        values: FloatTensor<Self>,
        neighbourhood: Neighbourhood,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        portable::proximity::<Self>(embeddings, values, &neighbourhood)
    }

    /// [`KernelBackend::proximity`] in burn's own operations on every backend.
    #[fusion(default)]
    fn plain_proximity(
        embeddings: FloatTensor<Self>,
        values: FloatTensor<Self>,
        neighbourhood: Neighbourhood,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        portable::proximity::<Self>(embeddings, values, &neighbourhood)
    }

    /// The gradients of [`KernelBackend::proximity`] with respect to embeddings and values, from its
    /// arguments, its means and state, and the gradient of the means.
    #[fusion(meta = fusion::proximity_gradients)]
    fn proximity_gradients(
        embeddings: FloatTensor<Self>,
        values: FloatTensor<Self>,
        means: FloatTensor<Self>,
        state: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        neighbourhood: Neighbourhood,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        portable::proximity_gradients::<Self>(
            embeddings,
            values,
            means,
            state,
            gradient,
            &neighbourhood,
        )
    }

    /// The discounted return of each row from its reward: `[rows]` both.
    #[fusion(dtype = rewards, shape = rewards)]
    fn discounted_returns(
        rewards: FloatTensor<Self>,
        layout: Layout,
        gamma: f32,
    ) -> FloatTensor<Self> {
        portable::discounted_returns::<Self>(rewards, &layout, gamma)
    }

    /// The episode part of each row's advantage `[rows]` and each group's statistics `[groups, 3]`,
    /// from rewards `[rows]` and successes `[episodes]`.
    #[fusion(meta = fusion::episode_advantages)]
    fn episode_advantages(
        rewards: FloatTensor<Self>,
        success: FloatTensor<Self>,
        comparison: EpisodeComparison,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        portable::episode_advantages::<Self>(rewards, success, &comparison)
    }

    /// Statistics of each row's logits, `hidden · headᵀ`, from hidden states `[rows, width]` and the
    /// head `[vocabulary, width]`: `[rows, 3]`, the log of the sum of their exponentials, the entropy of
    /// their softmax, and the target's logit (0 without a target).
    #[fusion(meta = fusion::logit_statistics)]
    fn logit_statistics(
        hidden: FloatTensor<Self>,
        head: FloatTensor<Self>,
        targets: Targets,
    ) -> FloatTensor<Self> {
        portable::logit_statistics::<Self>(hidden, head, &targets)
    }

    /// The gradients of [`KernelBackend::logit_statistics`] with respect to hidden states and head, from
    /// its arguments, its result, and the gradient of that. One that `targets` does not ask for is a
    /// single 0.
    #[fusion(meta = fusion::logit_gradients)]
    fn logit_gradients(
        hidden: FloatTensor<Self>,
        head: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        targets: Targets,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        portable::logit_gradients::<Self>([hidden, head, statistics, gradient], &targets)
    }

    /// Causal attention of new tokens over the keys and values of a cache, to which their own are added
    /// first. From queries `[tokens, heads * width]`, keys and values `[tokens, kv_heads * width]` and
    /// the cache `[slots, 2 * kv_heads * width]`: the mixed values, as the queries, and the cache.
    #[fusion(meta = fusion::cached_attention)]
    fn cached_attention(
        queries: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        cache: FloatTensor<Self>,
        spans: CacheSpans,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        portable::cached_attention::<Self>([queries, keys, values], cache, &spans)
    }

    /// `silu(gate) ⊙ up`.
    #[fusion(dtype = gate, shape = gate)]
    fn swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        portable::swiglu::<Self>(gate, up)
    }

    /// The gradients of [`KernelBackend::swiglu`] by gate and up, from its arguments and the gradient of its
    /// result.
    #[fusion(meta = fusion::first_and_second)]
    fn swiglu_gradients(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        portable::swiglu_gradients::<Self>(gate, up, gradient)
    }

    /// Root mean square normalisation of rows.
    #[fusion(dtype = x, shape = x)]
    fn rms_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        portable::rms_norm::<Self>(x, weight, epsilon)
    }

    /// The gradients of [`KernelBackend::rms_norm`] by rows and weight, from its arguments and the gradient
    /// of its result. Zeros for a weight that `wants_weight` does not ask for.
    #[fusion(meta = fusion::rms_norm_gradients)]
    fn rms_norm_gradients(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f32,
        wants_weight: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        portable::rms_norm_gradients::<Self>(x, weight, gradient, epsilon, wants_weight)
    }

    /// The softmax of scaled scores over the keys up to each query.
    #[fusion(dtype = scores, shape = scores)]
    fn causal_softmax(scores: FloatTensor<Self>, scale: f32) -> FloatTensor<Self> {
        portable::causal_softmax::<Self>(scores, scale)
    }

    /// The gradient of [`KernelBackend::causal_softmax`], from its result and the gradient of that.
    #[fusion(dtype = weights, shape = weights)]
    fn causal_softmax_gradient(
        weights: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        scale: f32,
    ) -> FloatTensor<Self> {
        portable::causal_softmax_gradient::<Self>(weights, gradient, scale)
    }

    /// Rotation of pairs by the angles of their tokens, or back, which is its gradient.
    #[fusion(dtype = x, shape = x)]
    fn rotate(
        x: FloatTensor<Self>,
        cosines: FloatTensor<Self>,
        sines: FloatTensor<Self>,
        back: bool,
    ) -> FloatTensor<Self> {
        portable::rotate::<Self>(x, cosines, sines, back)
    }

    /// A parameter and its moments after a step of AdamW.
    #[fusion(meta = fusion::adamw)]
    fn adamw(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        moment_1: FloatTensor<Self>,
        moment_2: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        portable::adamw::<Self>([parameter, gradient, moment_1, moment_2], step)
    }
}

/// The body that CPU backends share: matrix products of the backend, and plain loops.
macro_rules! on_the_cpu {
    ($backend:ty) => {
        impl KernelBackend for $backend {
            fn proximity(
                embeddings: FloatTensor<Self>,
                values: FloatTensor<Self>,
                neighbourhood: Neighbourhood,
            ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
                cpu::proximity::<Self>(&embeddings, &values, &neighbourhood).unwrap_or_else(|| {
                    portable::proximity::<Self>(embeddings, values, &neighbourhood)
                })
            }

            fn proximity_gradients(
                embeddings: FloatTensor<Self>,
                values: FloatTensor<Self>,
                means: FloatTensor<Self>,
                state: FloatTensor<Self>,
                gradient: FloatTensor<Self>,
                neighbourhood: Neighbourhood,
            ) -> (FloatTensor<Self>, FloatTensor<Self>) {
                let inputs = cpu::GradientInputs {
                    embeddings: &embeddings,
                    values: &values,
                    means: &means,
                    state: &state,
                    gradient: &gradient,
                };
                cpu::proximity_gradients::<Self>(&inputs, &neighbourhood).unwrap_or_else(|| {
                    portable::proximity_gradients::<Self>(
                        embeddings,
                        values,
                        means,
                        state,
                        gradient,
                        &neighbourhood,
                    )
                })
            }

            fn discounted_returns(
                rewards: FloatTensor<Self>,
                layout: Layout,
                gamma: f32,
            ) -> FloatTensor<Self> {
                cpu::discounted_returns::<Self>(&rewards, &layout, gamma).unwrap_or_else(|| {
                    portable::discounted_returns::<Self>(rewards, &layout, gamma)
                })
            }

            fn episode_advantages(
                rewards: FloatTensor<Self>,
                success: FloatTensor<Self>,
                comparison: EpisodeComparison,
            ) -> (FloatTensor<Self>, FloatTensor<Self>) {
                cpu::episode_advantages::<Self>(&rewards, &success, &comparison).unwrap_or_else(
                    || portable::episode_advantages::<Self>(rewards, success, &comparison),
                )
            }

            fn logit_statistics(
                hidden: FloatTensor<Self>,
                head: FloatTensor<Self>,
                targets: Targets,
            ) -> FloatTensor<Self> {
                cpu::logit_statistics::<Self>(&hidden, &head, &targets)
                    .unwrap_or_else(|| portable::logit_statistics::<Self>(hidden, head, &targets))
            }

            fn logit_gradients(
                hidden: FloatTensor<Self>,
                head: FloatTensor<Self>,
                statistics: FloatTensor<Self>,
                gradient: FloatTensor<Self>,
                targets: Targets,
            ) -> (FloatTensor<Self>, FloatTensor<Self>) {
                let given = [hidden, head, statistics, gradient];
                cpu::logit_gradients::<Self>(&given, &targets)
                    .unwrap_or_else(|| portable::logit_gradients::<Self>(given, &targets))
            }

            fn cached_attention(
                queries: FloatTensor<Self>,
                keys: FloatTensor<Self>,
                values: FloatTensor<Self>,
                cache: FloatTensor<Self>,
                spans: CacheSpans,
            ) -> (FloatTensor<Self>, FloatTensor<Self>) {
                cpu::cached_attention::<Self>([queries, keys, values], cache, &spans)
            }

            fn swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
                cpu::swiglu::<Self>(gate, up)
            }

            fn swiglu_gradients(
                gate: FloatTensor<Self>,
                up: FloatTensor<Self>,
                gradient: FloatTensor<Self>,
            ) -> (FloatTensor<Self>, FloatTensor<Self>) {
                cpu::swiglu_gradients::<Self>(gate, up, gradient)
            }

            fn rms_norm(
                x: FloatTensor<Self>,
                weight: FloatTensor<Self>,
                epsilon: f32,
            ) -> FloatTensor<Self> {
                cpu::rms_norm::<Self>(x, weight, epsilon)
            }

            fn rms_norm_gradients(
                x: FloatTensor<Self>,
                weight: FloatTensor<Self>,
                gradient: FloatTensor<Self>,
                epsilon: f32,
                wants_weight: bool,
            ) -> (FloatTensor<Self>, FloatTensor<Self>) {
                cpu::rms_norm_gradients::<Self>(x, weight, gradient, epsilon, wants_weight)
            }

            fn causal_softmax(scores: FloatTensor<Self>, scale: f32) -> FloatTensor<Self> {
                cpu::causal_softmax::<Self>(scores, scale)
            }

            fn causal_softmax_gradient(
                weights: FloatTensor<Self>,
                gradient: FloatTensor<Self>,
                scale: f32,
            ) -> FloatTensor<Self> {
                cpu::causal_softmax_gradient::<Self>(weights, gradient, scale)
            }

            fn rotate(
                x: FloatTensor<Self>,
                cosines: FloatTensor<Self>,
                sines: FloatTensor<Self>,
                back: bool,
            ) -> FloatTensor<Self> {
                cpu::rotate::<Self>(x, cosines, sines, back)
            }

            fn adamw(
                parameter: FloatTensor<Self>,
                gradient: FloatTensor<Self>,
                moment_1: FloatTensor<Self>,
                moment_2: FloatTensor<Self>,
                step: AdamWStep,
            ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
                cpu::adamw::<Self>([parameter, gradient, moment_1, moment_2], step)
            }
        }
    };
}

on_the_cpu!(Flex);

#[cfg(feature = "ndarray")]
#[allow(deprecated)] // Kept as a second opinion on the CPU until burn drops it.
mod ndarray {
    use super::*;

    on_the_cpu!(burn::backend::NdArray);
}
