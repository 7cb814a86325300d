//! `proxmo env`: environments for other programs.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::settings::{EnvFlags, env_settings, setting_summary};
use super::signals::end_on_signal;
use super::table::table;
use super::terminal::{say, tell, tell_notes};
use crate::env::alfworld::{Difficulty, GeneratorConfig, generate, write_games};
use crate::env::openenv::{OpenEnvServer, ServerOptions};
use crate::env::protocol::serve;
use crate::env::{EnvConfig, Environment};
use crate::error::{Error, Result};
use crate::settings::Setting;

/// Serve an environment to another program, list the environments, or write generated tasks as files.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Serve(Serve),
    /// List the environments and their settings.
    List,
    Generate(Generate),
}

const EXAMPLES: &str = "\
Examples:
  proxmo env list
  proxmo env serve --env alfworld --games json_2.1.1 --split valid_seen
  proxmo env generate --count 100 --task-seed 1 --out DIR --like json_2.1.1";

/// Serve an environment to another program: through JSON lines on standard input and output, or over the
/// network.
///
/// Each line is a request and is answered with one line: {"op":"describe"}, {"op":"reset","session":0,
/// "seed":7} (or "task":"<its name>", or "number":17), {"op":"step","session":0,"action":"look"},
/// {"op":"close"}. A session is any number; at most 65,536 sessions run at a time. A request that cannot
/// be done is answered with {"error":"…"}. A program of your own that answers in this way can be
/// trained on with --env process.
///
/// With --openenv, the environment is served over HTTP in OpenEnv's form: sessions at ws://HOST:PORT/ws, and
/// GET /schema, /metadata, /health and the lists of tasks. A reset with a seed, or with a split and an index,
/// starts the same task every time. Ctrl-C ends the server.
#[derive(Debug, Args)]
#[command(after_help = SERVE_EXAMPLES)]
pub(super) struct Serve {
    /// Split whose tasks are played [default: all splits].
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// Seed that the tasks are made from, another name of --task-seed for programs that call it so.
    #[arg(long, hide = true, value_name = "N")]
    seed: Option<u64>,
    /// Serve over the network in OpenEnv's form.
    #[arg(long)]
    openenv: bool,
    /// With --openenv: address to listen on. The default reaches this machine only.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", requires = "openenv")]
    host: IpAddr,
    /// With --openenv: port to listen on; 0 takes a free one.
    #[arg(long, value_name = "N", default_value_t = 8000, requires = "openenv")]
    port: u16,
    /// With --openenv: number of sessions at a time.
    #[arg(long, value_name = "N", default_value_t = 256, requires = "openenv",
          value_parser = clap::value_parser!(u16).range(1..=4096))]
    max_sessions: u16,
    /// With --openenv: seconds that a session may say nothing before it is ended.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, requires = "openenv",
          value_parser = clap::value_parser!(u32).range(1..))]
    idle_timeout: u32,
    #[command(flatten)]
    pub(super) env: EnvFlags,
}

const SERVE_EXAMPLES: &str = "\
Examples:
  proxmo env serve --env alfworld --games json_2.1.1
  proxmo env serve --env alfworld --games json_2.1.1 --split valid_seen --paraphrase 0.3
  proxmo env serve --env webshop --catalogue DIR --flavour webshop --goals human --task-seed 42
  proxmo env serve --openenv --port 8000
  echo '{\"op\":\"reset\",\"session\":0,\"seed\":7}' | proxmo env serve";

/// Write generated tasks as game files that the original ALFWorld engine plays.
#[derive(Debug, Args)]
#[command(after_help = GENERATE_EXAMPLES)]
pub(super) struct Generate {
    /// Number of tasks, 1 to 1000000.
    #[arg(long, value_name = "N")]
    count: usize,
    /// Seed that the tasks are generated from.
    #[arg(long, value_name = "N", default_value_t = 1, help = setting_summary("env.task_seed"))]
    task_seed: u64,
    /// Folder to write to; it must be empty or not exist.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Published games, a folder or an archive, whose domain, grammar and wording are used.
    #[arg(long, value_name = "PATH", help = setting_summary("env.like"))]
    like: PathBuf,
    /// Difficulty of the tasks.
    #[arg(long, value_enum, default_value_t = Level::Easy,
          help = setting_summary("env.generator.difficulty"))]
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
    let mut config = arguments.env.resolve(None)?.env;
    if let Some(seed) = arguments.seed {
        let name = config.name();
        let place = config
            .task_seed_mut()
            .ok_or_else(|| Error::setting("--seed", format!("is not a setting of '{name}'")))?;
        *place = seed;
        config.validate()?;
    }
    let environment = match &arguments.split {
        Some(split) => config.open(split)?,
        None => config.open_all()?,
    };
    tell_notes(&*environment);
    if arguments.openenv {
        return serve_openenv(arguments, environment);
    }
    match serve(&*environment, io::stdin().lock(), io::stdout().lock()) {
        // A client that has closed its end needs no answers.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(|error| Error::Run(format!("cannot go on serving: {error}"))),
    }
}

fn serve_openenv(arguments: &Serve, environment: Box<dyn Environment>) -> Result<()> {
    let Serve { host, port, max_sessions, idle_timeout, .. } = arguments;
    let failed = |error: io::Error| {
        Error::input("--port", format!("cannot listen on {host}, port {port}: {error}"))
    };
    let listener = TcpListener::bind((*host, *port)).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let stops = end_on_signal("stopping: sessions end now")?;
    let (name, tasks) = (environment.name().to_string(), environment.tasks());
    let options = ServerOptions {
        max_sessions: (*max_sessions).into(),
        idle: Duration::from_secs((*idle_timeout).into()),
    };
    let server = OpenEnvServer::new(listener, environment.into(), &options, stops);
    tell!("proxmo: serving {name} ({tasks} tasks) in OpenEnv's form at http://{address}");
    if !host.is_loopback() {
        tell!("proxmo: warning: anyone who reaches {address} may play");
    }
    let sessions = server.run()?;
    tell!("proxmo: {sessions} sessions");
    Ok(())
}

fn list() -> Result<()> {
    let kinds = EnvConfig::all();
    let row = |config: &EnvConfig| {
        let kind = config.kind();
        [kind.name(), kind.splits(), kind.about()].map(str::to_string).to_vec()
    };
    let heads = ["environment", "splits", "tasks"];
    say!("{}\n", table(&heads, kinds.iter().map(row).collect(), &[]));
    for config in &kinds {
        let name = config.name();
        say!("[env] name = \"{name}\"");
        say!("{}\n", table(&["key", "flag", "default", "description"], settings(name), &[]));
    }
    Ok(())
}

/// The settings of a kind: key, flag, default and description.
fn settings(kind: &str) -> Vec<Vec<String>> {
    let of_kind = env_settings()
        .filter(|setting| !setting.is_tag && setting.kinds.iter().any(|owner| owner == kind));
    let row = |setting: &Setting| {
        vec![
            setting.key.clone(),
            format!("--{} {}", setting.flag, setting.value_name),
            setting.shown_default().unwrap_or_default(),
            setting.summary(),
        ]
    };
    of_kind.map(row).collect()
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

/// Refuses a folder with content, and a path that is not a folder.
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
