//! `proxmo lm generate`.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::draws::DrawFlags;
use super::lines::{Line, for_batches};
use super::model::ModelFlags;
use super::request::{Choice, Request};
use crate::cli::json_line::with_members;
use crate::cli::terminal::hand_over;
use crate::error::{Error, Result};
use crate::lm::{
    Cache, Continuation, Decoder, End, Generator, RowId, Sampling, StopText, Task, Tokenizer, Trie,
};

/// Continue sequences of tokens, texts or chats.
///
/// A line gives "ids", "text" or "messages"; a chat is continued with an answer, unless the line says
/// "add_generation_prompt": false. The model's end tokens end a continuation.
///
/// Adds the continuation: "ids", its tokens with the end token; "text", without it and up to a stop
/// string; "log_probs", the log-probability of each token; "entropy", of the distribution at each token,
/// both in nats; and "end": stop-token, stop-string, max-tokens, context or choice. "ids" and "text" of the
/// line are replaced. Log-probabilities are those of the model at temperature 1, as `proxmo lm score`
/// gives them.
///
/// "choices" of a line, or --choices for all lines, constrain the continuation to one of some texts (or
/// lists of token ids) and add "choice", its index. Each token is then drawn from those that can follow,
/// and log-probabilities and entropies are of the distribution over these; a token that must follow has 0.
/// A choice that is the beginning of another ends with an end token.
///
/// A line's tokens depend on its place in the input and --seed, not on --batch.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelFlags,
    /// File of JSON lines; - for standard input.
    #[arg(long, short, value_name = "FILE")]
    input: PathBuf,
    #[command(flatten)]
    draws: DrawFlags,
    /// Text that ends a continuation, which is cut before it. May be repeated.
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// File with a choice on each line. Blank lines are ignored.
    #[arg(long, value_name = "FILE")]
    choices: Option<PathBuf>,
    /// Number of sequences that are continued together.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
}

const EXAMPLES: &str = "\
Examples:
  proxmo lm generate --model SmolLM2-135M-Instruct --input prompts.jsonl --max-tokens 64 --temperature 0
  echo '{\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}' |
    proxmo lm generate --model SmolLM2-135M-Instruct --input -
  echo '{\"text\": \"The mug is in\", \"choices\": [\" the sink\", \" the fridge\"]}' |
    proxmo lm generate --model SmolLM2-135M-Instruct --input -";

pub fn run(arguments: &Arguments) -> Result<()> {
    let sampling = arguments.draws.sampling()?;
    let tokenizer = arguments.model.tokenizer()?;
    if tokenizer.is_none() && !arguments.stop.is_empty() {
        let message = "needs a tokenizer, and the model has none (tokenizer.json)";
        return Err(Error::setting("--stop", message));
    }
    let choices = arguments.choices.as_deref().map(choices_of_file).transpose()?;
    let model = arguments.model.decoder()?;
    let job = Job { arguments, sampling, tokenizer: tokenizer.as_ref(), choices, model: &model };
    let cache = Cache::new(model.config(), &model.device());
    let mut generator = Generator::new(&model, cache);
    let mut done = 0;
    for_batches(&arguments.input, arguments.batch.into(), &mut |lines| {
        job.continued(&mut generator, lines, done)?.iter().for_each(|line| hand_over!("{line}"));
        done += lines.len();
        Ok(())
    })
}

/// The choices of a file, one a line.
fn choices_of_file(path: &Path) -> Result<Vec<Choice>> {
    let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
    let choices: Vec<Choice> = (text.lines())
        .filter(|line| !line.trim().is_empty())
        .map(|line| Choice::Text(line.to_string()))
        .collect();
    match choices.is_empty() {
        true => Err(Error::file(path, "holds no choice, expected one a line")),
        false => Ok(choices),
    }
}

/// What is the same for all lines.
struct Job<'a> {
    arguments: &'a Arguments,
    sampling: Sampling,
    tokenizer: Option<&'a Tokenizer>,
    choices: Option<Vec<Choice>>,
    model: &'a Decoder,
}

/// What a line asks for.
struct Prompt {
    ids: Vec<u32>,
    choices: Option<(Vec<Choice>, Trie)>,
}

