//! `proxmo eval`.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;

use super::settings::read_config;
use super::table::results;
use crate::device::{Backend, open};
use crate::error::{Error, Result};
use crate::policy::Sampling;
use crate::train::{checkpoint, evaluate, spread};

/// Judge a trained policy on a split: success overall and by kind of task.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Folder of the run.
    #[arg(long, value_name = "DIR")]
    run: PathBuf,
    /// Checkpoint to judge, by its iteration [default: the newest].
    #[arg(long, value_name = "N")]
    iteration: Option<u64>,
    /// Games, if they are not where the run found them.
    #[arg(long, value_name = "PATH")]
    games: Option<PathBuf>,
    /// Split to play [default: the run's held-out split].
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// How many tasks, spread over the split; 0: all.
    #[arg(long, value_name = "N", default_value_t = 0)]
    tasks: usize,
    /// 0 plays greedily, more samples at that temperature.
    #[arg(long, value_name = "X", default_value_t = 0.0)]
    temperature: f32,
    /// Seed of the sampling.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Backend [default: the run's].
    #[arg(long, value_name = "NAME")]
    backend: Option<Backend>,
    /// Which of the backend's devices.
    #[arg(long, value_name = "N", default_value_t = 0)]
    device: usize,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  proxmo eval --run runs/household-1
  proxmo eval --run runs/first --games json_2.1.1 --split valid_unseen
  proxmo eval --run runs/first --temperature 0.4 --json";

pub fn run(arguments: &Arguments) -> Result<()> {
    let temperature = arguments.temperature;
    if !(0.0..=100.0).contains(&temperature) {
        let message = format!("{temperature} is out of range, expected 0 to 100");
        return Err(Error::setting("--temperature", message));
    }
    let checkpoint = match arguments.iteration {
        None => checkpoint::newest(&arguments.run)?,
        Some(iteration) => checkpoint::folder(&arguments.run, iteration),
    };
    let state = checkpoint::read_state(&checkpoint)?;
    let description = checkpoint::read_description(&checkpoint)?;
    let mut config = read_config(&arguments.run.join("config.toml"))?;
    if let Some(games) = &arguments.games {
        config.env.games = games.clone();
    }
    config.validate()?;
    let split = arguments.split.as_deref().unwrap_or(&config.eval.split);
    let environment = config.env.open(split)?;
    let opened = open(arguments.backend.unwrap_or(config.run.backend), arguments.device)?;
    let (policy, encoder) = description.scorer(config.run.seed, &opened.device);
    let policy = checkpoint::load_weights(policy, &checkpoint)?;

    let tasks = spread(environment.tasks(), arguments.tasks);
    let sampling = match temperature {
        0.0 => Sampling::Greedy,
        temperature => Sampling::Temperature(temperature),
    };
    let total = tasks.len();
    let terminal = std::io::stderr().is_terminal();
    let mut progress = |done: usize| {
        if terminal {
            eprint!("\r{done}/{total}{}", if done == total { "\r           \r" } else { "" });
            let _ = std::io::stderr().flush();
        }
    };
    let seed = arguments.seed;
    let evaluation =
        evaluate(&*environment, &policy, &encoder, &tasks, sampling, seed, &mut progress)?;
    let (overall, kinds) = (evaluation.overall(), evaluation.by_kind(&*environment));
    if arguments.json {
        let value = serde_json::json!({
            "run": arguments.run,
            "iteration": state.iteration,
            "split": split,
            "temperature": temperature,
            "success": overall.success,
            "overall": overall,
            "kinds": kinds,
        });
        println!("{value:#}");
    } else {
        println!("{} after iteration {}:", split, state.iteration);
        println!("{}", results(&kinds, &overall, None));
    }
    Ok(())
}
