//! Writes GGUF files: small ones for tests, and reference models converted from their folders.

use std::fs;
use std::path::Path;

use half::f16;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

const U32: u32 = 4;
const F32: u32 = 6;
/// The type of a text.
pub const TEXT: u32 = 8;
const ARRAY: u32 = 9;

/// A file in the making.
#[derive(Default, Clone)]
pub struct Gguf {
    entries: Vec<(String, Vec<u8>)>,
    /// Name, shape with the last dimension contiguous, number of the type, bytes.
    pub weights: Vec<(String, Vec<usize>, u32, Vec<u8>)>,
}

pub fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

impl Gguf {
    pub fn put(&mut self, key: &str, kind: u32, value: &[u8]) {
        self.entries.retain(|(own, _)| own != key);
        self.entries.push((key.into(), [&kind.to_le_bytes()[..], value].concat()));
    }

    pub fn number(&mut self, key: &str, value: u32) {
        self.put(key, U32, &value.to_le_bytes());
    }

    pub fn float(&mut self, key: &str, value: f32) {
        self.put(key, F32, &value.to_le_bytes());
    }

    pub fn text(&mut self, key: &str, value: &str) {
        self.put(key, TEXT, &text(value));
    }

    pub fn array(&mut self, key: &str, kind: u32, values: &[Vec<u8>]) {
        let head = [&kind.to_le_bytes()[..], &(values.len() as u64).to_le_bytes()].concat();
        self.put(key, ARRAY, &[head, values.concat()].concat());
    }

    pub fn weight(&mut self, name: &str, shape: &[usize], kind: u32, bytes: Vec<u8>) {
        self.weights.push((name.into(), shape.to_vec(), kind, bytes));
    }

    /// The file's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = [&b"GGUF"[..], &3u32.to_le_bytes()].concat();
        bytes.extend((self.weights.len() as u64).to_le_bytes());
        bytes.extend((self.entries.len() as u64).to_le_bytes());
        for (key, value) in &self.entries {
            bytes.extend([text(key), value.clone()].concat());
        }
        let mut place = 0u64;
        for (name, shape, kind, values) in &self.weights {
            bytes.extend(text(name));
            bytes.extend((shape.len() as u32).to_le_bytes());
            shape.iter().rev().for_each(|&size| bytes.extend((size as u64).to_le_bytes()));
            bytes.extend(kind.to_le_bytes());
            bytes.extend(place.to_le_bytes());
            place += values.len().next_multiple_of(32) as u64;
        }
        for (.., values) in &self.weights {
            bytes.resize(bytes.len().next_multiple_of(32), 0);
            bytes.extend(values);
        }
        bytes
    }

    pub fn write(&self, path: &Path) {
        fs::write(path, self.bytes()).unwrap();
    }
}

/// The numbers of a safetensors weight.
fn floats(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
    match dtype {
        Dtype::F32 => bytes.as_chunks().0.iter().map(|&x| f32::from_le_bytes(x)).collect(),
        Dtype::BF16 => {
            let wide = |x: &[u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(*x)) << 16);
            bytes.as_chunks().0.iter().map(wide).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// The numbers as 32-bit floats (type 0), or in blocks of 8-bit integers (type 8).
pub fn encoded(values: &[f32], kind: u32) -> Vec<u8> {
    if kind == 0 {
        return values.iter().flat_map(|value| value.to_le_bytes()).collect();
    }
    let block = |values: &[f32]| {
        let largest = values.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
        let scale = f16::from_f32(largest / 127.0);
        let inverse = if largest > 0.0 { 1.0 / scale.to_f32() } else { 0.0 };
        let numbers = values.iter().map(move |x| (x * inverse).round() as i8 as u8);
        scale.to_le_bytes().into_iter().chain(numbers).collect::<Vec<u8>>()
    };
    values.chunks_exact(32).flat_map(block).collect()
}

/// The rows of each head with the pairs of the rotary embedding beside one another, as files of the
/// architecture llama have them.
fn interleaved(values: &[f32], heads: usize, head_width: usize) -> Vec<f32> {
    let (width, half) = (values.len() / heads / head_width, head_width / 2);
    let row = |row: usize| {
        let (head, own) = (row / head_width, row % head_width);
        let from = head * head_width + own % 2 * half + own / 2;
        &values[from * width..][..width]
    };
    (0..heads * head_width).flat_map(row).copied().collect()
}

/// A model's folder as one file. `kind` is the number of the matrices' type.
pub fn of_folder(folder: &Path, kind: u32) -> Gguf {
    let json = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap()
    };
    let config = json("config.json");
    let count = |name: &str| config[name].as_u64().unwrap() as usize;
    let architecture = config["model_type"].as_str().unwrap();
    let mut file = Gguf::default();
    file.text("general.architecture", architecture);
    for (key, name) in [
        ("context_length", "max_position_embeddings"),
        ("embedding_length", "hidden_size"),
        ("block_count", "num_hidden_layers"),
        ("feed_forward_length", "intermediate_size"),
        ("attention.head_count", "num_attention_heads"),
        ("attention.head_count_kv", "num_key_value_heads"),
    ] {
        file.number(&format!("{architecture}.{key}"), count(name) as u32);
    }
    let head_width = match config["head_dim"].as_u64() {
        Some(width) => width as usize,
        None => count("hidden_size") / count("num_attention_heads"),
    };
    file.number(&format!("{architecture}.attention.key_length"), head_width as u32);
    let epsilon = config["rms_norm_eps"].as_f64().unwrap() as f32;
    file.float(&format!("{architecture}.attention.layer_norm_rms_epsilon"), epsilon);
    let rope = &config["rope_parameters"];
    let theta = rope["rope_theta"].as_f64().unwrap();
    file.float(&format!("{architecture}.rope.freq_base"), theta as f32);
    if rope["rope_type"] == "llama3" {
        put_llama3_divisors(&mut file, rope, theta, head_width);
    }
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|one| one.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|kind| kind == "safetensors"));
    names.sort();
    for path in names {
        let bytes = fs::read(path).unwrap();
        for (name, weight) in SafeTensors::deserialize(&bytes).unwrap().iter() {
            let mut values = floats(weight.dtype(), weight.data());
            let heads = match () {
                () if architecture != "llama" => 0,
                () if name.contains("q_proj") => count("num_attention_heads"),
                () if name.contains("k_proj") => count("num_key_value_heads"),
                () => 0,
            };
            if heads > 0 {
                values = interleaved(&values, heads, head_width);
            }
            let kind = if weight.shape().len() == 1 { 0 } else { kind };
            file.weight(&renamed(name), weight.shape(), kind, encoded(&values, kind));
        }
    }
    if folder.join("tokenizer.json").exists() {
        put_tokenizer(&mut file, &json("tokenizer.json"), &json("tokenizer_config.json"), folder);
    }
    file
}

