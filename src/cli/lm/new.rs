//! `proxmo lm new`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::lines::{Line, for_batches};
use crate::cli::terminal::say;
use crate::device::{Backend, open};
use crate::error::{Error, Result};
use crate::files::expect_vacant;
use crate::lm::{Bpe, BpeOptions, NewModelConfig};

/// Make a new model: a tokenizer of your texts, and untrained weights.
///
/// The tokenizer is a byte-level BPE with the special tokens <|endoftext|>, <|end|>, <|system|>,
/// <|user|> and <|assistant|>. A chat reads <|user|>CONTENT<|end|><|assistant|>CONTENT<|end|>. The model
/// has Llama's form, and Hugging Face's libraries load the folder. The same texts, options and seed give
/// the same bytes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Texts, one a line, or JSON lines with "text"; - for standard input.
    ///
    /// Lines are JSON if the first that is not blank is an object with "text". May be given several
    /// times.
    #[arg(long, value_name = "FILE", required = true)]
    texts: Vec<PathBuf>,
    /// Folder to write. It must not exist, or be empty.
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Largest number of tokens.
    ///
    /// Fewer are made if no pair of tokens is left that occurs twice in the texts.
    #[arg(long, value_name = "N", default_value_t = BpeOptions::default().vocabulary)]
    vocabulary: usize,
    /// Number of layers.
    #[arg(long, value_name = "N", default_value_t = NewModelConfig::default().layers)]
    layers: usize,
    /// Width of the hidden states.
    #[arg(long, value_name = "N", default_value_t = NewModelConfig::default().width)]
    width: usize,
    /// Number of query heads.
    #[arg(long, value_name = "N", default_value_t = NewModelConfig::default().heads)]
    heads: usize,
    /// Number of key and value heads [default: half the heads]
    #[arg(long, value_name = "N")]
    kv_heads: Option<usize>,
    /// Width of the feed-forward layers [default: three times the width]
    #[arg(long, value_name = "N")]
    intermediate: Option<usize>,
    /// Largest number of tokens of a sequence.
    #[arg(long, value_name = "N", default_value_t = NewModelConfig::default().context)]
    context: usize,
    /// Give the head weights of its own. Without this it shares the embedding's.
    #[arg(long)]
    untied: bool,
    /// Normalise queries and keys by head: Qwen3's form in place of Llama's.
    #[arg(long)]
    qk_norm: bool,
    /// File with a chat template in Jinja to use instead.
    #[arg(long, value_name = "FILE")]
    chat_template: Option<PathBuf>,
    /// A further special token. May be given several times.
    #[arg(long = "special-token", value_name = "TEXT")]
    special_tokens: Vec<String>,
    /// Seed of the weights.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

const EXAMPLES: &str = "\
Examples:
  proxmo lm new --texts texts.txt --output models/small
  proxmo lm new --texts texts.jsonl --vocabulary 4096 --layers 6 --width 384 --heads 6 --output models/m
  my-texts | proxmo lm new --texts - --output models/small --seed 7";

pub fn run(arguments: &Arguments) -> Result<()> {
    expect_vacant(&arguments.output)?;
    let config = arguments.config();
    config.shape(arguments.vocabulary)?;
    let mut options = BpeOptions {
        vocabulary: arguments.vocabulary,
        special_tokens: arguments.special_tokens.clone(),
        ..BpeOptions::default()
    };
    if let Some(path) = &arguments.chat_template {
        options.chat_template = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    }
    let mut texts = Vec::new();
    for path in &arguments.texts {
        read_texts(path, &mut texts)?;
    }
    let bpe = Bpe::train(texts.iter(), &options)?;
    let device = open(Backend::Flex, 0)?.device;
    let parameters = config.write(&bpe, arguments.seed, &device, &arguments.output)?;
    let (folder, vocabulary) = (arguments.output.display(), bpe.vocabulary());
    say!("{folder}: {parameters} parameters, vocabulary of {vocabulary} tokens");
    Ok(())
}

impl Arguments {
    fn config(&self) -> NewModelConfig {
        NewModelConfig {
            layers: self.layers,
            width: self.width,
            heads: self.heads,
            kv_heads: self.kv_heads,
            intermediate: self.intermediate,
            context: self.context,
            tied: !self.untied,
            qk_norm: self.qk_norm,
        }
    }
}

/// Number of lines that are taken up together.
const LINES: usize = 1024;

/// Adds the texts of a file. Its first line decides how all are read.
fn read_texts(path: &Path, texts: &mut Vec<String>) -> Result<()> {
    let mut is_json = None;
    for_batches(path, LINES, &mut |lines| {
        for line in lines {
            let member = text_member(line);
            match (*is_json.get_or_insert(member.is_some()), member) {
                (false, _) => texts.push(line.text.clone()),
                (true, Some(text)) => texts.push(text),
                (true, None) => {
                    let message = "expected an object with \"text\", as on the first line";
                    return Err(Error::input(&line.place, message));
                }
            }
        }
        Ok(())
    })
}

/// The member "text" of a line that is a JSON object with one.
fn text_member(line: &Line) -> Option<String> {
    if !line.text.trim_start().starts_with('{') {
        return None;
    }
    let value: Value = serde_json::from_str(&line.text).ok()?;
    value.get("text")?.as_str().map(String::from)
}
