//! `config.json` of a model.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// The architectures that are supported, as `model_type` names them.
const SUPPORTED: &str = "llama, mistral, qwen2 or qwen3";

/// Upper limit of every count in a configuration. It keeps products of two counts within 64 bits.
const MAX_COUNT: usize = 1 << 24;

/// The shape of a decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Number of tokens.
    pub vocabulary: usize,
    /// Width of the hidden states.
    pub hidden: usize,
    /// Width of the feed-forward layer.
    pub intermediate: usize,
    /// Number of layers.
    pub layers: usize,
    /// Number of query heads.
    pub heads: usize,
    /// Number of key and value heads. Divides `heads`.
    pub kv_heads: usize,
    /// Width of a head. Even.
    pub head_width: usize,
    /// Largest number of tokens of a sequence.
    pub context: usize,
    /// Added to the mean square in normalisation.
    pub norm_epsilon: f64,
    /// Whether the query, key and value projections have biases.
    pub qkv_bias: bool,
    /// Whether the output projection of attention has a bias.
    pub output_bias: bool,
    /// Whether the feed-forward layer has biases.
    pub mlp_bias: bool,
    /// Whether queries and keys are normalised by head (Qwen3).
    pub qk_norm: bool,
    /// Whether the head shares the embedding's weights.
    pub tied: bool,
    /// Base of the rotary angles.
    pub rope_theta: f64,
    /// How rotary frequencies are scaled; `None` leaves them unchanged.
    pub rope_scaling: Option<RopeScaling>,
}

/// Scaling of rotary frequencies.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// All frequencies are divided by a factor.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Llama 3.1: low frequencies are divided by a factor, high ones are kept, and those between are
    /// interpolated.
    Llama3 {
        /// The divisor of low frequencies.
        factor: f64,
        /// Frequencies with a wavelength above `original_context / low` are divided.
        low: f64,
        /// Frequencies with a wavelength below `original_context / high` are kept.
        high: f64,
        /// The context that the model was first trained on.
        original_context: f64,
    },
}

/// The members of `config.json` that are read. Absent ones have the defaults of the architecture.
#[derive(Deserialize)]
struct File {
    model_type: String,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    max_position_embeddings: usize,
    rms_norm_eps: Option<f64>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    tie_word_embeddings: Option<bool>,
    hidden_act: Option<String>,
    rope_theta: Option<f64>,
    rope_scaling: Option<Value>,
    rope_parameters: Option<Value>,
    sliding_window: Option<usize>,
    use_sliding_window: Option<bool>,
    quantization_config: Option<Value>,
}

