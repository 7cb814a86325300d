//! `proxmo lm info`.

use clap::Args;
use serde::Serialize;

use super::model::ModelFolder;
use crate::cli::table::table;
use crate::cli::terminal::{hand_over, say};
use crate::device::{Adapter, Backend, adapters};
use crate::error::{Error, Result};
use crate::lm::memory::{BatchShape, HostMemory, Memory, Verdict, readable};
use crate::lm::{ModelConfig, ModelFiles};

/// Show a model's size, what it takes in memory, and which devices of this machine it fits.
///
/// Reads headers only, no weights. Estimates are for 32-bit floats, the form in which models are computed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelFolder,
    /// Number of sequences in a batch, for the estimates.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Number of tokens of a sequence, for the estimates.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    tokens: u32,
    /// Rank of an adapter, for the estimates.
    #[arg(long, value_name = "R", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    rank: u16,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  proxmo lm info --model SmolLM2-135M-Instruct
  proxmo lm info --model SmolLM2-135M-Instruct.Q4_1.gguf --batch 4 --tokens 1024 --json";

/// What is known of a model without reading its weights.
#[derive(Serialize)]
struct Info {
    architecture: &'static str,
    layers: usize,
    hidden: usize,
    heads: usize,
    kv_heads: usize,
    head_width: usize,
    intermediate: usize,
    vocabulary: usize,
    context: usize,
    /// Whether the head shares the embedding's weights.
    tied: bool,
    /// Number of stored numbers by type.
    stored: std::collections::BTreeMap<String, u64>,
    /// Number of tokens of the tokenizer.
    tokens: Option<usize>,
    chat_template: bool,
    batch: BatchShape,
    rank: usize,
    memory: Memory,
    host: Option<HostMemory>,
    devices: Vec<Fit>,
}

/// What fits a device.
#[derive(Serialize)]
struct Fit {
    backend: Backend,
    index: usize,
    name: String,
    /// Memory that is available for it, in bytes, if that is known.
    available: Option<u64>,
    inference: Verdict,
    lora: Verdict,
    full: Verdict,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let info = info(arguments)?;
    if arguments.json {
        let text = serde_json::to_string_pretty(&info)
            .map_err(|error| Error::Run(format!("cannot write JSON: {error}")))?;
        hand_over!("{text}");
        return Ok(());
    }
    describe(&info);
    Ok(())
}

fn info(arguments: &Arguments) -> Result<Info> {
    let ModelFiles { config, weights } = ModelFiles::open(arguments.model.path()?)?;
    let tokenizer = arguments.model.tokenizer()?;
    let batch = BatchShape { rows: arguments.batch.into(), tokens: arguments.tokens as usize };
    let rank = arguments.rank.into();
    let (memory, host) = (Memory::of(&config, batch, rank), HostMemory::read());
    let fit = |adapter: Adapter| {
        let available = host.filter(|_| adapter.uses_host_memory()).map(|host| host.available);
        let verdict = |need, recomputed| memory.verdict(need, recomputed, &adapter, available);
        Fit {
            inference: verdict(memory.inference, None),
            lora: verdict(memory.lora, Some(memory.lora_recomputed)),
            full: verdict(memory.full, Some(memory.full_recomputed)),
            backend: adapter.backend,
            index: adapter.index,
            available,
            name: adapter.name,
        }
    };
    let ModelConfig { layers, hidden, heads, kv_heads, head_width, .. } = config;
    Ok(Info {
        architecture: config.architecture(),
        layers,
        hidden,
        heads,
        kv_heads,
        head_width,
        intermediate: config.intermediate,
        vocabulary: config.vocabulary,
        context: config.context,
        tied: config.tied,
        stored: weights.encodings(),
        tokens: tokenizer.as_ref().map(|tokenizer| tokenizer.size()),
        chat_template: tokenizer.is_some_and(|tokenizer| tokenizer.has_template()),
        batch,
        rank,
        memory,
        host,
        devices: adapters().into_iter().map(fit).collect(),
    })
}

fn describe(info: &Info) {
    let memory = &info.memory;
    say!(
        "{}: {} layers of width {}, {} heads of width {} with {} for keys and values, feed-forward \
         width {}",
        info.architecture,
        info.layers,
        info.hidden,
        info.heads,
        info.head_width,
        info.kv_heads,
        info.intermediate
    );
    let shared = if info.tied { ", shared with the head" } else { " and head" };
    say!(
        "parameters   {}, of them {} in the embedding{shared}",
        grouped(memory.parameters),
        grouped(memory.embedding_parameters)
    );
    let types = info.stored.iter().map(|(name, count)| format!("{name} {}", grouped(*count)));
    say!("stored as    {}", types.collect::<Vec<_>>().join(", "));
    say!("context      {} tokens", grouped(info.context as u64));
    let tokenizer = match (info.tokens, info.chat_template) {
        (None, _) => "no tokenizer".to_string(),
        (Some(tokens), true) => format!("tokenizer of {tokens} tokens, with a chat template"),
        (Some(tokens), false) => format!("tokenizer of {tokens} tokens, without a chat template"),
    };
    say!("vocabulary   {}; {tokenizer}", grouped(info.vocabulary as u64));
    say!("");
    let BatchShape { rows, tokens } = info.batch;
    say!("Memory for {rows} sequences of {tokens} tokens, in 32-bit floats:");
    let row = |name: String, need: u64, recomputed: Option<u64>| {
        vec![name, readable(need), recomputed.map(readable).unwrap_or_default()]
    };
    let rows = vec![
        row("weights".into(), memory.weights, None),
        row("inference, with the cache".into(), memory.inference, None),
        row(
            format!("training an adapter of rank {}", info.rank),
            memory.lora,
            Some(memory.lora_recomputed),
        ),
        row("training all weights".into(), memory.full, Some(memory.full_recomputed)),
    ];
    say!("{}", table(&["", "memory", "with recomputation"], rows, &[1, 2]));
    let per_token = readable(memory.cache_per_1024_tokens);
    say!("The cache takes {per_token} for 1,024 tokens.");
    say!("");
    let header = ["--backend", "--device", "name", "available", "inference", "adapter", "all"];
    let rows = info.devices.iter().map(|fit| {
        let available = fit.available.map_or_else(|| "unknown".into(), readable);
        let verdicts = [fit.inference, fit.lora, fit.full].map(|verdict| verdict.to_string());
        let mut row =
            vec![fit.backend.to_string(), fit.index.to_string(), fit.name.clone(), available];
        row.extend(verdicts);
        row
    });
    say!("{}", table(&header, rows.collect(), &[1, 3]));
}

/// A count with commas between groups of three digits.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_commas_between_groups_of_three_digits() {
        assert_eq!([0, 999, 1000, 134_515_008].map(grouped), ["0", "999", "1,000", "134,515,008"]);
    }
}
