//! Language models in the layout of Hugging Face, or in GGUF files: load, score, generate and fit.
//!
//! | file | contents |
//! |---|---|
//! | [`cache`] | keys and values of sequences that grow |
//! | [`config`] | `config.json`: the shape of a model |
//! | [`source`] | the files of a model: a folder, or a GGUF file |
//! | [`weights`] | weights in files, read in pieces |
//! | [`encoding`] | the number formats of stored weights |
//! | `gguf` | GGUF files: configuration, names, tokenizer |
//! | `hub` | models by name from the Hugging Face Hub, with the feature `hub` |
//! | `loader` | parameters from weights, checked before anything is allocated |
//! | [`memory`] | what a model takes in memory, and what there is |
//! | [`embedding`] | embedding and head, in parts where a buffer cannot hold them |
//! | [`rope`] | rotary position embedding |
//! | [`norm`] | root mean square normalisation |
//! | [`attention`] | causal attention with grouped queries |
//! | [`linear`] | linear maps |
//! | [`lora`] | low-rank adapters |
//! | [`mlp`] | the gated feed-forward layer |
//! | [`block`] | one layer of the decoder |
//! | [`model`] | the decoder |
//! | [`fit`], [`fit_config`], [`sequence`] | fitting to sequences |
//! | [`fit_state`] | the state of a training, written and read |
//! | `moments` | the moments of AdamW |
//! | [`peft`] | adapters in PEFT's files |
//! | `recompute` | the gradient with layers computed again |
//! | [`save`](mod@save) | writing a model |
//! | [`sampling`] | drawing tokens |
//! | [`generate`] | continuing sequences |
//! | [`trie`] | the choices of a constrained continuation |
//! | [`stop`] | the text of a continuation, up to a stop string |
//! | [`tokenizer`] | text to tokens and back |
//! | [`template`] | chats to text |
//! | [`bpe`] | a tokenizer made of texts |
//! | [`new`] | new models, untrained |
//! | [`scoring`] | log-probabilities and entropies of given tokens |

pub mod attention;
pub mod block;
pub mod bpe;
pub mod cache;
pub mod config;
pub mod embedding;
pub mod encoding;
pub mod fit;
pub mod fit_config;
pub mod fit_state;
pub mod generate;
mod gguf;
#[cfg(feature = "hub")]
pub mod hub;
pub mod linear;
mod loader;
pub mod lora;
pub mod memory;
pub mod mlp;
pub mod model;
mod moments;
pub mod new;
pub mod norm;
pub mod peft;
mod python_json;
pub(crate) mod recompute;
pub mod rope;
pub mod sampling;
pub mod save;
pub mod scoring;
pub mod sequence;
pub mod source;
pub mod stop;
pub mod template;
pub mod tokenizer;
pub mod trie;
pub mod weights;

pub use bpe::{Bpe, BpeOptions};
pub use cache::{Cache, RowId};
pub use config::ModelConfig;
pub use fit::{FitStep, Fitter};
pub use fit_config::FitConfig;
pub use fit_state::{FitStart, FitState};
pub use generate::{Continuation, Continuing, Draft, End, Generator, Sequences, Task};
pub use lora::LoraConfig;
pub use model::Decoder;
pub use new::NewModelConfig;
pub use peft::save_adapter;
pub use sampling::Sampling;
pub use save::{SaveOptions, StoredType, save, save_as};
pub use scoring::{Scores, score, score_branches};
pub use sequence::{Order, Sequence};
pub use source::ModelFiles;
pub use stop::StopText;
pub use template::{Chat, ChatTemplate};
pub use tokenizer::Tokenizer;
pub use trie::{Branch, Trie};
