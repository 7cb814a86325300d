//! Demonstrations: episodes that a policy imitates.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use crate::env::Environment;
use crate::episodes::{EpisodeRecord, read_episodes};
use crate::error::{Error, Result};
use crate::rollout::Demonstration;
use crate::train::ImitationConfig;
use crate::train::{EvaluationPlan, FixedPolicy, evaluate_fixed, spread};

/// The demonstrations that the settings name, on the tasks of `environment`: walkthroughs, the
/// episodes that the environment's expert wins, or the successful episodes of a file. `progress`
/// receives the number of tasks that the expert has played.
///
/// # Errors
/// Returns an error if the environment has no expert or no walkthroughs, if the file cannot be read or
/// has a task that the environment does not have, or if there is nothing to imitate.
pub fn demonstrations(
    environment: &dyn Environment,
    config: &ImitationConfig,
    seed: u64,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<Demonstration>> {
    let tasks = spread(environment.tasks(), config.tasks);
    let found = match config.from.as_str() {
        "walkthroughs" => walkthroughs(environment, &tasks)?,
        "expert" => expert(environment, &tasks, seed, progress)?,
        file => from_file(environment, Path::new(file), config.tasks)?,
    };
    if found.is_empty() {
        let message = format!("'{}' has no successful episode", config.from);
        return Err(Error::setting("imitation.from", message));
    }
    Ok(found)
}

/// An error that says what the environment lacks.
fn lacks(environment: &dyn Environment, what: &str) -> Error {
    let name = environment.name();
    let message = format!("environment '{name}' has no {what}; name an episode file instead");
    Error::setting("imitation.from", message)
}

fn walkthroughs(environment: &dyn Environment, tasks: &[usize]) -> Result<Vec<Demonstration>> {
    let demonstration = |&task: &usize| {
        let actions = environment.walkthrough(task)?.to_vec();
        let source = format!("the walkthrough of {}", environment.task_name(task));
        Some(Demonstration { task, actions, source })
    };
    let found: Vec<Demonstration> = tasks.iter().filter_map(demonstration).collect();
    if found.is_empty() { Err(lacks(environment, "walkthroughs")) } else { Ok(found) }
}

fn expert(
    environment: &dyn Environment,
    tasks: &[usize],
    seed: u64,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<Demonstration>> {
    let begin = |task: usize| -> Result<FixedPolicy> {
        let expert = environment.expert(task);
        let mut expert = expert.ok_or_else(|| lacks(environment, "expert"))?;
        Ok(Box::new(move |observation, admissible| expert.act(observation, admissible)))
    };
    let plan = EvaluationPlan { seed, keep_episodes: true, ..EvaluationPlan::new(tasks) };
    let episodes = evaluate_fixed(environment, &plan, &begin, progress)?.episodes;
    let played = tasks.iter().zip(episodes).filter(|(_, episode)| episode.success == Some(true));
    Ok(played
        .map(|(&task, episode)| demonstration(task, episode, format!("expert, task {task}")))
        .collect())
}

/// The successful episodes of a file, at most `limit` (0 for all). Their groups are task names, as
/// `proxmo eval --episode-file` writes them.
fn from_file(world: &dyn Environment, path: &Path, limit: usize) -> Result<Vec<Demonstration>> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let name = path.display().to_string();
    let episodes = read_episodes(&mut BufReader::new(file), &name)?;
    let tasks: HashMap<&str, usize> =
        (0..world.tasks()).map(|task| (world.task_name(task), task)).collect();
    let mut found = Vec::new();
    for (number, episode) in episodes.into_iter().enumerate() {
        if episode.success != Some(true) || (limit > 0 && found.len() == limit) {
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
