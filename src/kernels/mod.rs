//! Credit assignment on tensors: burn's backends, extended by this crate's kernels.
//!
//! | operation | what it computes |
//! |---|---|
//! | [`proximity`] | softmax-weighted means over near rows of the same group, with gradients |
//! | [`episode_advantages`] | centred and modulated advantages of episodes |
//! | [`discounted_returns`] | what followed each step |
//!
//! They take and give `burn` tensors on any device, so embeddings that are on a device stay there.
//! On wgpu they are WGSL kernels (`shaders/`), on the CPU they go by blocks of rows, and on any
//! other device, or under another compiler than WGSL's, plain tensor operations compute the same.
//! Nothing outside this module touches a backend's primitives.
//!
//! [`Layout`](crate::episodes::Layout) says where groups and episodes lie among the rows. Rows are sorted by group, so a row
//! looks only at its own group's range.

mod advantages;
mod autodiff;
mod backend;
mod cpu;
#[cfg(feature = "fusion")]
mod fusion;
mod parameters;
mod portable;
mod proximity;
mod returns;
mod shapes;
#[cfg(feature = "wgpu")]
mod wgsl;

pub use advantages::{EpisodeAdvantages, episode_advantages};
pub use proximity::{Proximity, plain_proximity, proximity};
pub use returns::discounted_returns;
#[cfg(feature = "wgpu")]
pub(crate) use wgsl::Prefilled;
#[cfg(feature = "wgpu")]
pub use wgsl::{Shader, shaders, wgsl_launches};
