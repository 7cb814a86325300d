//! A GGUF file's tokenizer, as the files of Hugging Face describe it.
//!
//! Two kinds are supported: byte-level BPE (`gpt2`), with the splitting rules that `tokenizer.ggml.pre`
//! names, and SentencePiece BPE (`llama`), whose merges follow from the scores of its pieces.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::file::{GgufFile, Value};
use crate::error::Result;
use crate::lm::template::ChatTemplate;
use crate::lm::tokenizer::{Parts, Tokenizer};

/// Kinds of tokens, as `tokenizer.ggml.token_type` numbers them.
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

/// The rules by which Llama 3 and Qwen 2 split texts before merging. They differ in the length of numbers.
const LLAMA3_SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2_SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A tokenizer as the file describes it.
#[derive(Debug)]
pub struct Tokens {
    /// What `tokenizer.json` holds.
    json: Json,
    template: Option<String>,
    /// The texts of special tokens, by names such as `bos_token`.
    special: BTreeMap<String, String>,
    end_ids: Vec<u32>,
}

impl Tokens {
    /// Reads the metadata of a file; `None` if there is no tokenizer in it.
    ///
    /// # Errors
    /// Returns an error if the tokenizer is of another kind or its parts do not fit together.
    pub fn read(file: &GgufFile) -> Result<Option<Self>> {
        let Some(kind) = file.text("tokenizer.ggml.model")? else { return Ok(None) };
        let read = match kind {
            "gpt2" => byte_level(file)?,
            "llama" => sentence_piece(file)?,
            "none" | "no_vocab" => return Ok(None),
            other => {
                let message = format!("tokenizer.ggml.model is '{other}', expected gpt2 or llama");
                return Err(file.refuse(message));
            }
        };
        let tokens = texts(file, "tokenizer.ggml.tokens")?;
        let mut special = BTreeMap::new();
        for (name, key) in [("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")]
        {
            if let Some((_, token)) = token_of(file, tokens, key)? {
                special.insert(format!("{name}_token"), token.to_string());
            }
        }
        let mut end_ids = Vec::new();
        for key in ["eos", "eot"] {
            end_ids.extend(token_of(file, tokens, key)?.map(|(id, _)| id));
        }
        end_ids.dedup();
        let template = file.text("tokenizer.chat_template")?.map(String::from);
        Ok(Some(Self { json: read, template, special, end_ids }))
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// Returns a message if the parts do not fit together, or the template is invalid.
    pub fn tokenizer(&self) -> Result<Tokenizer, String> {
        let template = self.template.as_deref().map(ChatTemplate::parse).transpose()?;
        let tokenizer = tokenizers::Tokenizer::from_bytes(self.json.to_string());
        Tokenizer::from_parts(Parts {
            tokenizer: tokenizer.map_err(|error| format!("tokenizer: {error}"))?,
            template,
            special: self.special.clone(),
            end_ids: self.end_ids.clone(),
        })
    }

    /// The files that describe it in the layout of Hugging Face, with their names.
    pub fn files(&self) -> Vec<(&'static str, String)> {
        let mut config: Map<String, Json> =
            self.special.iter().map(|(name, token)| (name.clone(), json!(token))).collect();
        config.insert("tokenizer_class".into(), json!("PreTrainedTokenizerFast"));
        let mut files = vec![
            ("tokenizer.json", self.json.to_string()),
            ("tokenizer_config.json", format!("{:#}\n", Json::Object(config))),
            ("generation_config.json", format!("{:#}\n", json!({ "eos_token_id": self.end_ids }))),
        ];
        files.extend(self.template.clone().map(|template| ("chat_template.jinja", template)));
        files
    }
}

fn texts<'a>(file: &'a GgufFile, key: &str) -> Result<&'a [String]> {
    match file.metadata.get(key) {
        Some(Value::Texts(texts)) => Ok(texts),
        _ => Err(file.refuse(format!("{key} is missing or not a list of texts"))),
    }
}

