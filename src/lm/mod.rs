//! Language models in the layout of Hugging Face: load and score.
//!
//! | file | contents |
//! |---|---|
//! | [`config`] | `config.json`: the shape of a model |
//! | [`weights`] | safetensors files, single or sharded, checked before anything is allocated |
//! | [`rope`] | rotary position embedding |
//! | [`norm`] | root mean square normalisation |
//! | [`attention`] | causal attention with grouped queries |
//! | [`mlp`] | the gated feed-forward layer |
//! | [`block`] | one layer of the decoder |
//! | [`model`] | the decoder |
//! | [`save`] | writing a model |
//! | [`tokenizer`] | text to tokens and back |
//! | [`template`] | chats to text |
//! | [`bpe`] | a tokenizer made of texts |
//! | [`new`] | new models, untrained |
//! | [`scoring`] | log-probabilities and entropies of given tokens |

pub mod attention;
pub mod block;
pub mod bpe;
pub mod config;
pub mod mlp;
pub mod model;
pub mod new;
pub mod norm;
mod python_json;
pub mod rope;
pub mod save;
pub mod scoring;
pub mod template;
pub mod tokenizer;
pub mod weights;

pub use bpe::{Bpe, BpeOptions};
pub use config::ModelConfig;
pub use model::Decoder;
pub use new::NewModelConfig;
pub use save::save;
pub use scoring::{Scores, score};
pub use template::{Chat, ChatTemplate};
pub use tokenizer::Tokenizer;
