//! A tokenizer made of texts: byte-level byte-pair encoding (Sennrich et al. 2016, arXiv 1508.07909; on
//! bytes as in GPT-2).
//!
//! A text is split into words by GPT-2's pattern and a word into bytes. The pair of neighbouring tokens
//! that is the most frequent in the texts becomes a token, again and again. As every byte is a token, any
//! text can be encoded.

use std::collections::BTreeMap;

use serde_json::json;
use tokenizers::AddedToken;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use super::template::ChatTemplate;
use super::tokenizer::{Parts, Tokenizer};
use crate::error::{Error, Result};

/// Ends a text, and fills rows of a batch that are shorter than others.
pub const END_OF_TEXT: &str = "<|endoftext|>";

/// Ends a message.
pub const END_OF_MESSAGE: &str = "<|end|>";

/// The special tokens of every new tokenizer, with the ids 0 to 4. A message begins with the token of its
/// role, so that its head costs one token whatever the vocabulary.
pub const SPECIAL_TOKENS: [&str; 5] =
    [END_OF_TEXT, END_OF_MESSAGE, "<|system|>", "<|user|>", "<|assistant|>"];

/// The chat template of new tokenizers: `<|ROLE|>CONTENT<|end|>` for each message, and `<|assistant|>` at
/// the end if an answer is asked for.
pub const CHAT_TEMPLATE: &str = "\
{%- for message in messages %}
    {%- if message.role not in ['system', 'user', 'assistant'] %}
        {{- raise_exception(\"the role is '\" ~ message.role ~ \"', expected system, user or assistant\") }}
    {%- endif %}
    {{- '<|' + message.role + '|>' + message.content + '<|end|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|assistant|>' }}
{%- endif %}";

/// Number of tokens that stand for one byte.
const BYTES: usize = 256;

/// A pair of tokens becomes a token if the texts hold it at least so often.
const MIN_FREQUENCY: u64 = 2;

/// What a new tokenizer has beside what the texts give it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BpeOptions {
    /// Largest number of tokens. Fewer are made if no pair of tokens is left that occurs twice.
    pub vocabulary: usize,
    /// The chat template.
    pub chat_template: String,
    /// Special tokens beside [`SPECIAL_TOKENS`].
    pub special_tokens: Vec<String>,
}

impl Default for BpeOptions {
    fn default() -> Self {
        Self {
            vocabulary: 1024,
            chat_template: CHAT_TEMPLATE.to_string(),
            special_tokens: Vec::new(),
        }
    }
}

/// A new tokenizer.
#[derive(Debug, Clone)]
pub struct Bpe {
    inner: tokenizers::Tokenizer,
    template: ChatTemplate,
    template_source: String,
    special_tokens: Vec<String>,
}

impl Bpe {
    /// Makes a tokenizer of texts. The same texts and options give the same tokenizer.
    ///
    /// # Errors
    /// Returns an error if there is no text, the vocabulary has no room for bytes and special tokens, a
    /// special token is empty or given twice, or the chat template is invalid.
    pub fn train<T, I>(texts: I, options: &BpeOptions) -> Result<Self>
    where
        T: AsRef<str> + Send,
        I: Iterator<Item = T> + Send,
    {
        let refuse = |message: String| Error::setting("chat_template", message);
        let template = ChatTemplate::parse(&options.chat_template).map_err(refuse)?;
        let special_tokens = all_special_tokens(options)?;
        let mut inner = tokenizers::Tokenizer::new(BPE::default());
        inner.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
        inner.with_decoder(Some(ByteLevel::default()));
        let special = |text: &String| AddedToken::from(text.as_str(), true).normalized(false);
        let trainer = BpeTrainer::builder()
            .vocab_size(options.vocabulary)
            .min_frequency(MIN_FREQUENCY)
            .show_progress(false)
            .special_tokens(special_tokens.iter().map(special).collect())
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let mut is_empty = true;
        let texts = texts.inspect(|text| is_empty &= text.as_ref().is_empty());
        let trained = inner.train(&mut TrainerWrapper::from(trainer), texts).map(|_| ());
        trained.map_err(|error| Error::Run(format!("cannot make a tokenizer: {error}")))?;
        match is_empty {
            true => Err(Error::input("texts", "there is no text to make a tokenizer of")),
            false => Ok(Self {
                inner,
                template,
                template_source: options.chat_template.clone(),
                special_tokens,
            }),
        }
    }

    /// Number of tokens.
    pub fn vocabulary(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The tokenizer itself.
    ///
    /// # Errors
    /// Returns an error if the tokenizer library refuses its own work.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        assembled(self.inner.clone(), self.template.clone())
    }

    /// The content of `tokenizer.json`.
    ///
    /// # Errors
    /// Returns an error if the tokenizer cannot be written.
    pub fn to_json(&self) -> Result<String> {
        let written = self.inner.to_string(true);
        written.map_err(|error| Error::Run(format!("cannot write a tokenizer: {error}")))
    }

    /// The tokenizer of a `tokenizer.json` that [`to_json`](Self::to_json) gave, with the chat template
    /// [`CHAT_TEMPLATE`].
    ///
    /// # Errors
    /// Returns a message if the text is no such tokenizer.
    pub fn tokenizer_of(json: &str) -> Result<Tokenizer> {
        let refuse = |message: String| Error::input("tokenizer", message);
        let inner = tokenizers::Tokenizer::from_bytes(json);
        let inner = inner.map_err(|error| refuse(error.to_string()))?;
        assembled(inner, ChatTemplate::parse(CHAT_TEMPLATE).map_err(refuse)?)
    }

    /// The names and contents of the files that describe the tokenizer in a model's folder. `context` is
    /// the largest number of tokens of a sequence.
    ///
    /// # Errors
    /// Returns an error if the tokenizer cannot be written.
    pub fn files(&self, context: usize) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let tokenizer = self.to_json()?;
        let named = [END_OF_MESSAGE, END_OF_TEXT];
        let others: Vec<&String> =
            self.special_tokens.iter().filter(|token| !named.contains(&token.as_str())).collect();
        let config = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": END_OF_MESSAGE,
            "pad_token": END_OF_TEXT,
            "additional_special_tokens": others,
            "clean_up_tokenization_spaces": false,
            "model_max_length": context,
        });
        let generation = json!({
            "eos_token_id": end_ids(&self.inner),
            "pad_token_id": self.inner.token_to_id(END_OF_TEXT),
        });
        let text = |value: serde_json::Value| format!("{value:#}\n").into_bytes();
        Ok(vec![
            ("tokenizer.json", tokenizer.into_bytes()),
            ("tokenizer_config.json", text(config)),
            ("generation_config.json", text(generation)),
            ("chat_template.jinja", self.template_source.clone().into_bytes()),
        ])
    }
}

