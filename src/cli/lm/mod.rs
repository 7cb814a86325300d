//! `proxmo lm`: language models, one file a subcommand.

mod chat;
mod draws;
mod export;
mod fit;
mod fit_input;
mod fit_state;
mod generate;
mod info;
pub(super) mod lines;
pub(super) mod model;
mod new;
mod request;
mod score;
mod tokens;

use clap::{Args, Subcommand};

use crate::error::Result;

/// Work with language models: folders in the layout of Hugging Face, or GGUF files.
///
/// Input and output are JSON lines: one object a line, in the order of the input.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  proxmo lm info --model DIR                             size, memory, and the devices that it fits
  proxmo lm tokens --model DIR --input texts.jsonl       tokens of texts and chats
  proxmo lm score --model DIR --input sequences.jsonl    log-probabilities and entropies of tokens
  proxmo lm generate --model DIR --input prompts.jsonl   continuations, free or among choices
  proxmo lm chat --model DIR                             a chat in the terminal
  proxmo lm new --texts texts.txt --output DIR           a new model: tokenizer and weights
  proxmo lm fit --model DIR --input chats.jsonl --output adapter --lora 16   fit an adapter
  proxmo lm export --model DIR --adapter adapter --merge --output merged    merge it";

#[derive(Debug, Subcommand)]
enum Command {
    Info(info::Arguments),
    Tokens(tokens::Arguments),
    Score(score::Arguments),
    Generate(generate::Arguments),
    Chat(chat::Arguments),
    New(new::Arguments),
    Fit(fit::Arguments),
    Export(export::Arguments),
}

pub fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        Command::Chat(arguments) => chat::run(arguments),
        Command::Generate(arguments) => generate::run(arguments),
        Command::New(arguments) => new::run(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::Fit(arguments) => fit::run(arguments),
        Command::Info(arguments) => info::run(arguments),
        Command::Score(arguments) => score::run(arguments),
        Command::Tokens(arguments) => tokens::run(arguments),
    }
}
