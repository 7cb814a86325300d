//! Text to tokens and back.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use tokenizers::{ModelWrapper, PostProcessorWrapper, PreTokenizerWrapper};

use super::gguf;
use super::template::{Chat, ChatTemplate};
use crate::error::{Error, Result};

/// Size limit of `tokenizer.json`, in bytes.
const MAX_FILE: u64 = 256 << 20;

/// Size limit of the other files, in bytes.
const MAX_SMALL_FILE: u64 = 16 << 20;

/// What a tokenizer is made of.
#[derive(Debug)]
pub struct Parts {
    /// The vocabulary and the rules of splitting.
    pub tokenizer: tokenizers::Tokenizer,
    /// The chat template, if there is one.
    pub template: Option<ChatTemplate>,
    /// The texts of special tokens by the names that templates know, such as `bos_token`.
    pub special: BTreeMap<String, String>,
    /// The tokens that end a text. Empty stands for `eos_token`.
    pub end_ids: Vec<u32>,
}

impl Parts {
    /// The tokenizer of a `tokenizer.json` alone.
    ///
    /// # Errors
    /// Returns a message if the file is invalid.
    pub fn parse(file: &[u8]) -> Result<Self, String> {
        // The library panics on a decoder that is not JSON.
        serde_json::from_slice::<IgnoredAny>(file).map_err(|error| error.to_string())?;
        let tokenizer = guarded(|| tokenizers::Tokenizer::from_bytes(file))?;
        Ok(Self { tokenizer, template: None, special: BTreeMap::new(), end_ids: Vec::new() })
    }
}

/// Turns text into tokens and back, and chats into text.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    template: Option<ChatTemplate>,
    special: BTreeMap<String, String>,
    end_ids: Vec<u32>,
    /// The highest id plus one.
    size: usize,
    has_byte_fallback: bool,
}

impl Tokenizer {
    /// Reads the tokenizer of a model's folder: `tokenizer.json`, and where they exist
    /// `tokenizer_config.json`, `special_tokens_map.json`, `chat_template.jinja`,
    /// `generation_config.json` and `config.json`. Or that of a GGUF file.
    ///
    /// # Errors
    /// Returns an error that names the file if one cannot be read or is invalid.
    pub fn open(folder: &Path) -> Result<Self> {
        if folder.is_file() {
            let missing = || Error::file(folder, "has no tokenizer");
            return gguf::tokenizer(folder)?.ok_or_else(missing);
        }
        let path = folder.join("tokenizer.json");
        let bytes = read_limited(&path, MAX_FILE)?;
        let parts = Parts::parse(&bytes).map_err(|message| Error::file(&path, message))?;
        let config = members(&folder.join("tokenizer_config.json"))?;
        let mut special = BTreeMap::new();
        for members in [&members(&folder.join("special_tokens_map.json"))?, &config] {
            special.extend(members.iter().filter_map(special_token));
        }
        let end_ids = ["generation_config.json", "config.json"].iter().find_map(|name| {
            let path = folder.join(name);
            members(&path).and_then(|members| end_ids(&members, &path)).transpose()
        });
        let template = template_of(folder, &config)?;
        let end_ids = end_ids.transpose()?.unwrap_or_default();
        let parts = Parts { template, special, end_ids, ..parts };
        Self::from_parts(parts).map_err(|message| Error::file(&path, message))
    }

    /// Reads the tokenizer of a model's folder like [`open`](Self::open), or returns `None` if there is
    /// no `tokenizer.json`, or no tokenizer in the GGUF file.
    ///
    /// # Errors
    /// Returns the errors of [`open`](Self::open).
    pub fn open_if_present(folder: &Path) -> Result<Option<Self>> {
        match folder.join("tokenizer.json").exists() {
            _ if folder.is_file() => gguf::tokenizer(folder),
            true => Self::open(folder).map(Some),
            false => Ok(None),
        }
    }