/// A new tokenizer with what belongs to it.
fn assembled(inner: tokenizers::Tokenizer, template: ChatTemplate) -> Result<Tokenizer> {
    let special = [("eos_token", END_OF_MESSAGE), ("pad_token", END_OF_TEXT)];
    let own = |(name, text): (&str, &str)| (name.to_string(), text.to_string());
    let parts = Parts {
        end_ids: end_ids(&inner),
        tokenizer: inner,
        template: Some(template),
        special: special.map(own).into_iter().collect::<BTreeMap<_, _>>(),
    };
    Tokenizer::from_parts(parts).map_err(Error::Run)
}

/// The tokens that end a generated text.
fn end_ids(tokenizer: &tokenizers::Tokenizer) -> Vec<u32> {
    let tokens = [END_OF_MESSAGE, END_OF_TEXT];
    tokens.iter().filter_map(|token| tokenizer.token_to_id(token)).collect()
}

/// The special tokens of a new tokenizer, checked.
fn all_special_tokens(options: &BpeOptions) -> Result<Vec<String>> {
    let mut all: Vec<String> = SPECIAL_TOKENS.map(String::from).to_vec();
    for token in &options.special_tokens {
        if token.trim().is_empty() || all.contains(token) {
            let problem = if token.trim().is_empty() { "is blank" } else { "is there already" };
            return Err(Error::setting("special_tokens", format!("'{token}' {problem}")));
        }
        all.push(token.clone());
    }
    let least = BYTES + all.len();
    match options.vocabulary >= least {
        true => Ok(all),
        false => Err(Error::setting(
            "vocabulary",
            format!(
                "is {}, expected at least {least}: {BYTES} bytes and {} special tokens",
                options.vocabulary,
                all.len()
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 3] = ["go to shelf 1", "go to shelf 2", "take mug 1 from shelf 1"];

    #[test]
    fn frequent_words_become_tokens_and_any_text_can_be_encoded() {
        let bpe = Bpe::train(TEXTS.into_iter(), &BpeOptions::default()).unwrap();
        let tokenizer = bpe.tokenizer().unwrap();
        assert!(bpe.vocabulary() < 300, "no pair is left that occurs twice");
        assert_eq!(tokenizer.encode("go to shelf 1").unwrap().len(), 4);
        let text = "Größe 12 µm\u{0}\n\n🦀 <|end|>";
        let ids = tokenizer.encode(text).unwrap();
        assert_eq!(ids.last(), Some(&1));
        assert_eq!(tokenizer.decode(&ids).unwrap(), text);
        assert_eq!(tokenizer.end_ids(), [1, 0]);
    }

    #[test]
    fn a_vocabulary_has_room_for_bytes_and_special_tokens() {
        let of = |vocabulary| {
            Bpe::train(TEXTS.into_iter(), &BpeOptions { vocabulary, ..BpeOptions::default() })
        };
        assert_eq!(of(261).unwrap().vocabulary(), 261);
        assert_eq!(of(265).unwrap().vocabulary(), 265);
        let error = of(260).unwrap_err().to_string();
        assert!(error.contains("is 260, expected at least 261"), "{error}");
    }

    #[test]
    fn special_tokens_are_neither_blank_nor_given_twice() {
        for (token, says) in [(" ", "' ' is blank"), ("<|end|>", "'<|end|>' is there already")] {
            let options =
                BpeOptions { special_tokens: vec![token.into()], ..BpeOptions::default() };
            let error = Bpe::train(TEXTS.into_iter(), &options).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        let error = Bpe::train(["", ""].into_iter(), &BpeOptions::default()).unwrap_err();
        assert_eq!(error.to_string(), "texts: there is no text to make a tokenizer of");
    }
}
