//! `proxmo eval`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::device::CheckFlag;
use super::progress::evaluation_bar;
use super::ranks::{device_for_rank, is_follower, on_ranks};
use super::settings::{EvalFlags, read_config};
use super::table::results;
use super::terminal::{hand_over, say, tell, tell_notes};
use super::trust::{Given, settle};
use crate::device::{Backend, Opened};
use crate::env::Environment;
use crate::episodes::write_episodes;
use crate::error::{Error, Result};
use crate::files::write_atomic;
use crate::policy::Sampling;
use crate::ranks::Ranks;
use crate::runs::TrainedPolicy;
use crate::runs::checkpoint::{self, CheckpointSelector};
use crate::train::{
    Config, EvalConfig, Evaluation, EvaluationPlan, FixedPolicy, evaluate_fixed, random_policy,
    spread,
};

/// Evaluate a policy on a split: success overall and by kind of task.
///
/// With --run, the settings are those of the run, except that all tasks are played, greedily, on the
/// backend's first device. Under mpirun (feature mpi), all processes read the run's folder and share the
/// tasks.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Folder of the run.
    ///
    /// Its policy is evaluated. With --player, only its settings are used.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    run: Option<PathBuf>,
    /// Evaluate a player that needs no training, in place of a run's policy.
    #[arg(long, conflicts_with_all = ["checkpoint", "eval-temperature", "backend", "device", "response"])]
    player: Option<Untrained>,
    /// Checkpoint to evaluate: latest, best or the number of an iteration [default: latest].
    ///
    /// best is the best by evaluation on held-out tasks; of equally good ones, the latest.
    #[arg(long, value_name = "WHICH", alias = "iteration")]
    checkpoint: Option<CheckpointSelector>,
    /// Split whose tasks are played [default: the held-out split].
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// Seed that every random draw derives from.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Write the episodes to an episode file, as demonstrations or for proxmo credit.
    #[arg(long, value_name = "FILE")]
    episode_file: Option<PathBuf>,
    /// Run the command in the run's config.toml, although this user did not start it there.
    #[arg(long, requires = "run")]
    trust_command: bool,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
    /// Print no progress, only warnings and results.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    check: CheckFlag,
    #[command(flatten)]
    pub(super) settings: EvalFlags,
}

/// Policies that need no training.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Untrained {
    /// Knows the rules of the household and acts on its observations.
    Expert,
    /// Takes a random admissible action.
    Random,
}

const EXAMPLES: &str = "\
Examples:
  proxmo eval --run runs/household-1
  proxmo eval --run runs/first --games json_2.1.1 --split valid_unseen
  proxmo eval --run runs/first --eval-temperature 0.4 --json
  proxmo eval --run runs/first --checkpoint best
  proxmo eval --run runs/writer --response whole
  proxmo eval --player expert --env alfworld --games json_2.1.1 --split valid_seen
  proxmo eval --player expert --env alfworld --games json_2.1.1 --split train --episode-file demos.jsonl
  proxmo eval --player random --run runs/household-1";

/// A policy, the tasks that it played, and the results.
struct Evaluated {
    policy: &'static str,
    iteration: Option<u64>,
    /// The sampling temperature of a trained policy.
    temperature: Option<f32>,
    split: String,
    environment: Box<dyn Environment>,
    evaluation: Evaluation,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    match (arguments.player, &arguments.run) {
        // Players without weights are fast, and play in the first process alone.
        (Some(_), _) if is_follower() => Ok(()),
        (Some(policy), run) => {
            let evaluated = evaluate_untrained(arguments, policy, run.as_deref())?;
            report(arguments, &evaluated)
        }
        (None, run) => on_ranks(|ranks| {
            let evaluated = ranks.settle(evaluate_trained(arguments, run.as_deref(), ranks))?;
            if ranks.is_leader() { report(arguments, &evaluated) } else { Ok(()) }
        }),
    }
}

/// Writes the episodes, and prints the results.
fn report(arguments: &Arguments, evaluated: &Evaluated) -> Result<()> {
    if let Some(path) = &arguments.episode_file {
        let mut lines = Vec::new();
        write_episodes(&mut lines, &evaluated.evaluation.episodes)
            .map_err(Error::io("write", path))?;
        write_atomic(path, &lines)?;
    }
    if let Some(first) = evaluated.evaluation.errors.first() {
        let count = evaluated.evaluation.errors.len();
        tell!("proxmo: warning: tasks lost to environment errors: {count}, the first: {first}");
    }
    if let Some(first) = evaluated.evaluation.replayed.first() {
        let count = evaluated.evaluation.replayed.len();
        tell!(
            "proxmo: warning: tasks played again after environment errors: {count}, the first: {first}"
        );
    }
    if arguments.json {
        hand_over!("{:#}", as_json(arguments, evaluated));
        return Ok(());
    }
    let split = &evaluated.split;
    match evaluated.iteration {
        Some(iteration) => say!("{split} after iteration {iteration}:"),
        None => say!("{split}, {} policy:", evaluated.policy),
    }
    let Evaluated { environment, evaluation, .. } = evaluated;
    let kinds = evaluation.by_kind(&**environment);
    let overall = evaluation.overall();
    say!("{}", results(&kinds, &overall, None));
    if let (Some(mean), Some((low, high))) = (overall.mean_return, overall.return_interval) {
        say!("Mean return {mean:.3}, 95 % interval over tasks {low:.3} to {high:.3}.");
    }
    Ok(())
}

