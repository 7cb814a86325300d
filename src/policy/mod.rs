//! Policies: models that respond to observations.
//!
//! A policy has two halves. Its [`Encoder`] lives on the host: it turns texts into rows of numbers and
//! holds what the policy remembers of each episode. The [`Policy`] is a burn module: it responds to
//! rows, and scores responses later.
//!
//! A *response* is a list of tokens. For the [`scorer`] it is one token, the index of the chosen
//! admissible action; for a language model it is the generated tokens. Log-probabilities, entropies
//! and masks therefore have the shape `[rows, tokens]` for both, and one loss serves both.
//!
//! [`PolicyConfig`] lists the kinds of policy that a configuration can name. A new kind is a module
//! here that implements [`PolicyKind`] and [`PolicySpec`], and one line in the list of `registry.rs`.

mod interface;
mod kind;
#[cfg(feature = "lm")]
pub mod lm;
mod parts;
mod registry;
mod response;
pub mod scorer;
mod walks;

pub use interface::{Encoder, Inputs, Policy};
#[cfg(feature = "lm")]
pub(crate) use kind::no_value_head;
pub use kind::{EncoderOf, InputsOf, PolicyKind, PolicySpec, SpecVisitor};
pub(crate) use parts::read_parts;
pub use registry::{PolicyConfig, PolicyDescription};
pub use response::{Answer, Responses, Sampling, TokenScores, TokenUsage};