/// The token that a key such as `tokenizer.ggml.bos_token_id` names, if it is present.
fn token_of<'a>(
    file: &GgufFile,
    tokens: &'a [String],
    name: &str,
) -> Result<Option<(u32, &'a str)>> {
    let key = format!("tokenizer.ggml.{name}_token_id");
    let Some(id) = file.integer(&key)? else { return Ok(None) };
    match usize::try_from(id).ok().and_then(|id| tokens.get(id)) {
        Some(token) => Ok(Some((id as u32, token))),
        None => {
            let message = format!("{key} is {id}, of {} tokens", tokens.len());
            Err(file.refuse(message))
        }
    }
}

/// Ids by token. Every token must be there once.
fn vocabulary(file: &GgufFile) -> Result<Map<String, Json>> {
    let mut ids = Map::new();
    for (id, token) in texts(file, "tokenizer.ggml.tokens")?.iter().enumerate() {
        if ids.insert(token.clone(), json!(id)).is_some() {
            return Err(file.refuse(format!("token '{token}' appears twice")));
        }
    }
    Ok(ids)
}

/// The tokens that are recognised in texts as they are.
fn added_tokens(file: &GgufFile) -> Result<Vec<Json>> {
    let tokens = texts(file, "tokenizer.ggml.tokens")?;
    let kinds = match file.metadata.get("tokenizer.ggml.token_type") {
        None => &Vec::new(),
        Some(Value::Integers(kinds)) if kinds.len() == tokens.len() => kinds,
        Some(_) => {
            let message = "tokenizer.ggml.token_type is not one number for each token";
            return Err(file.refuse(message));
        }
    };
    let added = |((id, token), kind): ((usize, &String), &i64)| {
        [UNKNOWN, CONTROL, USER_DEFINED].contains(kind).then(|| {
            json!({
                "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": *kind != USER_DEFINED,
            })
        })
    };
    Ok(tokens.iter().enumerate().zip(kinds).filter_map(added).collect())
}

/// What puts the tokens of beginning and end around a text, as far as the file asks for them.
fn post_processor(file: &GgufFile, begins_by_default: bool) -> Result<Json> {
    let tokens = texts(file, "tokenizer.ggml.tokens")?;
    let asks = |name: &str, default: bool| -> Result<Option<(u32, &str)>> {
        let is_asked = file.bool(&format!("tokenizer.ggml.add_{name}_token"))?.unwrap_or(default);
        if is_asked { token_of(file, tokens, name) } else { Ok(None) }
    };
    let (first, last) = (asks("bos", begins_by_default)?, asks("eos", false)?);
    let mut single = Vec::new();
    let mut special = Map::new();
    let mut put = |token: Option<(u32, &str)>, single: &mut Vec<Json>| {
        if let Some((id, token)) = token {
            single.push(json!({"SpecialToken": {"id": token, "type_id": 0}}));
            special.insert(token.into(), json!({"id": token, "ids": [id], "tokens": [token]}));
        }
    };
    put(first, &mut single);
    single.push(json!({"Sequence": {"id": "A", "type_id": 0}}));
    put(last, &mut single);
    let pair =
        json!([{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}]);
    Ok(json!({
        "type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special,
    }))
}

