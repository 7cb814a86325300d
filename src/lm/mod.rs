//! Language models in the layout of Hugging Face: load, score and generate.
//!
//! | file | contents |
//! |---|---|
//! | [`cache`] | keys and values of sequences that grow |
//! | [`config`] | `config.json`: the shape of a model |
//! | [`weights`] | safetensors files, single or sharded, checked before anything is allocated |
//! | [`rope`] | rotary position embedding |
//! | [`norm`] | root mean square normalisation |
//! | [`attention`] | causal attention with grouped queries |
//! | [`mlp`] | the gated feed-forward layer |
//! | [`block`] | one layer of the decoder |
//! | [`model`] | the decoder |
//! | [`save`] | writing a model |
//! | [`sampling`] | drawing tokens |
//! | [`generate`] | continuing sequences |
//! | [`trie`] | the choices of a constrained continuation |
//! | [`stop`] | the text of a continuation, up to a stop string |
//! | [`tokenizer`] | text to tokens and back |
//! | [`template`] | chats to text |
//! | [`scoring`] | log-probabilities and entropies of given tokens |

pub mod attention;
pub mod block;
pub mod cache;
pub mod config;
pub mod generate;
pub mod mlp;
pub mod model;
pub mod norm;
mod python_json;
pub mod rope;
pub mod sampling;
pub mod save;
pub mod scoring;
pub mod stop;
pub mod template;
pub mod tokenizer;
pub mod trie;
pub mod weights;

pub use cache::{Cache, RowId};
pub use config::ModelConfig;
pub use generate::{Continuation, End, Generator, Task};
pub use model::Decoder;
pub use sampling::Sampling;
pub use save::save;
pub use scoring::{Scores, score, score_branches};
pub use stop::StopText;
pub use template::{Chat, ChatTemplate};
pub use tokenizer::Tokenizer;
pub use trie::{Branch, Trie};