fn renamed(name: &str) -> String {
    let parts = [
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
        ("model.layers", "blk"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ];
    parts.iter().fold(name.to_string(), |name, (from, to)| name.replace(from, to))
}

/// The divisors of frequencies, by the definition of Llama 3.1.
fn put_llama3_divisors(file: &mut Gguf, rope: &Value, theta: f64, head_width: usize) {
    let number = |name: &str| rope[name].as_f64().unwrap();
    let (factor, low, high) =
        (number("factor"), number("low_freq_factor"), number("high_freq_factor"));
    let original = number("original_max_position_embeddings");
    let divisor = |i: usize| {
        let wavelength = std::f64::consts::TAU * theta.powf(2.0 * i as f64 / head_width as f64);
        if wavelength < original / high {
            1.0
        } else if wavelength > original / low {
            factor as f32
        } else {
            let smooth = (original / wavelength - low) / (high - low);
            (1.0 / ((1.0 - smooth) / factor + smooth)) as f32
        }
    };
    let divisors: Vec<f32> = (0..head_width / 2).map(divisor).collect();
    file.weight("rope_freqs.weight", &[head_width / 2], 0, encoded(&divisors, 0));
    file.number("llama.rope.scaling.original_context_length", original as u32);
}

fn put_tokenizer(file: &mut Gguf, tokenizer: &Value, config: &Value, folder: &Path) {
    let model = &tokenizer["model"];
    let mut tokens: Vec<(u64, String)> = Vec::new();
    for (token, id) in model["vocab"].as_object().unwrap() {
        tokens.push((id.as_u64().unwrap(), token.clone()));
    }
    let added = tokenizer["added_tokens"].as_array().unwrap();
    let added = |id: u64| added.iter().find(|one| one["id"].as_u64() == Some(id));
    tokens.sort();
    let is_dense = tokens.iter().enumerate().all(|(place, (id, _))| place as u64 == *id);
    assert!(is_dense, "ids are consecutive");
    let merges: Vec<String> = model["merges"].as_array().unwrap().iter().map(joined).collect();
    let is_pieces = model["byte_fallback"] == true;
    file.text("tokenizer.ggml.model", if is_pieces { "llama" } else { "gpt2" });
    let texts: Vec<Vec<u8>> = tokens.iter().map(|(_, token)| text(token)).collect();
    file.array("tokenizer.ggml.tokens", TEXT, &texts);
    let kind = |(id, token): &(u64, String)| {
        let is_byte = is_pieces && token.starts_with("<0x");
        let kind = if added(*id).is_some() { 3u32 } else { 1 + 5 * u32::from(is_byte) };
        kind.to_le_bytes().to_vec()
    };
    file.array("tokenizer.ggml.token_type", 5, &tokens.iter().map(kind).collect::<Vec<_>>());
    if is_pieces {
        // The pieces that merge first have the best scores.
        let rank = |token: &String| {
            let place = merges.iter().position(|merge| merge.replace(' ', "") == *token);
            place.map_or(0.0, |place| -1.0 - place as f32)
        };
        let scores = tokens.iter().map(|(_, token)| rank(token).to_le_bytes().to_vec());
        file.array("tokenizer.ggml.scores", F32, &scores.collect::<Vec<_>>());
        file.put("tokenizer.ggml.add_bos_token", 7, &[0]);
    } else {
        let merges: Vec<Vec<u8>> = merges.iter().map(|merge| text(merge)).collect();
        file.array("tokenizer.ggml.merges", TEXT, &merges);
        let ignores = model["ignore_merges"] == true;
        file.text("tokenizer.ggml.pre", if ignores { "llama-bpe" } else { "gpt-2" });
        file.put("tokenizer.ggml.add_bos_token", 7, &[0]);
    }
    for (name, key) in [("bos_token", "bos"), ("eos_token", "eos")] {
        let id = config[name].as_str().and_then(|name| {
            tokens.iter().find(|(_, token)| token == name).map(|(id, _)| *id as u32)
        });
        if let Some(id) = id {
            file.number(&format!("tokenizer.ggml.{key}_token_id"), id);
        }
    }
    let own = fs::read_to_string(folder.join("chat_template.jinja")).ok();
    let template = own.or_else(|| config["chat_template"].as_str().map(String::from));
    file.text("tokenizer.chat_template", &template.unwrap());
}

/// A merge as one text, from either form.
fn joined(merge: &Value) -> String {
    match merge.as_array() {
        Some(pair) => pair.iter().map(|one| one.as_str().unwrap()).collect::<Vec<_>>().join(" "),
        None => merge.as_str().unwrap().to_string(),
    }
}