fn byte_level(file: &GgufFile) -> Result<Json> {
    let level = |use_regex: bool| {
        json!({
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
            "use_regex": use_regex,
        })
    };
    let split = |pattern: &str| {
        let split = json!({
            "type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false,
        });
        json!({"type": "Sequence", "pretokenizers": [split, level(false)]})
    };
    let digits = json!({"type": "Digits", "individual_digits": true});
    let kind = file.text("tokenizer.ggml.pre")?.unwrap_or_default();
    // What splits texts; whether a whole piece that is a token is taken without merging.
    let (pre_tokenizer, ignores_merges) = match kind {
        "gpt-2" | "gpt2" => (level(true), false),
        "smollm" => (json!({"type": "Sequence", "pretokenizers": [digits, level(true)]}), false),
        "llama-bpe" | "llama3" | "llama-v3" => (split(LLAMA3_SPLIT), true),
        "qwen2" => (split(QWEN2_SPLIT), false),
        other => {
            let message = format!(
                "tokenizer.ggml.pre is '{other}', expected gpt-2, smollm, llama-bpe or qwen2"
            );
            return Err(file.refuse(message));
        }
    };
    let merge = |merge: &String| match merge.split_once(' ') {
        Some((left, right)) => Ok(json!([left, right])),
        None => Err(file.refuse(format!("merge '{merge}' is not of two tokens"))),
    };
    let merges = texts(file, "tokenizer.ggml.merges")?.iter().map(merge);
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added_tokens(file)?,
        "normalizer": if kind == "qwen2" { json!({"type": "NFC"}) } else { Json::Null },
        "pre_tokenizer": pre_tokenizer,
        "post_processor": post_processor(file, ignores_merges)?,
        "decoder": level(true),
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": ignores_merges,
            "vocab": vocabulary(file)?,
            "merges": merges.collect::<Result<Vec<Json>>>()?,
        },
    }))
}

fn sentence_piece(file: &GgufFile) -> Result<Json> {
    let tokens = texts(file, "tokenizer.ggml.tokens")?;
    let scores = match file.metadata.get("tokenizer.ggml.scores") {
        Some(Value::Floats(scores)) if scores.len() == tokens.len() => scores,
        _ => {
            let message = "tokenizer.ggml.scores is missing or not one number for each token";
            return Err(file.refuse(message));
        }
    };
    let has_prefix = file.bool("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
    let replace = |from: &str, to: &str| json!({"type": "Replace", "pattern": {"String": from}, "content": to});
    let mut normalizers = vec![replace(" ", "\u{2581}")];
    let mut decoders =
        vec![replace("\u{2581}", " "), json!({"type": "ByteFallback"}), json!({"type": "Fuse"})];
    if has_prefix {
        normalizers.insert(0, json!({"type": "Prepend", "prepend": "\u{2581}"}));
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    let unknown = token_of(file, tokens, "unknown")?.map(|(_, token)| token);
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added_tokens(file)?,
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": null,
        "post_processor": post_processor(file, true)?,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": unknown,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": true,
            "byte_fallback": true,
            "ignore_merges": false,
            "vocab": vocabulary(file)?,
            "merges": merges_by_score(tokens, scores),
        },
    }))
}

/// The merges of SentencePiece: it joins the two neighbours whose joint piece has the best score. So a pair
/// of pieces comes before another if its joint piece has the better score.
fn merges_by_score(tokens: &[String], scores: &[f64]) -> Vec<Json> {
    let ids: BTreeMap<&str, usize> =
        tokens.iter().enumerate().map(|(id, token)| (token.as_str(), id)).collect();
    let mut merges = Vec::new();
    for (id, token) in tokens.iter().enumerate() {
        let mut own: Vec<(usize, usize)> = Vec::new();
        for (at, _) in token.char_indices().skip(1).take(MAX_PIECE) {
            let (left, right) = token.split_at(at);
            if let (Some(&left), Some(&right)) = (ids.get(left), ids.get(right)) {
                own.push((left, right));
            }
        }
        own.sort_unstable();
        merges.extend(own.into_iter().map(|pair| (id, pair)));
    }
    merges.sort_by(|(one, _), (other, _)| scores[*other].total_cmp(&scores[*one]));
    let pair = |(_, (left, right)): (usize, (usize, usize))| json!([tokens[left], tokens[right]]);
    merges.into_iter().map(pair).collect()
}

/// Longest piece, in characters, whose splits are looked for. It keeps the time of hostile files linear.
const MAX_PIECE: usize = 256;