    /// A tokenizer of its parts. What would make encoding random, or lengthen or shorten its result
    /// (dropout, padding, truncation), is switched off.
    ///
    /// # Errors
    /// Returns a message if the vocabulary is empty, or a part would fail on every text.
    pub fn from_parts(parts: Parts) -> Result<Self, String> {
        let Parts { tokenizer: mut inner, template, special, mut end_ids } = parts;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| error.to_string())?;
        if let ModelWrapper::BPE(bpe) = inner.get_model()
            && bpe.dropout.is_some()
        {
            let mut certain = bpe.clone();
            certain.dropout = None;
            inner.with_model(certain);
        }
        check_parts(&inner)?;
        let highest = inner.get_vocab(true).into_values().max();
        let size = highest.ok_or("the vocabulary is empty")? as usize + 1;
        if end_ids.is_empty() {
            end_ids.extend(special.get("eos_token").and_then(|token| inner.token_to_id(token)));
        }
        let decoder = serde_json::to_string(&inner.get_decoder()).unwrap_or_default();
        let has_byte_fallback = decoder.contains("\"ByteFallback\"");
        Ok(Self { inner, template, special, end_ids, size, has_byte_fallback })
    }

    /// Checks that every token has a row in a model's embedding. A model may have more rows than there
    /// are tokens.
    ///
    /// # Errors
    /// Returns an error if an id is out of range.
    pub fn check_vocabulary(&self, vocabulary: usize) -> Result<()> {
        if self.size <= vocabulary {
            return Ok(());
        }
        let highest = self.size - 1;
        let message = format!(
            "has ids up to {highest}, but the model's vocabulary is {vocabulary}: the two do not belong \
             together"
        );
        Err(Error::input("tokenizer.json", message))
    }

    /// The highest id plus one.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The tokens of a text. Special tokens in the text are recognised; none are added.
    ///
    /// # Errors
    /// Returns an error if the tokenizer has no token for a part of the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.encoded(text, false)
    }

    /// The tokens of a text with those special tokens that the tokenizer puts around a text, such as one
    /// for its beginning.
    ///
    /// # Errors
    /// Returns the errors of [`encode`](Self::encode).
    pub fn encode_with_special_tokens(&self, text: &str) -> Result<Vec<u32>> {
        self.encoded(text, true)
    }

    fn encoded(&self, text: &str, adds_special: bool) -> Result<Vec<u32>> {
        let encoding = guarded(|| self.inner.encode_fast(text, adds_special));
        let encoding = encoding.map_err(|message| Error::input("text", message))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of tokens. Special tokens are kept; ids without a token are left out, and bytes that are
    /// no UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// Returns an error if the tokenizer's decoder fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        guarded(|| self.inner.decode(ids, false)).map_err(|message| Error::input("ids", message))
    }

    /// A decoder of tokens that come one by one.
    pub fn stream(&self) -> TextStream<'_> {
        TextStream { tokenizer: self, ids: Vec::new(), shown: String::new(), shown_ids: 0 }
    }

    /// The text of a chat by the model's template.
    ///
    /// # Errors
    /// Returns an error if there is no template, or it refuses the chat.
    pub fn render(&self, chat: &Chat) -> Result<String> {
        let Some(template) = &self.template else {
            let message = "the model has no chat template (chat_template.jinja, or \"chat_template\" in \
                           tokenizer_config.json): give \"text\" instead";
            return Err(Error::input("messages", message));
        };
        template.render(chat, &self.special).map_err(|message| Error::input("messages", message))
    }

    /// Whether the model has a chat template.
    pub fn has_template(&self) -> bool {
        self.template.is_some()
    }

    /// The tokens that end a text: those of `generation_config.json`, else of `config.json`, else the
    /// tokenizer's `eos_token`. May be empty.
    pub fn end_ids(&self) -> &[u32] {
        &self.end_ids
    }

    /// The text of a special token by its name, such as `bos_token`.
    pub fn special(&self, name: &str) -> Option<&str> {
        self.special.get(name).map(String::as_str)
    }

    /// The texts that are special tokens wherever they stand, such as `<|im_end|>`.
    pub fn special_texts(&self) -> Vec<String> {
        let added = self.inner.get_added_tokens_decoder();
        added.into_values().filter(|token| token.special).map(|token| token.content).collect()
    }

    /// The id of a token.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Whether a token stands for one byte, such as `<0xE2>`. Their text depends on their neighbours.
    fn is_byte(&self, id: u32) -> bool {
        let is_byte = |token: String| {
            let digits = token.strip_prefix("<0x").and_then(|token| token.strip_suffix('>'));
            digits.is_some_and(|digits| digits.len() == 2 && u8::from_str_radix(digits, 16).is_ok())
        };
        self.has_byte_fallback && self.inner.id_to_token(id).is_some_and(is_byte)
    }
}

/// Decodes tokens one by one. The pieces together are the text of all tokens, and no piece ends within a
/// character.
#[derive(Debug)]
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    /// The last tokens whose text was returned, then those whose text was not. The former are kept
    /// because a token's text can depend on the one before it.
    ids: Vec<u32>,
    /// The text of the first `shown_ids` of them.
    shown: String,
    shown_ids: usize,
}

impl TextStream<'_> {
    /// Adds a token. Returns the text that it completes, which is often empty within a character.
    ///
    /// # Errors
    /// Returns an error if the tokenizer's decoder fails.
    pub fn push(&mut self, id: u32) -> Result<String> {
        if self.tokenizer.inner.id_to_token(id).is_none() {
            // It has no text, and does not end a row of bytes.
            return Ok(String::new());
        }
        self.ids.push(id);
        if self.tokenizer.is_byte(id) {
            return Ok(String::new());
        }
        let text = self.tokenizer.decode(&self.ids)?;
        if text.ends_with(char::REPLACEMENT_CHARACTER) || text.len() <= self.shown.len() {
            return Ok(String::new());
        }
        let new = text.get(self.shown.len()..).unwrap_or_default().to_string();
        self.ids.drain(..self.shown_ids);
        self.shown_ids = self.ids.len();
        self.shown = self.tokenizer.decode(&self.ids)?;
        Ok(new)
    }

    /// The text of the last tokens if they end within a character: U+FFFD for what is incomplete.
    ///
    /// # Errors
    /// Returns an error if the tokenizer's decoder fails.
    pub fn finish(self) -> Result<String> {
        let text = self.tokenizer.decode(&self.ids)?;
        Ok(text.get(self.shown.len()..).unwrap_or_default().to_string())
    }
}

