//! Episodes that are worth imitating: where they come from.

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
use crate::train::{FixedPolicy, Watch, evaluate_fixed, spread};

/// The demonstrations that the settings ask for, on the tasks of `world`: of an expert those that it
/// wins, of a file those that succeeded. `progress` is told how many tasks the expert has played.
///
/// # Errors
/// Where the file cannot be read or plays a task that `world` does not have, or where there is nothing
/// to imitate.
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

/// The demonstrations of the file that the settings name: its episodes that succeeded, on the tasks of
/// any environment.
///
/// # Errors
/// Where the file cannot be read or plays a task that there is not, or where there is nothing to
/// imitate.
pub fn demonstrations_of(
    environment: &dyn Environment,
    config: &ImitationConfig,
) -> Result<Vec<Demonstration>> {
    expect_some(from_file(environment, Path::new(&config.from), config.tasks)?, config)
}

fn expect_some(found: Vec<Demonstration>, config: &ImitationConfig) -> Result<Vec<Demonstration>> {
    if found.is_empty() {
        let message = format!("'{}' has no episode that succeeded", config.from);
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
    let mut episodes = Vec::new();
    let mut watch = Watch { progress, episodes: Some(&mut episodes) };
    evaluate_fixed(world, tasks, seed, &begin, &mut watch)?;
    let played = tasks.iter().zip(episodes).filter(|(_, episode)| episode.success);
    Ok(played
        .map(|(&task, episode)| demonstration(task, episode, format!("expert, task {task}")))
        .collect())
}

/// Episodes of a file, which name their tasks as `proxmo eval --episode-file` does.
fn from_file(world: &dyn Environment, path: &Path, most: usize) -> Result<Vec<Demonstration>> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let name = path.display().to_string();
    let episodes = read_episodes(&mut BufReader::new(file), &name)?;
    let tasks: HashMap<&str, usize> =
        (0..world.tasks()).map(|task| (world.task_name(task), task)).collect();
    let mut found = Vec::new();
    for (number, episode) in episodes.into_iter().enumerate() {
        if !episode.success || (most > 0 && found.len() == most) {
            continue;
        }
        let source = format!("{name}: episode {}", number + 1);
        let Some(&task) = tasks.get(episode.group.as_str()) else {
            let message = format!(
                "its group '{}' is no task of the training split, expected a task's name, such as \
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
