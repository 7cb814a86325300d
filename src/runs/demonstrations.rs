//! Demonstrations: episodes that a policy imitates.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use crate::env::Environment;
use crate::env::alfworld::{AlfWorld, Expert};
use crate::episodes::{EpisodeRecord, read_episodes};
use crate::error::{Error, Result};
use crate::rollout::Demonstration;
use crate::train::ImitationConfig;
use crate::train::{EvaluationPlan, FixedPolicy, evaluate_fixed, spread};

/// The demonstrations that the settings select, on the tasks of `world`: the successful episodes of an
/// expert or of a file. `progress` receives the number of tasks that the expert has played.
///
/// # Errors
/// Fails if the file cannot be read or has a task that `world` does not have, or if there is no
/// demonstration.
pub fn demonstrations(
    world: &AlfWorld,
    config: &ImitationConfig,
    seed: u64,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<Demonstration>> {
    let tasks = spread(world.tasks(), config.tasks);
    let found = match config.from.as_str() {
        "walkthroughs" => tasks.iter().map(|&task| walkthrough(world, task)).collect(),
        "expert" => expert(world, &tasks, seed, progress)?,
        _ => return demonstrations_of(world, config),
    };
    expect_some(found, config)
}

/// The successful episodes of the file that the settings name, on the tasks of any environment.
///
/// # Errors
/// Fails if the file cannot be read or has an unknown task, or if there is no demonstration.
pub fn demonstrations_of(
    environment: &dyn Environment,
    config: &ImitationConfig,
) -> Result<Vec<Demonstration>> {
    expect_some(from_file(environment, Path::new(&config.from), config.tasks)?, config)
}

fn expect_some(found: Vec<Demonstration>, config: &ImitationConfig) -> Result<Vec<Demonstration>> {
    if found.is_empty() {
        let message = format!("'{}' has no successful episode", config.from);
        return Err(Error::setting("imitation.from", message));
    }
    Ok(found)
}

fn walkthrough(world: &AlfWorld, task: usize) -> Demonstration {
    let source = format!("the walkthrough of {}", world.task_name(task));
    Demonstration { task, actions: world.walkthrough(task).to_vec(), source }
}

fn expert(
    world: &AlfWorld,
    tasks: &[usize],
    seed: u64,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<Demonstration>> {
    let begin = |task: usize| -> Result<FixedPolicy> {
        let mut expert = Expert::new(world, task)?;
        Ok(Box::new(move |observation, admissible| expert.act(observation, admissible)))
    };
    let plan = EvaluationPlan { seed, keep_episodes: true, ..EvaluationPlan::new(tasks) };
    let episodes = evaluate_fixed(world, &plan, &begin, progress)?.episodes;
    let played = tasks.iter().zip(episodes).filter(|(_, episode)| episode.success);
    Ok(played
        .map(|(&task, episode)| demonstration(task, episode, format!("expert, task {task}")))
        .collect())
}

/// The successful episodes of a file, at most `limit` (0 for all). Their groups are task names, as
/// `proxmo eval` writes them.
fn from_file(world: &dyn Environment, path: &Path, limit: usize) -> Result<Vec<Demonstration>> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let name = path.display().to_string();
    let episodes = read_episodes(&mut BufReader::new(file), &name)?;
    let tasks: HashMap<&str, usize> =
        (0..world.tasks()).map(|task| (world.task_name(task), task)).collect();
    let mut found = Vec::new();
    for (number, episode) in episodes.into_iter().enumerate() {
        if !episode.success || (limit > 0 && found.len() == limit) {
            continue;
        }
        let source = format!("{name}: episode {}", number + 1);
        let Some(&task) = tasks.get(episode.group.as_str()) else {
            let message = format!(
                "its group '{}' is not a task of the training split, expected a task's name, such as \
                 '{}'",
                episode.group,
                world.task_name(0)
            );
            return Err(Error::input(source, message));
        };
        found.push(demonstration(task, episode, source));
    }
    Ok(found)
}

fn demonstration(task: usize, episode: EpisodeRecord, source: String) -> Demonstration {
    let actions = episode.steps.into_iter().map(|step| step.action).collect();
    Demonstration { task, actions, source }
}
