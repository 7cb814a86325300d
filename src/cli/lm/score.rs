//! `proxmo lm score`.

use clap::Args;

use super::lines::{BatchFlags, Line};
use super::model::ModelFlags;
use super::request::Request;
use crate::cli::json_line::with_members;
use crate::cli::terminal::hand_over;
use crate::error::{Error, Result};
use crate::lm::{Decoder, Tokenizer, score};

/// Score tokens: their log-probabilities, and the entropy of the distribution at each position.
///
/// A line gives "ids", "text" or "messages", as for `proxmo lm tokens`.
///
/// Adds "log_probs", of each token given those before it, from the second on, and "entropy", of the
/// distribution after each token, both in nats.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    input: BatchFlags,
    /// Add "logits_last": the logits after the last token.
    #[arg(long)]
    logits: bool,
}

const EXAMPLES: &str = "\
Examples:
  proxmo lm score --model SmolLM2-135M-Instruct --input sequences.jsonl
  echo '{\"ids\": [504, 3575]}' | proxmo lm score --model SmolLM2-135M-Instruct --input -";

pub fn run(arguments: &Arguments) -> Result<()> {
    let tokenizer = arguments.model.tokenizer()?;
    let model = arguments.model.decoder()?;
    arguments.input.for_batches(&mut |lines| {
        scored(&model, tokenizer.as_ref(), lines, arguments.logits)?
            .iter()
            .for_each(|line| hand_over!("{line}"));
        Ok(())
    })
}

/// The lines with their scores.
fn scored(
    model: &Decoder,
    tokenizer: Option<&Tokenizer>,
    lines: &[Line],
    with_logits: bool,
) -> Result<Vec<String>> {
    let mut rows = Vec::with_capacity(lines.len());
    for line in lines {
        let ids = Request::read(line)?.ids(line, tokenizer)?;
        model.check_ids(&ids).map_err(|error| Error::input(&line.place, error.to_string()))?;
        rows.push(ids);
    }
    let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
    let scores = score(model, &rows, with_logits)?;
    let failed = |error| Error::Run(format!("cannot write scores: {error}"));
    let with = |(line, scores): (&Line, &crate::lm::Scores)| {
        let json = |values| serde_json::to_string(values).map_err(failed);
        let mut added =
            vec![("log_probs", json(&scores.log_probs)?), ("entropy", json(&scores.entropy)?)];
        if let Some(logits) = &scores.logits_last {
            added.push(("logits_last", json(logits)?));
        }
        with_members(&line.text, &added).map_err(failed)
    };
    lines.iter().zip(&scores).map(with).collect()
}
