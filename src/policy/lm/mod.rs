//! A language model that plays: it reads the episode as a chat and answers with its next action.
//!
//! | file | contents |
//! |---|---|
//! | `config` | settings |
//! | `spec` | what they become for an environment: tokenizer, wording, model |
//! | `layout` | the wording of a transcript |
//! | `inputs` | transcripts: the tokens of episodes, and the steps within them |
//! | `encoder` | the half that reads text |
//! | `policy` | the half with weights |
//! | `answer` | the action in a text that was written freely |

mod answer;
mod config;
mod encoder;
mod inputs;
mod layout;
mod parts;
mod policy;
mod spec;

pub use answer::parse_action;
pub use config::{LmConfig, PromptMode, ResponseMode};
pub use encoder::{LmEncoder, LmMemory};
pub use inputs::LmInputs;
pub use layout::WORDING;
pub use policy::{LmCache, LmPolicy};
pub use spec::LmSpec;
