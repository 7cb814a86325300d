//! A small policy that reads text and chooses among the admissible actions.

mod config;
mod inputs;
mod memory;
mod mentions;
mod network;
mod pack;
mod policy;
mod texts;
mod value;
mod vocabulary;
mod words;

pub use config::{ScorerConfig, ScorerSpec};
pub use inputs::{ACTION_FEATURES, ScorerInputs};
pub use memory::{ScorerEncoder, ScorerMemory};
pub use mentions::MENTION_FEATURES;
pub use network::{ScorerNetwork, ScorerNetworkConfig};
pub use pack::Packed;
pub use policy::Scorer;
pub use texts::TextTable;
pub use value::ValueHead;
pub use vocabulary::{UNKNOWN_BUCKETS, Vocabulary};
pub use words::for_each_word;
