//! `proxmo credit`: credit assignment for an episode file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::explain::{Explanation, find};
use super::json_line::with_members;
use super::settings::CreditFlags;
use super::terminal::tell;
use crate::credit::{Credit, assign};
use crate::episodes::{EpisodeRecord, RecordBatch, episode_lines, read_episode};
use crate::error::{Error, Result};
use crate::files::write_atomic;

/// Assign credit to the steps of an episode file.
///
/// Reads one episode a line (or one JSON array of episodes), an object with "group", "trajectory",
/// "success" and "steps". Each step
/// has "observation", "action", "reward" and optionally "valid", "embedding" and "value", the state's
/// estimated value, which ppo and --value-weight need; "final_value" of an episode that was cut short is that
/// of the state after its last step. Writes the same lines
/// with "returns", "episode_advantages", "step_advantages" and "advantages" added: arrays of one number
/// a step. Other fields are kept. Episodes of a group need not be adjacent. An episode without steps
/// counts in its group and gets empty arrays. Blank lines are dropped. Rewards are used unchanged. If a
/// line is invalid, nothing is written.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Episode file; - for standard input.
    #[arg(long, short, value_name = "FILE")]
    input: PathBuf,
    /// File to write.
    ///
    /// - is standard output.
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Print the credit of one episode step by step instead. EPISODE is its "trajectory", or
    /// group/trajectory.
    #[arg(long, value_name = "EPISODE", conflicts_with = "output")]
    explain: Option<String>,
    #[command(flatten)]
    pub(super) settings: CreditFlags,
}

const EXAMPLES: &str = "\
Examples:
  proxmo credit --input episodes.jsonl --output credited.jsonl
  proxmo credit --input episodes.jsonl --explain g0-t3
  proxmo credit --input episodes.jsonl --estimator gigpo --similarity 0.9 --output credited.jsonl
  proxmo credit --input episodes.jsonl --config runs/household-1/config.toml --no-modulation
  my-rollouts | proxmo credit --input - --proximity-temperature auto | my-trainer";

/// The path that means standard input or output.
pub(super) const STANDARD: &str = "-";

pub fn run(arguments: &Arguments) -> Result<()> {
    let config = arguments.settings.resolve()?;
    let input = Input::read(&arguments.input)?;
    let place = |record: usize| input.place(record);
    let wanted = match &arguments.explain {
        Some(wanted) => Some(find(&input.episodes, wanted, &place)?),
        None => None,
    };
    let rows = RecordBatch::new(&input.episodes, config.required_fields(), &place)?;
    let credit = assign(&rows.batch, &config)?;
    let Some(record) = wanted else {
        write(&arguments.output, &input.with_credit(&rows, &credit)?)?;
        let by_group = config.compares_groups_only();
        for warning in rows.warnings(&input.episodes, by_group, &place) {
            tell!("proxmo: warning: {}: {warning}", input.name);
        }
        return Ok(());
    };
    let explanation = Explanation {
        episodes: &input.episodes,
        rows: &rows,
        config: &config.resolved(),
        credit: &credit,
    };
    write(Path::new(STANDARD), &explanation.of(record)?)
}

/// The output of the command for an episode file's text.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn with_credit(mut text: &[u8], config: &crate::credit::CreditConfig) -> Result<String> {
    let input = Input::of(&mut text, "episodes.jsonl")?;
    let place = |record| input.place(record);
    let rows = RecordBatch::new(&input.episodes, config.required_fields(), &place)?;
    input.with_credit(&rows, &assign(&rows.batch, config)?)
}

/// An episode file by line.
struct Input {
    name: String,
    /// The lines that are not blank, with their numbers in the file.
    lines: Vec<(usize, String)>,
    /// The episode of each line.
    episodes: Vec<EpisodeRecord>,
}

impl Input {
    fn read(path: &Path) -> Result<Self> {
        if path == Path::new(STANDARD) {
            return Self::of(&mut io::stdin().lock(), "standard input");
        }
        let file = File::open(path).map_err(Error::io("read", path))?;
        Self::of(&mut BufReader::new(file), &path.display().to_string())
    }

    fn of(source: &mut dyn BufRead, name: &str) -> Result<Self> {
        let (mut lines, mut episodes) = (Vec::new(), Vec::new());
        for line in episode_lines(source, name) {
            let (number, line) = line?;
            episodes.push(read_episode(&line, &format!("{name}:{number}"))?);
            lines.push((number, line));
        }
        Ok(Self { name: name.to_string(), lines, episodes })
    }

    fn place(&self, record: usize) -> String {
        format!("{}:{}", self.name, self.lines[record].0)
    }

    /// The lines with each episode's credit, in the order of the file.
    fn with_credit(&self, rows: &RecordBatch, credit: &Credit) -> Result<String> {
        let mut lines = vec![String::new(); self.lines.len()];
        for (episode, &record) in rows.records.iter().enumerate() {
            let failed = |error| Error::Run(format!("cannot write credit: {error}"));
            let of_episode = |values: &[f64]| {
                serde_json::to_string(&values[rows.batch.rows_of_episode(episode)]).map_err(failed)
            };
            let added = [
                ("returns", of_episode(&credit.returns)?),
                ("episode_advantages", of_episode(&credit.episode_advantages)?),
                ("step_advantages", of_episode(&credit.step_advantages)?),
                ("advantages", of_episode(&credit.advantages)?),
            ];
            lines[record] = with_members(&self.lines[record].1, &added).map_err(failed)? + "\n";
        }
        Ok(lines.concat())
    }
}

/// Whether the command was started without a standard output. The standard library then opens the null
/// device in its place, for reading and writing; a shell that discards output opens it for writing.
fn is_closed() -> bool {
    if !cfg!(target_os = "linux") {
        return false;
    }
    let is_null =
        std::fs::read_link("/proc/self/fd/1").is_ok_and(|to| to == Path::new("/dev/null"));
    let flags = std::fs::read_to_string("/proc/self/fdinfo/1").unwrap_or_default();
    let flags = flags.lines().find_map(|line| line.strip_prefix("flags:"));
    // The access mode is the last octal digit; 2 is reading and writing.
    is_null && flags.is_some_and(|flags| flags.trim_end().ends_with('2'))
}

/// Writes a text atomically if its destination is a file or a link to one. Pipes and devices are
/// written to directly.
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    if path == Path::new(STANDARD) {
        let failed = |reason: String| Error::Run(format!("cannot write standard output: {reason}"));
        if is_closed() {
            return Err(failed("it is closed; name a file with --output".into()));
        }
        let mut out = io::stdout().lock();
        return match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            // The reader has closed the pipe.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            result => result.map_err(|error| failed(error.to_string())),
        };
    }
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        let opened = File::options().write(true).open(path);
        let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
        return written.map_err(Error::io("write", path));
    }
    let target = path.canonicalize();
    write_atomic(target.as_deref().unwrap_or(path), text.as_bytes())
}