impl ModelConfig {
    /// Reads `config.json` in a model's folder.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or [`parse`](Self::parse) refuses it.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        Self::parse(&text).map_err(|message| Error::file(&path, message))
    }

    /// Parses the text of a `config.json`.
    ///
    /// # Errors
    /// Returns a message that names the member at fault.
    pub fn parse(text: &str) -> Result<Self, String> {
        let kind: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let kind = kind.get("model_type").and_then(Value::as_str).unwrap_or_default();
        if !["llama", "mistral", "qwen2", "qwen3"].contains(&kind) {
            return Err(format!("model_type is '{kind}', expected {SUPPORTED}"));
        }
        let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
        file.refuse_unsupported()?;
        let (is_qwen2, is_qwen3) = (file.model_type == "qwen2", file.model_type == "qwen3");
        let attention_bias = file.attention_bias.unwrap_or(false);
        let default_head = match is_qwen3 {
            true => 128,
            false => file.hidden_size / file.num_attention_heads.max(1),
        };
        let (rope_theta, rope_scaling) = file.rope()?;
        let config = Self {
            vocabulary: file.vocab_size,
            hidden: file.hidden_size,
            intermediate: file.intermediate_size,
            layers: file.num_hidden_layers,
            heads: file.num_attention_heads,
            kv_heads: file.num_key_value_heads.unwrap_or(file.num_attention_heads),
            head_width: file.head_dim.unwrap_or(default_head),
            context: file.max_position_embeddings,
            norm_epsilon: file.rms_norm_eps.unwrap_or(1e-6),
            qkv_bias: is_qwen2 || attention_bias,
            output_bias: !is_qwen2 && attention_bias,
            mlp_bias: file.mlp_bias.unwrap_or(false),
            qk_norm: is_qwen3,
            tied: file.tie_word_embeddings.unwrap_or(false),
            rope_theta,
            rope_scaling,
        };
        config.check()?;
        Ok(config)
    }

    /// The name of the architecture, as `model_type` has it. Mistral is a llama here.
    pub fn architecture(&self) -> &'static str {
        match self {
            Self { qk_norm: true, .. } => "qwen3",
            Self { qkv_bias: true, output_bias: false, .. } => "qwen2",
            _ => "llama",
        }
    }

    /// The text of a `config.json` that [`parse`](Self::parse) and transformers read as this
    /// configuration. `dtype` is the type of the stored weights.
    pub fn to_json(&self, dtype: &str) -> Value {
        let kind = self.architecture();
        let architecture = match kind {
            "qwen3" => "Qwen3ForCausalLM",
            "qwen2" => "Qwen2ForCausalLM",
            _ => "LlamaForCausalLM",
        };
        let mut rope = json!({ "rope_type": "default", "rope_theta": self.rope_theta });
        match &self.rope_scaling {
            None => {}
            Some(RopeScaling::Linear { factor }) => {
                rope["rope_type"] = json!("linear");
                rope["factor"] = json!(factor);
            }
            Some(RopeScaling::Llama3 { factor, low, high, original_context }) => {
                rope["rope_type"] = json!("llama3");
                rope["factor"] = json!(factor);
                rope["low_freq_factor"] = json!(low);
                rope["high_freq_factor"] = json!(high);
                rope["original_max_position_embeddings"] = whole(*original_context);
            }
        }
        json!({
            "architectures": [architecture],
            "model_type": kind,
            "vocab_size": self.vocabulary,
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_width,
            "max_position_embeddings": self.context,
            "rms_norm_eps": self.norm_epsilon,
            "attention_bias": self.qkv_bias,
            "mlp_bias": self.mlp_bias,
            "tie_word_embeddings": self.tied,
            "hidden_act": "silu",
            "rope_parameters": rope,
            // Readers from before `rope_parameters` look here.
            "rope_theta": self.rope_theta,
            "initializer_range": 0.02,
            "torch_dtype": dtype,
            "dtype": dtype,
        })
    }

    pub(super) fn check(&self) -> Result<(), String> {
        for (name, value) in [
            ("vocab_size", self.vocabulary),
            ("hidden_size", self.hidden),
            ("intermediate_size", self.intermediate),
            ("num_hidden_layers", self.layers),
            ("num_attention_heads", self.heads),
            ("num_key_value_heads", self.kv_heads),
            ("head_dim", self.head_width),
            ("max_position_embeddings", self.context),
        ] {
            if !(1..=MAX_COUNT).contains(&value) {
                return Err(format!("{name} is {value}, expected 1 to {MAX_COUNT}"));
            }
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            let (heads, kv) = (self.heads, self.kv_heads);
            return Err(format!("num_key_value_heads {kv} does not divide {heads} heads"));
        }
        if !self.head_width.is_multiple_of(2) {
            return Err(format!("head_dim is {}, expected an even number", self.head_width));
        }
        if !(self.rope_theta.is_finite() && self.rope_theta > 0.0) {
            return Err(format!("rope_theta is {}, expected a positive number", self.rope_theta));
        }
        if !(self.norm_epsilon.is_finite() && self.norm_epsilon >= 0.0) {
            return Err(format!("rms_norm_eps is {}, expected at least 0", self.norm_epsilon));
        }
        Ok(())
    }
}

/// A number without a fraction, if it has none.
fn whole(number: f64) -> Value {
    match number.fract() == 0.0 && number < u64::MAX as f64 {
        true => json!(number as u64),
        false => json!(number),
    }
}