fn as_json(arguments: &Arguments, evaluated: &Evaluated) -> Value {
    let overall = evaluated.evaluation.overall();
    json!({
        "policy": evaluated.policy,
        "run": arguments.run,
        "iteration": evaluated.iteration,
        "split": evaluated.split,
        "temperature": evaluated.temperature,
        "environment_errors": evaluated.evaluation.errors.len(),
        "success": overall.success,
        "overall": overall,
        "kinds": evaluated.evaluation.by_kind(&*evaluated.environment),
    })
}

/// Opens the split to play.
fn open_split(arguments: &Arguments, config: Config) -> Result<(Box<dyn Environment>, String)> {
    let split = arguments.split.clone().unwrap_or(config.eval.split);
    let environment = config.env.open(&split)?;
    tell_notes(&*environment);
    Ok((environment, split))
}

/// The settings of a run with the flags, for an evaluation on all tasks, greedily, on the first device.
fn settings_of(arguments: &Arguments, run: &Path) -> Result<Config> {
    let mut recorded = read_config(&run.join("config.toml"))?;
    recorded.run.device = 0;
    recorded.distributed.parts = 0;
    (recorded.eval.tasks, recorded.eval.temperature) = (0, 0.0);
    let flags = &arguments.settings;
    let mut config = flags.resolve(Some(recorded.clone()))?;
    let given = Given {
        command: flags.gives("env.command"),
        working_folder: flags.gives("env.working_folder"),
        trust: arguments.trust_command,
    };
    settle(run, &recorded, &mut config, given)?;
    Ok(config)
}

/// The device to evaluate on. If the run's own backend is not on this machine, and no flag names one,
/// another is taken.
fn open_device(
    arguments: &Arguments,
    backend: Backend,
    device: usize,
    ranks: &Ranks,
) -> Result<Opened> {
    let is_named =
        arguments.settings.gives("run.backend") || arguments.settings.gives("run.device");
    let check = arguments.check;
    let device = device_for_rank(backend, device, ranks);
    check.open(backend, device).or_else(|error| match error {
        Error::Device(_) if !is_named => check.open(Backend::Auto, 0),
        error => Err(error),
    })
}

fn evaluate_trained(arguments: &Arguments, run: Option<&Path>, ranks: &Ranks) -> Result<Evaluated> {
    let run = run.ok_or_else(|| {
        Error::setting("--run", "is missing; give a run folder, or --player expert or random")
    })?;
    let checkpoint = checkpoint::find(run, arguments.checkpoint.unwrap_or_default())?;
    let mut config = settings_of(arguments, run)?;
    config.validate()?;
    config.distributed.fix_parts(ranks.size());
    ranks.set_time_limit(config.distributed.timeout);
    let ranks = ranks.with_parts(config.distributed.parts);
    let (backend, device) = (config.run.backend, config.run.device);
    let EvalConfig { tasks, temperature, .. } = config.eval;
    let limits = config.rollout.limits();
    let answers_anew = arguments.settings.gives("policy.response");
    let settings = answers_anew.then(|| config.policy.clone());
    let (environment, split) = open_split(arguments, config)?;
    let opened = open_device(arguments, backend, device, &ranks)?;
    let policy = TrainedPolicy::load_as(&checkpoint, settings.as_ref(), &opened.device)?;
    let tasks = spread(environment.tasks(), tasks);
    let plan = EvaluationPlan {
        tasks: &tasks,
        sampling: Sampling::at(temperature),
        seed: arguments.seed,
        limits,
        keep_episodes: arguments.episode_file.is_some(),
    };
    let mut progress = evaluation_bar(arguments.quiet || !ranks.is_leader());
    let evaluation = policy.evaluate_on(&ranks, &*environment, &plan, &mut progress)?;
    let (policy, iteration) = (policy.kind(), Some(policy.iteration()));
    Ok(Evaluated {
        policy,
        iteration,
        temperature: Some(temperature),
        split,
        environment,
        evaluation,
    })
}

fn evaluate_untrained(
    arguments: &Arguments,
    policy: Untrained,
    run: Option<&Path>,
) -> Result<Evaluated> {
    let config = match run {
        Some(run) => settings_of(arguments, run)?,
        None => arguments.settings.resolve(None)?,
    };
    let tasks = config.eval.tasks;
    let (environment, split) = open_split(arguments, config)?;
    let tasks = spread(environment.tasks(), tasks);
    let seed = arguments.seed;
    let begin = |task: usize| -> Result<FixedPolicy> {
        match policy {
            Untrained::Random => Ok(random_policy(seed, task)),
            Untrained::Expert => {
                let mut expert = environment.expert(task).ok_or_else(|| {
                    let name = environment.name();
                    let message =
                        format!("environment '{name}' has no expert; use --player random");
                    Error::setting("--player", message)
                })?;
                Ok(Box::new(move |observation, admissible| expert.act(observation, admissible)))
            }
        }
    };
    let keep_episodes = arguments.episode_file.is_some();
    let plan = EvaluationPlan { seed, keep_episodes, ..EvaluationPlan::new(&tasks) };
    let mut progress = evaluation_bar(arguments.quiet);
    let evaluation = evaluate_fixed(&*environment, &plan, &begin, &mut progress)?;
    let policy = match policy {
        Untrained::Expert => "expert",
        Untrained::Random => "random",
    };
    Ok(Evaluated { policy, iteration: None, temperature: None, split, environment, evaluation })
}
