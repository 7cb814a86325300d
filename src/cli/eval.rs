//! `proxmo eval`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::env_flags::EnvFlags;
use super::progress::progress;
use super::settings::read_config;
use super::table::results;
use super::terminal::{hand_over, say, tell};
use crate::device::{Backend, open};
use crate::env::Environment;
use crate::episodes::{EpisodeRecord, write_episodes};
use crate::error::{Error, Result};
use crate::files::write_atomic;
use crate::policy::Sampling;
use crate::runs::checkpoint;
use crate::runs::checkpoint::Choice;
use crate::train::{
    Config, Evaluation, Exam, FixedPolicy, Watch, evaluate_fixed, evaluate_with, random_policy,
    spread,
};

/// Judge a policy on a split: success overall and by kind of task.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Folder of the run whose policy is judged. With --policy, only its tasks are taken.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    run: Option<PathBuf>,
    /// Judge a policy that needs no training.
    #[arg(long, conflicts_with_all = ["checkpoint", "temperature", "backend", "device"])]
    policy: Option<Untrained>,
    /// Checkpoint to judge: latest, best (on held-out tasks; of equally good ones the latest), or
    /// the number of an iteration [default: latest].
    #[arg(long, value_name = "WHICH", alias = "iteration")]
    checkpoint: Option<Choice>,
    /// Split to play [default: the run's held-out split, or the environment's].
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// How many tasks, spread over the split; 0: all.
    #[arg(long, value_name = "N", default_value_t = 0)]
    tasks: usize,
    /// 0 plays greedily, more samples at that temperature.
    #[arg(long, value_name = "X", default_value_t = 0.0)]
    temperature: f32,
    /// Seed of whatever is left to chance.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Backend [default: the run's].
    #[arg(long, value_name = "NAME")]
    backend: Option<Backend>,
    /// Which of the backend's devices.
    #[arg(long, value_name = "N", default_value_t = 0)]
    device: usize,
    /// Write what was played to an episode file, as demonstrations or for `proxmo credit`.
    #[arg(long, value_name = "FILE")]
    episodes: Option<PathBuf>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(super) env: EnvFlags,
}

/// Policies that need no training.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Untrained {
    /// Knows the rules of the household and plays by what it has seen.
    Expert,
    /// Takes any admissible action.
    Random,
}

const EXAMPLES: &str = "\
Examples:
  proxmo eval --run runs/household-1
  proxmo eval --run runs/first --games json_2.1.1 --split valid_unseen
  proxmo eval --run runs/first --temperature 0.4 --json
  proxmo eval --run runs/first --checkpoint best
  proxmo eval --policy expert --env alfworld --games json_2.1.1 --split valid_seen
  proxmo eval --policy expert --env alfworld --games json_2.1.1 --split train --episodes demos.jsonl
  proxmo eval --policy random --run runs/household-1";

/// What was judged, on what, and how it did.
struct Judged {
    policy: &'static str,
    iteration: Option<u64>,
    split: String,
    environment: Box<dyn Environment>,
    evaluation: Evaluation,
    episodes: Vec<EpisodeRecord>,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let temperature = arguments.temperature;
    if !(0.0..=100.0).contains(&temperature) {
        let message = format!("{temperature} is out of range, expected 0 to 100");
        return Err(Error::setting("--temperature", message));
    }
    let judged = match (&arguments.policy, &arguments.run) {
        (Some(policy), run) => judge_untrained(arguments, *policy, run.as_deref())?,
        (None, Some(run)) => judge_trained(arguments, run)?,
        (None, None) => {
            let message = "is not given; name a run's folder, or a policy with --policy";
            return Err(Error::setting("--run", message));
        }
    };
    if let Some(path) = &arguments.episodes {
        let mut lines = Vec::new();
        write_episodes(&mut lines, &judged.episodes).map_err(Error::io("write", path))?;
        write_atomic(path, &lines)?;
    }
    if let Some(first) = judged.evaluation.errors.first() {
        let count = judged.evaluation.errors.len();
        tell!("proxmo: warning: tasks lost to environment errors: {count}, the first: {first}");
    }
    if arguments.json {
        hand_over!("{:#}", as_json(arguments, &judged));
        return Ok(());
    }
    let split = &judged.split;
    match judged.iteration {
        Some(iteration) => say!("{split} after iteration {iteration}:"),
        None => say!("{split}, {} policy:", judged.policy),
    }
    let Judged { environment, evaluation, .. } = &judged;
    let kinds = evaluation.by_kind(&**environment);
    say!("{}", results(&kinds, &evaluation.overall(), None));
    Ok(())
}

