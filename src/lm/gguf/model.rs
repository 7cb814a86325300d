//! A GGUF file's configuration, and its weights by the names of Hugging Face.

use std::collections::BTreeMap;

use super::file::GgufFile;
use crate::error::{Error, Result};
use crate::lm::config::{ModelConfig, RopeScaling};
use crate::lm::source::ModelFiles;
use crate::lm::weights::{Entry, Weights};

/// The weights outside layers, and their names here.
const OUTSIDE: [(&str, &str); 3] = [
    ("token_embd.weight", "model.embed_tokens.weight"),
    ("output_norm.weight", "model.norm.weight"),
    ("output.weight", "lm_head.weight"),
];

/// The parts of a layer, and their names here.
const PARTS: [(&str, &str); 11] = [
    ("attn_norm", "input_layernorm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// The divisors of rotary frequencies, `[head_width / 2]`, of Llama 3.1 and later.
const FREQUENCIES: &str = "rope_freqs.weight";

/// The context that Llama 3 was first trained on.
const LLAMA3_CONTEXT: f64 = 8192.0;

pub(super) fn open(file: GgufFile) -> Result<ModelFiles> {
    let architecture = file.text("general.architecture")?.unwrap_or_default().to_string();
    if !["llama", "qwen2", "qwen3"].contains(&architecture.as_str()) {
        let message = format!(
            "general.architecture is '{architecture}', expected llama (which Mistral is), qwen2 or qwen3"
        );
        return Err(file.refuse(message));
    }
    let mut config = config(&file, &architecture)?;
    let mut entries = BTreeMap::new();
    for (name, entry) in &file.weights {
        let renamed = renamed(name).ok_or_else(|| {
            file.refuse(format!("weight '{name}' is none of a {architecture} model"))
        })?;
        let interleaved_heads = match architecture == "llama" {
            true => interleaved_heads(name, &config),
            false => 0,
        };
        if interleaved_heads > 0 && entry.shape[0] != interleaved_heads * config.head_width {
            let (found, width) = (entry.shape[0], config.head_width);
            let message =
                format!("weight '{name}' has {found} rows, expected {interleaved_heads} × {width}");
            return Err(file.refuse(message));
        }
        entries.insert(renamed, Entry { interleaved_heads, ..entry.clone() });
    }
    let original = file.number(&format!("{architecture}.rope.scaling.original_context_length"))?;
    let path = file.path;
    let weights = Weights::new(path.clone(), vec![(path.clone(), file.file)], entries);
    if weights.has(FREQUENCIES) {
        let half = config.head_width / 2;
        let (entry, encoding) = weights.entry(FREQUENCIES, &[half])?;
        let divisors = weights.read(FREQUENCIES, entry, encoding, 0..half)?;
        let scaling = llama3(&config, &divisors, original.unwrap_or(LLAMA3_CONTEXT));
        let message = "rope_freqs.weight holds other divisors than those of Llama 3: not supported";
        config.rope_scaling = Some(scaling.ok_or_else(|| Error::file(&path, message))?);
    }
    Ok(ModelFiles { config, weights })
}

/// A weight's name here; `None` if it is unknown.
fn renamed(name: &str) -> Option<String> {
    if name == FREQUENCIES {
        return Some(name.to_string());
    }
    if let Some((_, renamed)) = OUTSIDE.iter().find(|(own, _)| *own == name) {
        return Some(renamed.to_string());
    }
    let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    let (part, kind) = rest.split_once('.')?;
    let (_, part) = PARTS.iter().find(|(own, _)| *own == part)?;
    let is_known = ["weight", "bias"].contains(&kind) && layer.parse::<u32>().is_ok();
    is_known.then(|| format!("model.layers.{layer}.{part}.{kind}"))
}

/// The number of heads whose rows files of the architecture llama have interleaved: for them the pairs of
/// the rotary embedding are neighbours, and here they are half a head apart.
fn interleaved_heads(name: &str, config: &ModelConfig) -> usize {
    match name.split('.').nth(2) {
        Some("attn_q") => config.heads,
        Some("attn_k") => config.kv_heads,
        _ => 0,
    }
}

fn config(file: &GgufFile, architecture: &str) -> Result<ModelConfig> {
    let key = |name: &str| format!("{architecture}.{name}");
    let count = |name: &str| match file.integer(&key(name))? {
        Some(value) => Ok(usize::try_from(value).unwrap_or(usize::MAX)),
        None => Err(file.refuse(format!("{} is missing", key(name)))),
    };
    let optional = |name: &str| -> Result<Option<usize>> {
        let value = file.integer(&key(name))?;
        Ok(value.map(|value| usize::try_from(value).unwrap_or(usize::MAX)))
    };
    let (hidden, heads) = (count("embedding_length")?, count("attention.head_count")?);
    let context = count("context_length")?;
    let head_width = optional("attention.key_length")?.unwrap_or(hidden / heads.max(1));
    for (name, found) in [
        ("attention.value_length", optional("attention.value_length")?),
        ("rope.dimension_count", optional("rope.dimension_count")?),
    ] {
        if let Some(found) = found.filter(|&found| found != head_width) {
            let message = format!("{} is {found}, expected the head's {head_width}", key(name));
            return Err(file.refuse(message));
        }
    }
    if optional("expert_count")?.is_some_and(|count| count > 0) {
        return Err(file.refuse(format!("{}: experts are not supported", key("expert_count"))));
    }
    if let Some(window) = optional("attention.sliding_window")?.filter(|&x| 0 < x && x < context) {
        let message = format!("{} is {window}, expected none", key("attention.sliding_window"));
        return Err(file.refuse(message));
    }
    let epsilon = key("attention.layer_norm_rms_epsilon");
    let missing = || file.refuse(format!("{epsilon} is missing"));
    let table = file.weights.get("token_embd.weight");
    let table = table.ok_or_else(|| file.refuse("weight 'token_embd.weight' is missing"))?;
    let has = |name: &str| file.weights.contains_key(name);
    let config = ModelConfig {
        vocabulary: table.shape[0],
        hidden,
        intermediate: count("feed_forward_length")?,
        layers: count("block_count")?,
        heads,
        kv_heads: optional("attention.head_count_kv")?.unwrap_or(heads),
        head_width,
        context,
        norm_epsilon: file.number(&epsilon)?.ok_or_else(missing)?,
        qkv_bias: has("blk.0.attn_q.bias"),
        output_bias: has("blk.0.attn_output.bias"),
        mlp_bias: has("blk.0.ffn_gate.bias"),
        qk_norm: has("blk.0.attn_q_norm.weight"),
        tied: !has("output.weight"),
        rope_theta: file.number(&key("rope.freq_base"))?.unwrap_or(10_000.0),
        rope_scaling: linear_scaling(file, architecture)?,
    };
    config.check().map_err(|message| file.refuse(message))?;
    Ok(config)
}

fn linear_scaling(file: &GgufFile, architecture: &str) -> Result<Option<RopeScaling>> {
    let key = |name: &str| format!("{architecture}.{name}");
    let kind = key("rope.scaling.type");
    let factor = match file.text(&kind)? {
        // A key of older files gives the factor alone.
        None => file.number(&key("rope.scale_linear"))?,
        Some("none") => None,
        Some("linear") => file.number(&key("rope.scaling.factor"))?,
        Some(other) => {
            let message = format!("{kind} is '{other}', expected none or linear");
            return Err(file.refuse(message));
        }
    };
    match factor {
        Some(factor) if !(factor.is_finite() && factor > 0.0) => {
            Err(file.refuse(format!("rope scaling by {factor}, expected a positive number")))
        }
        factor => Ok(factor.filter(|&x| x != 1.0).map(|factor| RopeScaling::Linear { factor })),
    }
}

/// The scaling of Llama 3 that has the given divisors of frequencies, if there is one with its usual
/// bounds.
fn llama3(config: &ModelConfig, divisors: &[f32], original_context: f64) -> Option<RopeScaling> {
    let factor = divisors.iter().fold(1.0f64, |most, &x| most.max(f64::from(x)));
    let scaling = RopeScaling::Llama3 { factor, low: 1.0, high: 4.0, original_context };
    let plain = ModelConfig { rope_scaling: None, ..config.clone() };
    let scaled = ModelConfig { rope_scaling: Some(scaling.clone()), ..config.clone() };
    let expected = plain.frequencies().into_iter().zip(scaled.frequencies());
    let is_close = |(expected, &found): ((f64, f64), &f32)| {
        let divisor = expected.0 / expected.1;
        (divisor - f64::from(found)).abs() <= 1e-3 * divisor
    };
    expected.zip(divisors).all(is_close).then_some(scaling)
}