impl Job<'_> {
    /// The lines with their continuations.
    fn continued(
        &self,
        generator: &mut Generator,
        lines: &[Line],
        first: usize,
    ) -> Result<Vec<String>> {
        let prompts: Vec<Prompt> =
            lines.iter().map(|line| self.prompt(line)).collect::<Result<_>>()?;
        let mut rows: Vec<RowId> = Vec::with_capacity(prompts.len());
        for prompt in &prompts {
            rows.push(generator.add(&prompt.ids)?);
        }
        let stop_ids = self.tokenizer.map_or(&[][..], Tokenizer::end_ids);
        let tasks = rows.iter().zip(&prompts).enumerate().map(|(index, (&row, prompt))| {
            let task = Task {
                name: &lines[index].place,
                sampling: self.sampling.clone(),
                rng: self.arguments.draws.stream(first + index).rng(),
                max_tokens: self.arguments.draws.max_tokens as usize,
                stop_ids,
                choices: prompt.choices.as_ref().map(|(_, trie)| trie),
                is_tempered: false,
            };
            (row, task)
        });
        let mut texts: Vec<Option<StopText>> = prompts
            .iter()
            .map(|prompt| {
                // A choice is a whole text, whatever it contains.
                let stops = if prompt.choices.is_some() { &[] } else { &self.arguments.stop[..] };
                self.tokenizer.map(|tokenizer| StopText::new(tokenizer, stops))
            })
            .collect();
        let continuations = generator.run(tasks.collect(), &mut |index, token| {
            let Some(text) = &mut texts[index] else { return Ok(ControlFlow::Continue(())) };
            text.push(token)?;
            Ok(match text.is_stopped() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        })?;
        rows.into_iter().for_each(|row| generator.remove(row));
        let mut written = Vec::with_capacity(lines.len());
        for (((line, prompt), continuation), text) in
            lines.iter().zip(&prompts).zip(&continuations).zip(texts)
        {
            let text = text.map(StopText::finish).transpose()?.map(|(text, _)| text);
            written.push(write(line, prompt, continuation, text)?);
        }
        Ok(written)
    }

    fn prompt(&self, line: &Line) -> Result<Prompt> {
        let at_line = |error: Error| Error::input(&line.place, error.to_string());
        let request = Request::read(line)?.prompting();
        let ids = request.ids(line, self.tokenizer)?;
        self.model.check_ids(&ids).map_err(at_line)?;
        let Some(choices) = request.choices().or(self.choices.as_deref()) else {
            return Ok(Prompt { ids, choices: None });
        };
        let encoded = choices.iter().map(|choice| match choice {
            Choice::Text(text) => self.encode(line, text),
            Choice::Ids(ids) => Ok(ids.clone()),
        });
        let encoded = encoded.collect::<Result<Vec<_>>>()?;
        let end = self.tokenizer.and_then(|tokenizer| tokenizer.end_ids().first().copied());
        let trie = Trie::new(&encoded, end).map_err(at_line)?;
        trie.check(self.model.config(), ids.len()).map_err(at_line)?;
        Ok(Prompt { ids, choices: Some((choices.to_vec(), trie)) })
    }

    /// The tokens of a choice.
    fn encode(&self, line: &Line, text: &str) -> Result<Vec<u32>> {
        let tokenizer = self.tokenizer.ok_or_else(|| {
            let message = "a choice is a text, and the model has no tokenizer (tokenizer.json): give \
                           lists of token ids";
            Error::input(&line.place, message)
        })?;
        tokenizer.encode(text).map_err(|error| Error::input(&line.place, error.to_string()))
    }
}

/// A line with its continuation.
fn write(
    line: &Line,
    prompt: &Prompt,
    continuation: &Continuation,
    text: Option<String>,
) -> Result<String> {
    let Continuation { ids, log_probs, entropy, end } = continuation;
    let (name, choice) = match end {
        End::StopToken => ("stop-token", None),
        End::Stopped => ("stop-string", None),
        End::MaxTokens => ("max-tokens", None),
        End::Context => ("context", None),
        End::Choice(choice) => ("choice", Some(*choice)),
    };
    let failed = |error: serde_json::Error| Error::Run(format!("cannot write: {error}"));
    let floats = |values: &Vec<f32>| serde_json::to_string(values).map_err(failed);
    let chosen = choice.and_then(|choice| prompt.choices.as_ref()?.0.get(choice));
    let text = match chosen {
        Some(Choice::Text(text)) => Some(text.clone()),
        Some(Choice::Ids(_)) | None => text,
    };
    let mut added = vec![("ids", json!(ids).to_string())];
    added.extend(text.map(|text| ("text", Value::from(text).to_string())));
    added.push(("log_probs", floats(log_probs)?));
    added.push(("entropy", floats(entropy)?));
    added.push(("end", json!(name).to_string()));
    added.extend(choice.map(|choice| ("choice", choice.to_string())));
    with_members(&line.text, &added).map_err(failed)
}