fn as_json(arguments: &Arguments, judged: &Judged) -> Value {
    let overall = judged.evaluation.overall();
    json!({
        "policy": judged.policy,
        "run": arguments.run,
        "iteration": judged.iteration,
        "split": judged.split,
        "temperature": judged.iteration.map(|_| arguments.temperature),
        "environment_errors": judged.evaluation.errors.len(),
        "success": overall.success,
        "overall": overall,
        "kinds": judged.evaluation.by_kind(&*judged.environment),
    })
}

/// The split that is played.
fn open_split(arguments: &Arguments, config: Config) -> Result<(Box<dyn Environment>, String)> {
    let split = arguments.split.clone().unwrap_or(config.eval.split);
    Ok((config.env.open(&split)?, split))
}

fn judge_trained(arguments: &Arguments, run: &Path) -> Result<Judged> {
    let checkpoint = checkpoint::find(run, arguments.checkpoint.unwrap_or_default())?;
    let state = checkpoint::read_state(&checkpoint)?;
    let description = checkpoint::read_description(&checkpoint)?;
    let config = arguments.env.resolve(Some(read_config(&run.join("config.toml"))?))?;
    config.validate()?;
    let (backend, run_seed) = (arguments.backend.unwrap_or(config.run.backend), config.run.seed);
    let limits = config.rollout.limits();
    let (environment, split) = open_split(arguments, config)?;
    let opened = open(backend, arguments.device)?;
    let (policy, encoder) = description.scorer(run_seed, &opened.device);
    let policy = checkpoint::load_weights(policy, &checkpoint)?;

    let tasks = spread(environment.tasks(), arguments.tasks);
    let sampling = Sampling::at(arguments.temperature);
    let (seed, mut episodes, mut progress) = (arguments.seed, Vec::new(), progress(tasks.len()));
    let kept = arguments.episodes.is_some().then_some(&mut episodes);
    let mut watch = Watch { progress: &mut progress, episodes: kept };
    let exam = Exam { tasks: &tasks, sampling, seed, limits };
    let evaluation = evaluate_with(&*environment, &policy, &encoder, &exam, &mut watch)?;
    let iteration = Some(state.iteration);
    Ok(Judged { policy: "scorer", iteration, split, environment, evaluation, episodes })
}

fn judge_untrained(arguments: &Arguments, policy: Untrained, run: Option<&Path>) -> Result<Judged> {
    let base = run.map(|run| read_config(&run.join("config.toml"))).transpose()?;
    let (environment, split) = open_split(arguments, arguments.env.resolve(base)?)?;
    let tasks = spread(environment.tasks(), arguments.tasks);
    let (seed, mut episodes, mut progress) = (arguments.seed, Vec::new(), progress(tasks.len()));
    let begin = |task: usize| -> Result<FixedPolicy> {
        match policy {
            Untrained::Random => Ok(random_policy(seed, task)),
            Untrained::Expert => {
                let mut expert = environment.expert(task).ok_or_else(|| {
                    let name = environment.name();
                    let message =
                        format!("environment '{name}' has no expert; use --policy random");
                    Error::setting("--policy", message)
                })?;
                Ok(Box::new(move |observation, admissible| expert.act(observation, admissible)))
            }
        }
    };
    let kept = arguments.episodes.is_some().then_some(&mut episodes);
    let mut watch = Watch { progress: &mut progress, episodes: kept };
    let evaluation = evaluate_fixed(&*environment, &tasks, seed, &begin, &mut watch)?;
    let policy = match policy {
        Untrained::Expert => "expert",
        Untrained::Random => "random",
    };
    Ok(Judged { policy, iteration: None, split, environment, evaluation, episodes })
}
