//! Credit assignment on tensors: burn's backends, extended by this crate's kernels.
//!
//! | operation | what it computes |
//! |---|---|
//! | [`assign`] | credit, whole: the device engine |
//! | [`proximity`] | softmax-weighted means over the rows of a group, with gradients |
//! | [`episode_advantages`] | centred and modulated advantages of episodes |
//! | [`discounted_returns`] | the return of each step |
//! | [`cached_attention`] | causal attention of new tokens over the keys and values of a cache |
//! | [`token_log_probs`] | log-probability and entropy of tokens from hidden states, with gradients |
//! | [`swiglu`], [`rms_norm`], [`causal_softmax`], [`rotate`] | layers of language models, with gradients |
//! | [`adamw`] | a step of the optimizer |
//!
//! Those of credit read their settings from [`CreditConfig`](crate::credit::CreditConfig), and groups and episodes from
//! [`Layout`](crate::episodes::Layout). Tensors may be on any device: on wgpu the operations are WGSL
//! kernels (`shaders/`), on the CPU they go by blocks of rows, and on any other device, or under another
//! compiler than WGSL's, plain tensor operations compute the same. Nothing outside this module uses a
//! backend's primitives.

mod advantages;
mod assign;
mod autodiff;
mod backend;
mod cached_attention;
mod cpu;
mod engine;
#[cfg(feature = "fusion")]
mod fusion;
mod layers;
mod parameters;
mod portable;
mod proximity;
mod proxmo;
mod returns;
mod shaders;
mod shapes;
mod token_log_probs;
#[cfg(feature = "wgpu")]
mod wgsl;

pub use advantages::{EpisodeAdvantages, episode_advantages};
pub use assign::{assign, assign_async};
pub use cached_attention::{CacheSpans, PAGE, Span, cached_attention};
#[cfg(feature = "lm")]
pub(crate) use cpu::{log_sum_and_entropy, softmax_weights};
pub use engine::{Unsupported, check_training, choose_engine, unsupported};
pub use layers::{AdamWStep, adamw, causal_softmax, rms_norm, rotate, swiglu};
pub use proximity::{Proximity, plain_proximity, proximity};
pub use returns::discounted_returns;
pub(crate) use shaders::file_name as shader_file_name;
pub use shaders::{Shader, shaders};
pub use token_log_probs::{TokenLogProbs, token_log_probs};
#[cfg(feature = "wgpu")]
pub(crate) use wgsl::Prefilled;
#[cfg(feature = "wgpu")]
pub use wgsl::wgsl_launches;
