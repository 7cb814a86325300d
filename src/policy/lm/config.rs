//! Settings of a language model as a policy.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lm::LoraConfig;

/// How a step's prompt is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PromptMode {
    /// The episode is one chat that grows: each observation is appended to it.
    #[default]
    Append,
    /// The prompt is made anew at each step, with the last `policy.window` steps.
    Window,
}

/// How the model answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ResponseMode {
    /// It chooses among the admissible actions, token by token.
    #[default]
    Choice,
    /// It chooses among the admissible actions, each by the probability that the model writes it.
    Whole,
    /// It writes freely. A text that holds no admissible action costs the penalty.
    Free,
}

/// Settings of a language model that plays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct LmConfig {
    /// Folder or GGUF file of a pretrained model. Empty makes a new one, with a tokenizer of the training
    /// tasks' texts.
    #[garde(skip)]
    #[schemars(extend("x-flag" = "model", "x-value" = "DIR"))]
    pub model: String,
    /// Layers of a new model.
    #[garde(range(min = 1, max = 256))]
    #[schemars(extend("x-flag" = "lm-layers"))]
    pub layers: usize,
    /// Width of a new model's hidden states.
    #[garde(range(min = 2, max = 16_384))]
    #[schemars(extend("x-flag" = "lm-width"))]
    pub width: usize,
    /// Query heads of a new model.
    #[garde(range(min = 1, max = 1024))]
    #[schemars(extend("x-flag" = "lm-heads"))]
    pub heads: usize,
    /// Largest number of tokens of a new model's tokenizer.
    #[garde(range(min = 261, max = 1_000_000))]
    #[schemars(extend("x-flag" = "lm-vocabulary"))]
    pub vocabulary: usize,
    /// Largest number of tokens of a transcript. A longer one starts anew with the last `policy.window`
    /// steps. 0 takes the model's context.
    #[garde(range(max = 1_048_576))]
    #[schemars(extend("x-flag" = "lm-context"))]
    pub context: usize,
    /// Low-rank adapter that is trained in place of all weights.
    #[garde(dive)]
    #[schemars(extend("x-flag" = "lora-settings"))]
    pub lora: LoraConfig,
    /// How a step's prompt is made.
    #[garde(skip)]
    #[schemars(extend("x-flag" = "prompt"))]
    pub prompt: PromptMode,
    /// Steps before the current one in a prompt that is made anew.
    #[garde(range(max = 1000))]
    #[schemars(extend("x-flag" = "window"))]
    pub window: usize,
    /// Whether a prompt lists the admissible actions.
    #[garde(skip)]
    #[schemars(extend("x-flag" = "list-actions"))]
    pub list: bool,
    /// How the model answers.
    #[garde(skip)]
    #[schemars(extend("x-flag" = "response"))]
    pub response: ResponseMode,
    /// Most tokens of an answer that the model writes freely.
    #[garde(range(min = 1, max = 65_536))]
    pub max_response_tokens: usize,
    /// File with the template (minijinja) of the environment's messages. Empty takes the built-in one.
    #[garde(skip)]
    #[schemars(extend("x-flag" = "prompt-template", "x-value" = "FILE"))]
    pub template: String,
    /// Memory for the keys and values of episodes in progress, in MiB. Each counts with the whole context;
    /// episodes beyond that wait for the end of others.
    #[garde(range(min = 1, max = 1_000_000_000))]
    #[schemars(extend("x-flag" = "max-cache", "x-value" = "MIB"))]
    pub max_cache: u64,
    /// Tokens, with padding, that an update computes at once. It bounds the memory of an update.
    #[garde(range(min = 1, max = 100_000_000))]
    #[schemars(extend("x-flag" = "part-tokens"))]
    pub part_tokens: usize,
    /// Compute the layers again in the backward pass instead of keeping their values. It needs a
    /// fraction of the memory, and about a third more time.
    #[garde(skip)]
    pub recompute: bool,
}

impl Default for LmConfig {
    fn default() -> Self {
        Self {
            model: String::new(),
            layers: 4,
            width: 128,
            heads: 4,
            vocabulary: 1024,
            context: 0,
            lora: LoraConfig::default(),
            prompt: PromptMode::Append,
            window: 2,
            list: false,
            response: ResponseMode::Choice,
            max_response_tokens: 32,
            template: String::new(),
            max_cache: 4096,
            part_tokens: 8192,
            recompute: false,
        }
    }
}