impl File {
    fn refuse_unsupported(&self) -> Result<(), String> {
        if let Some(kind) = self.hidden_act.as_deref().filter(|&kind| kind != "silu") {
            return Err(format!("hidden_act is '{kind}', expected silu"));
        }
        if self.quantization_config.is_some() {
            return Err("quantization_config: quantised safetensors are not supported".into());
        }
        // Qwen2 states a window and turns it off by a second member.
        let is_used = self.use_sliding_window.unwrap_or(self.model_type == "mistral");
        match self.sliding_window.filter(|&window| is_used && window < self.max_position_embeddings)
        {
            Some(window) => Err(format!("sliding_window is {window}, expected none")),
            None => Ok(()),
        }
    }

    /// The base of the rotary angles and their scaling, in either form.
    fn rope(&self) -> Result<(f64, Option<RopeScaling>), String> {
        let members = self.rope_parameters.as_ref().or(self.rope_scaling.as_ref());
        let member = |name: &str| members.and_then(|members| members.get(name));
        let theta = member("rope_theta").and_then(Value::as_f64).or(self.rope_theta);
        let theta = theta.unwrap_or(10_000.0);
        let number = |name: &str| match member(name).and_then(Value::as_f64) {
            Some(value) if value.is_finite() && value > 0.0 => Ok(value),
            _ => Err(format!("rope: {name} is missing or not a positive number")),
        };
        let kind = member("rope_type").or_else(|| member("type")).and_then(Value::as_str);
        let scaling = match kind.unwrap_or("default") {
            "default" => None,
            "linear" => Some(RopeScaling::Linear { factor: number("factor")? }),
            "llama3" => Some(RopeScaling::Llama3 {
                factor: number("factor")?,
                low: number("low_freq_factor")?,
                high: number("high_freq_factor")?,
                original_context: number("original_max_position_embeddings")?,
            }),
            other => {
                return Err(format!("rope_type is '{other}', expected default, linear or llama3"));
            }
        };
        if let Some(RopeScaling::Llama3 { low, high, .. }) = scaling
            && high <= low
        {
            return Err("rope: high_freq_factor must exceed low_freq_factor".into());
        }
        Ok((theta, scaling))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(changes: Value) -> Result<ModelConfig, String> {
        let mut config = json!({
            "model_type": "llama", "vocab_size": 10, "hidden_size": 8, "intermediate_size": 16,
            "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 32,
        });
        let members = config.as_object_mut().unwrap();
        members.extend(changes.as_object().unwrap().clone());
        ModelConfig::parse(&config.to_string())
    }

    #[test]
    fn both_forms_of_rope_settings_give_the_same_configuration() {
        let old =
            parse(json!({"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2}}));
        let new = parse(json!({
            "rope_parameters": {"rope_theta": 5e5, "rope_type": "linear", "factor": 2}
        }));
        assert_eq!(old, new);
        assert_eq!(new.unwrap().rope_scaling, Some(RopeScaling::Linear { factor: 2.0 }));
    }

    #[test]
    fn an_unsupported_model_is_refused_with_the_member_at_fault() {
        for (changes, says) in [
            (json!({"model_type": "gpt2"}), "'gpt2', expected llama, mistral, qwen2 or qwen3"),
            (json!({"hidden_act": "gelu"}), "hidden_act is 'gelu', expected silu"),
            (json!({"model_type": "mistral", "sliding_window": 16}), "sliding_window is 16"),
            (json!({"rope_scaling": {"rope_type": "yarn", "factor": 4}}), "rope_type is 'yarn'"),
            (json!({"rope_scaling": {"rope_type": "linear"}}), "factor is missing"),
            (json!({"quantization_config": {}}), "quantization_config"),
            (json!({"num_key_value_heads": 3}), "num_key_value_heads 3 does not divide 2"),
            (json!({"num_attention_heads": 0}), "num_attention_heads is 0"),
            (json!({"head_dim": 5}), "head_dim is 5, expected an even number"),
        ] {
            let message = parse(changes).unwrap_err();
            assert!(message.contains(says), "{message}");
        }
    }
}
