//! `proxmo env`: environments for other programs.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use super::settings::{EnvFlags, env_settings, setting_summary};
use super::table::table;
use super::terminal::say;
use crate::env::alfworld::{Difficulty, GeneratorConfig, generate, write_games};
use crate::env::protocol::serve_splits;
use crate::env::{EnvConfig, EnvName};
use crate::error::{Error, Result};

/// Serve an environment to another program, list the environments, or write tasks as files.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Serve(Serve),
    /// List the environments and their options.
    List,
    Generate(Generate),
}

const EXAMPLES: &str = "\
Examples:
  proxmo env list
  proxmo env serve --env alfworld --games json_2.1.1 --split valid_seen
  proxmo env generate --count 100 --task-seed 1 --out DIR --like json_2.1.1";

/// Play an environment by JSON lines: requests on standard input, answers on standard output.
///
/// A line asks for one thing, and one line answers it: {"op":"describe"}, {"op":"reset","session":0,
/// "seed":7} (or "task":"<its name>", or "number":17), {"op":"step","session":0,"action":"look"},
/// {"op":"close"}. A session is any number; 65,536 can be under way. What cannot be done is answered by
/// {"error":"…"}. A program of your own that answers like this is played by --env process.
#[derive(Debug, Args)]
#[command(after_help = SERVE_EXAMPLES)]
pub(super) struct Serve {
    /// Split whose tasks are played [default: all splits].
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    #[command(flatten)]
    pub(super) env: EnvFlags,
}

const SERVE_EXAMPLES: &str = "\
Examples:
  proxmo env serve --env alfworld --games json_2.1.1
  proxmo env serve --env alfworld --games json_2.1.1 --split valid_seen --paraphrase 0.3
  echo '{\"op\":\"reset\",\"session\":0,\"seed\":7}' | proxmo env serve";

/// Write generated tasks as game files that the original ALFWorld engine plays.
#[derive(Debug, Args)]
#[command(after_help = GENERATE_EXAMPLES)]
pub(super) struct Generate {
    /// How many tasks, 1 to 1000000.
    #[arg(long, value_name = "N")]
    count: usize,
    /// Seed that they are generated from.
    #[arg(long, value_name = "N", default_value_t = 1, help = setting_summary("env.task_seed"))]
    task_seed: u64,
    /// Folder to write into; it must be empty or not exist.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Published games, a folder or an archive, that lend domain, grammar and wording.
    #[arg(long, value_name = "PATH", help = setting_summary("env.like"))]
    like: PathBuf,
    /// How hard the tasks are.
    #[arg(long, value_enum, default_value_t = Level::Easy,
          help = setting_summary("env.household.difficulty"))]
    difficulty: Level,
}

const GENERATE_EXAMPLES: &str = "\
Examples:
  proxmo env generate --count 100 --out generated --like json_2.1.1
  proxmo env generate --count 100 --task-seed 2 --out hard --like json_2.1.1 --difficulty hard
  proxmo play --env alfworld --games generated --split household-1";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    Easy,
    Medium,
    Hard,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        Command::Serve(arguments) => serve_sessions(arguments),
        Command::List => list(),
        Command::Generate(arguments) => write_tasks(arguments),
    }
}

fn serve_sessions(arguments: &Serve) -> Result<()> {
    let config = arguments.env.resolve(None)?.env;
    let split = arguments.split.as_deref();
    let world = config.open_alfworld(split)?;
    let splits = config.splits(&world, split);
    match serve_splits(&world, &splits, io::stdin().lock(), io::stdout().lock()) {
        // A client that went away needs no answers.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(|error| Error::Run(format!("cannot go on serving: {error}"))),
    }
}

fn list() -> Result<()> {
    let about = |name| match name {
        EnvName::Household => "household tasks that proxmo generates, in words of its own",
        EnvName::AlfWorld => "the ALFWorld benchmark's games; alfworld-download gets them",
        EnvName::Process => "what the program of --command plays, by the protocol of env serve",
    };
    let held_out = |name| EnvConfig { name, ..EnvConfig::default() }.held_out_split();
    let rows = EnvName::ALL.map(|name| {
        let splits = match name {
            EnvName::Household => format!("train, {}", held_out(name)),
            EnvName::AlfWorld => "the games' own folders".into(),
            EnvName::Process => format!("the program's own, or train, {}", held_out(name)),
        };
        vec![name.name().to_string(), splits, about(name).to_string()]
    });
    say!("{}\n", table(&["--env", "--split", "what is played"], rows.into(), &[]));

    let rows = env_settings().filter(|setting| setting.flag != "env").map(|setting| {
        let kinds = setting.kinds.join(", ");
        vec![
            format!("--{} {}", setting.flag, setting.value_name),
            setting.shown_default().unwrap_or_default(),
            kinds,
            setting.summary(),
        ]
    });
    say!("{}", table(&["flag", "default", "environment", "description"], rows.collect(), &[]));
    say!("Each flag is a key of [env] in config.toml.");
    Ok(())
}

fn write_tasks(arguments: &Generate) -> Result<()> {
    let Generate { count, task_seed: seed, out, like, difficulty } = arguments;
    if !(1..=1_000_000).contains(count) {
        let message = format!("{count} is out of range, expected 1 to 1000000");
        return Err(Error::setting("--count", message));
    }
    refuse_filled(out)?;
    let difficulty = match difficulty {
        Level::Easy => Difficulty::Easy,
        Level::Medium => Difficulty::Medium,
        Level::Hard => Difficulty::Hard,
    };
    let config = GeneratorConfig { difficulty, ..GeneratorConfig::default() };
    let written = write_games(&generate(&config, *seed, *count)?, like, out)?;
    say!("{written} games written; play one with:");
    say!("  proxmo play --env alfworld --games {} --split household-{seed}", out.display());
    Ok(())
}

/// Refuses a folder that holds something, and whatever is no folder.
fn refuse_filled(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let mut entries = fs::read_dir(folder).map_err(Error::io("list", folder))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(Error::file(folder, "is not empty; name another folder with --out")),
    }
}
