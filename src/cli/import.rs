//! `proxmo import`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;

use super::credit::{STANDARD, write};
use super::terminal::tell;
use crate::episodes::{TrajectoryLayout, import_episodes, write_episodes};
use crate::error::{Error, Result};

/// Convert trajectories in a public layout into an episode file.
///
/// The result can be given to `proxmo credit --input` and `proxmo clone --imitate`. FILE is a JSON
/// array, one JSON object a line, or one object. The parts of FILE that an episode has no place for, such
/// as thoughts, are left out and counted on standard error. Layouts: alfworld-eval (a record an
/// episode with a list "trajectory" or "rows"), agentgym ("conversations" and "item_id"), eto
/// ("conversations" and "id" or "game_file"), verl-agent (a record a step with "uid" and "traj_uid"),
/// sharegpt ("conversations" or "messages"), seq2seq ("g" and "steps").
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// File of trajectories; - for standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Layout of FILE; auto detects it from the fields of the first record.
    #[arg(long, value_name = "LAYOUT", default_value = AUTO, value_parser = layouts())]
    from: String,
    /// File to write.
    ///
    /// - is standard output.
    #[arg(long, short, value_name = "FILE", default_value = STANDARD)]
    output: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  proxmo import alfworld_sft.json --output episodes.jsonl
  proxmo import rollouts.jsonl --from verl-agent | proxmo credit --input -
  proxmo import memories.jsonl --from alfworld-eval --output demonstrations.jsonl
  proxmo clone --env alfworld --imitate demonstrations.jsonl";

/// The name that requests detection.
const AUTO: &str = "auto";

fn layouts() -> Vec<&'static str> {
    [AUTO].into_iter().chain(TrajectoryLayout::ALL.map(TrajectoryLayout::name)).collect()
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let (bytes, name) = read(&arguments.file)?;
    let found = import_episodes(&bytes, &name, TrajectoryLayout::from_name(&arguments.from))?;
    let mut text = Vec::new();
    write_episodes(&mut text, &found.episodes).map_err(Error::io("write", &arguments.output))?;
    let text = String::from_utf8(text).map_err(|error| Error::Run(error.to_string()))?;
    write(&arguments.output, &text)?;
    let episodes = &found.episodes;
    let steps: usize = episodes.iter().map(|episode| episode.steps.len()).sum();
    let won = episodes.iter().filter(|episode| episode.success == Some(true)).count();
    let number = episodes.len();
    tell!("{name}: layout {}, {number} episodes ({won} successful), {steps} steps", found.layout);
    tell_counts("left out", &found.dropped);
    tell_counts("assumed", &found.assumed);
    Ok(())
}

fn tell_counts(label: &str, counts: &BTreeMap<String, usize>) {
    for (reason, count) in counts {
        tell!("  {label}: {count} {reason}");
    }
}

fn read(path: &Path) -> Result<(Vec<u8>, String)> {
    if path == Path::new(STANDARD) {
        let name = "standard input";
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        return read.map(|_| (bytes, name.into())).map_err(Error::io("read", Path::new(name)));
    }
    Ok((fs::read(path).map_err(Error::io("read", path))?, path.display().to_string()))
}