/// Refuses parts that panic in use: they are described by files that anyone may write.
fn check_parts(tokenizer: &tokenizers::Tokenizer) -> Result<(), String> {
    let pre_tokenizers: Vec<&PreTokenizerWrapper> = match tokenizer.get_pre_tokenizer() {
        Some(PreTokenizerWrapper::Sequence(sequence)) => sequence.as_ref().iter().collect(),
        one => one.into_iter().collect(),
    };
    for pre_tokenizer in pre_tokenizers {
        if let PreTokenizerWrapper::FixedLength(fixed) = pre_tokenizer
            && fixed.length == 0
        {
            return Err("pre_tokenizer: the length is 0, expected at least 1".into());
        }
    }
    let processors: Vec<&PostProcessorWrapper> = match tokenizer.get_post_processor() {
        Some(PostProcessorWrapper::Sequence(sequence)) => sequence.as_ref().iter().collect(),
        one => one.into_iter().collect(),
    };
    for processor in processors {
        let processor = serde_json::to_value(processor).unwrap_or_default();
        let pieces = ["single", "pair"].iter().filter_map(|name| processor.get(name)?.as_array());
        for piece in pieces.flatten() {
            let token = piece.pointer("/SpecialToken/id").and_then(Value::as_str);
            let known = processor.get("special_tokens");
            if let Some(token) = token
                && known.and_then(|known| known.get(token)).is_none()
            {
                return Err(format!("post_processor: '{token}' is not among its special tokens"));
            }
        }
    }
    Ok(())
}

/// Calls the tokenizer library. A panic, which a file that anyone may write can cause, becomes an error.
pub(super) fn guarded<T>(call: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("the tokenizer is inconsistent".into()),
    }
}

/// Reads a file up to a size.
fn read_limited(path: &Path, most: u64) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    match bytes.len() as u64 <= most {
        true => Ok(bytes),
        false => Err(Error::file(path, format!("is larger than {most} bytes"))),
    }
}

/// The members of a JSON file; none if the file does not exist.
fn members(path: &Path) -> Result<Map<String, Value>> {
    if !path.exists() {
        return Ok(Map::new());
    }
    let bytes = read_limited(path, MAX_SMALL_FILE)?;
    serde_json::from_slice(&bytes).map_err(|error| Error::file(path, error.to_string()))
}

/// A member that names a special token: its text, or an object with the text as "content".
fn special_token((name, value): (&String, &Value)) -> Option<(String, String)> {
    let text = value.as_str().or_else(|| value.get("content")?.as_str())?;
    name.ends_with("_token").then(|| (name.clone(), text.to_string()))
}

/// The member `eos_token_id`: absent, null, a number or a list.
fn end_ids(members: &Map<String, Value>, path: &Path) -> Result<Option<Vec<u32>>> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    let ids = match members.get("eos_token_id") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(all)) => all.iter().map(id).collect(),
        Some(one) => id(one).map(|id| vec![id]),
    };
    let message = "eos_token_id is neither a token's id nor a list of ids";
    ids.map(Some).ok_or_else(|| Error::file(path, message))
}

/// The chat template of a folder. The file of its own counts before the member.
fn template_of(folder: &Path, config: &Map<String, Value>) -> Result<Option<ChatTemplate>> {
    let file = folder.join("chat_template.jinja");
    if file.exists() {
        let source = String::from_utf8(read_limited(&file, MAX_SMALL_FILE)?)
            .map_err(|error| Error::file(&file, error.to_string()))?;
        let template = ChatTemplate::parse(&source);
        return template.map(Some).map_err(|message| Error::file(&file, message));
    }
    let place = folder.join("tokenizer_config.json");
    let template = match config.get("chat_template") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(source)) => ChatTemplate::parse(source),
        Some(Value::Array(all)) => {
            let text = |one: &Value, name: &str| one.get(name)?.as_str().map(String::from);
            let named = all.iter().map(|one| Some((text(one, "name")?, text(one, "template")?)));
            match named.collect::<Option<Vec<_>>>() {
                Some(named) => ChatTemplate::named(named),
                None => {
                    Err("chat_template: expected objects with \"name\" and \"template\"".into())
                }
            }
        }
        Some(_) => Err("chat_template is neither a text nor a list".into()),
    };
    template.map(Some).map_err(|message| Error::file(&place, message))
}
