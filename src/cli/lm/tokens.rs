//! `proxmo lm tokens`.

use clap::Args;

use super::lines::{InputFlags, Line, for_batches};
use super::model::ModelFolder;
use super::request::Request;
use crate::cli::json_line::with_members;
use crate::cli::terminal::hand_over;
use crate::error::{Error, Result};
use crate::lm::Tokenizer;

/// Turn texts and chats into tokens, and tokens into text.
///
/// A line gives "text", "messages" or "ids". "messages" is a list of objects with "role" and "content";
/// the model's chat template turns it into a text. "add_generation_prompt": true ends that text with the
/// head of an answer, and further members ("tools", "enable_thinking") are variables of the template.
///
/// Adds "text" as rendered, its tokens "ids", and "decoded", the text of these tokens. Special tokens in
/// a text are recognised; none are added, unless the line says "add_special_tokens": true.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelFolder,
    #[command(flatten)]
    input: InputFlags,
}

const EXAMPLES: &str = "\
Examples:
  proxmo lm tokens --model SmolLM2-135M-Instruct --input texts.jsonl
  echo '{\"text\": \"go to shelf 1\"}' | proxmo lm tokens --model SmolLM2-135M-Instruct --input -";

pub fn run(arguments: &Arguments) -> Result<()> {
    let tokenizer = arguments.model.tokenizer()?;
    for_batches(&arguments.input.input, 1, &mut |lines| {
        for line in lines {
            hand_over!("{}", tokenized(tokenizer.as_ref(), line)?);
        }
        Ok(())
    })
}

/// The line with its text, tokens and their text.
fn tokenized(tokenizer: Option<&Tokenizer>, line: &Line) -> Result<String> {
    let request = Request::read(line)?;
    let json = |value: serde_json::Value| value.to_string();
    let mut added = Vec::new();
    let ids = match request.text(line, tokenizer)? {
        Some(text) => {
            let ids = request.encoded(line, &text, tokenizer)?;
            added.push(("text", json(text.into())));
            ids
        }
        None => request.ids(line, tokenizer)?,
    };
    let decoded = request.decoded(line, &ids, tokenizer)?;
    added.extend([("ids", json(ids.into())), ("decoded", json(decoded.into()))]);
    with_members(&line.text, &added).map_err(|error| Error::input(&line.place, error.to_string()))
}
