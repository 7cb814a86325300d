//! `proxmo lm chat`.

use std::io::{self, IsTerminal};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use super::draws::DrawFlags;
use super::model::ModelFlags;
use crate::cli::signals::interrupt_flag;
use crate::cli::terminal::{say, tell, to_out};
use crate::error::{Error, Result};
use crate::lm::{Cache, Chat, Decoder, End, Generator, RowId, Sampling, StopText, Task, Tokenizer};

/// Chat with a model in the terminal.
///
/// Ctrl-C ends an answer, Ctrl-D or /quit the chat, and /reset starts a new one. Without a terminal, each
/// line of the input is a message.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    draws: DrawFlags,
    /// Message of the system at the beginning.
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  proxmo lm chat --model SmolLM2-135M-Instruct --temperature 0.7
  echo 'Name three fruits.' | proxmo lm chat --model SmolLM2-135M-Instruct --temperature 0";

pub fn run(arguments: &Arguments) -> Result<()> {
    let sampling = arguments.draws.sampling()?;
    let tokenizer = arguments.model.tokenizer()?;
    let tokenizer = tokenizer.filter(Tokenizer::has_template).ok_or_else(|| {
        let message = "has no chat template (tokenizer.json, chat_template.jinja)";
        Error::input(arguments.model.folder.name(), message)
    })?;
    let model = arguments.model.decoder()?;
    let interrupted = interrupt_flag()?;
    let mut talk = Talk::new(arguments, sampling, &model, &tokenizer);
    let failed = |error: ReadlineError| Error::Run(format!("cannot read messages: {error}"));
    let mut editor = DefaultEditor::new().map_err(failed)?;
    let prompt = if io::stdin().is_terminal() { "> " } else { "" };
    loop {
        let message = match editor.readline(prompt) {
            Ok(message) => message,
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        match message.trim() {
            "" => {}
            "/quit" => return Ok(()),
            "/reset" => talk.reset(),
            message => {
                editor.add_history_entry(message).map_err(failed)?;
                interrupted.store(false, Ordering::Relaxed);
                talk.answer(message, &interrupted)?;
                interrupted.store(false, Ordering::Relaxed);
            }
        }
    }
}

/// A chat.
struct Talk<'a> {
    arguments: &'a Arguments,
    sampling: Sampling,
    model: &'a Decoder,
    tokenizer: &'a Tokenizer,
    generator: Generator<'a>,
    /// What the model has read of the chat.
    row: Option<RowId>,
    /// Roles and contents.
    messages: Vec<(&'static str, String)>,
    /// Answers so far, which name the random numbers of the next.
    answers: usize,
}

impl<'a> Talk<'a> {
    fn new(
        arguments: &'a Arguments,
        sampling: Sampling,
        model: &'a Decoder,
        tokenizer: &'a Tokenizer,
    ) -> Self {
        let generator = Generator::new(model, Cache::new(model.config(), &model.device()));
        let messages = Vec::new();
        let mut talk = Self {
            arguments,
            sampling,
            model,
            tokenizer,
            generator,
            row: None,
            messages,
            answers: 0,
        };
        talk.reset();
        talk
    }

    /// Forgets all messages but the system's.
    fn reset(&mut self) {
        let system = self.arguments.system.clone().map(|text| ("system", text));
        self.messages = system.into_iter().collect();
        if let Some(row) = self.row.take() {
            self.generator.remove(row);
        }
    }

    /// Prints the answer to a message as it comes.
    fn answer(&mut self, message: &str, interrupted: &AtomicBool) -> Result<()> {
        self.messages.push(("user", message.to_string()));
        let ids = self.ids()?;
        let context = self.model.config().context;
        if ids.len() >= context {
            self.messages.pop();
            let tokens = ids.len();
            tell!(
                "the chat has {tokens} tokens and the model's context {context}: /reset starts a new one"
            );
            return Ok(());
        }
        let row = self.read(&ids)?;
        let task = Task {
            name: "the chat",
            sampling: self.sampling.clone(),
            rng: self.arguments.draws.stream(self.answers).rng(),
            max_tokens: self.arguments.draws.max_tokens as usize,
            stop_ids: self.tokenizer.end_ids(),
            choices: None,
            is_tempered: false,
        };
        let mut text = StopText::new(self.tokenizer, &[]);
        let continuations = self.generator.run(vec![(row, task)], &mut |_, token| {
            to_out(format_args!("{}", text.push(token)?));
            Ok(match interrupted.load(Ordering::Relaxed) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        })?;
        let (text, rest) = text.finish()?;
        say!("{rest}");
        match continuations.first().map(|continuation| continuation.end) {
            Some(End::MaxTokens) => tell!("(ended after --max-tokens)"),
            Some(End::Context) => tell!("(the model's context is full: /reset starts a new chat)"),
            _ => {}
        }
        self.messages.push(("assistant", text));
        self.answers += 1;
        Ok(())
    }

    /// The tokens of the chat up to the head of an answer.
    fn ids(&self) -> Result<Vec<u32>> {
        let messages = self.messages.iter().map(|(role, content)| (*role, content.as_str()));
        let mut chat = Chat::new(messages);
        chat.add_generation_prompt = true;
        self.tokenizer.encode(&self.tokenizer.render(&chat)?)
    }

    /// The sequence of the chat. What the model has read of its beginning is kept.
    fn read(&mut self, ids: &[u32]) -> Result<RowId> {
        if let Some(row) = self.row {
            if let Some(new) = ids.strip_prefix(self.generator.ids(row)) {
                self.generator.append(row, new)?;
                return Ok(row);
            }
            self.generator.remove(row);
        }
        let row = self.generator.add(ids)?;
        self.row = Some(row);
        Ok(row)
    }
}
