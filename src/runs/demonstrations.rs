//! Demonstrations: episodes that a policy imitates.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::rc::Rc;

use rand::Rng;

use super::cleaning::{Cleaned, cleaned};
use crate::env::Environment;
use crate::env::TaskNames;
use crate::episodes::{StepRecord, episode_lines, read_episode};
use crate::error::{Error, Result};
use crate::rollout::{Demonstration, replay_seed};
use crate::stream::{Purpose, Stream};
use crate::train::{EXPERT, ImitationConfig};
use crate::train::{EvaluationPlan, FixedPolicy, evaluate_fixed, spread};

/// Demonstrations to imitate, and what was left out of them or changed.
#[derive(Debug, Default)]
pub struct Demonstrations {
    /// The demonstrations. All of their actions are admissible.
    pub list: Vec<Demonstration>,
    /// Remarks on what was left out, changed or is suspect: the number of each.
    pub remarks: Vec<Remark>,
    /// The first reason for which an episode was left out, with its place.
    first_loss: Option<(String, String)>,
}

/// A number of equal remarks on demonstrations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The remark, in words that follow a number.
    pub text: &'static str,
    /// The number of episodes or actions that it is about.
    pub count: usize,
    /// The first of them.
    pub first: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {} (first: {})", self.count, self.text, self.first)
    }
}

/// The remark on demonstrations that claim success and do not reach their goal.
const NOT_WON: &str = "demonstrations claim success but are not won when they are replayed; they are imitated as they are";

impl Demonstrations {
    fn remark(&mut self, text: &'static str, count: usize, first: impl FnOnce() -> String) {
        match self.remarks.iter_mut().find(|remark| remark.text == text) {
            _ if count == 0 => {}
            Some(remark) => remark.count += count,
            None => self.remarks.push(Remark { text, count, first: first() }),
        }
    }

    /// Counts an episode that is left out.
    fn lose(&mut self, text: &'static str, place: &str, message: String) {
        self.remark(text, 1, || format!("{place}: {message}"));
        self.first_loss.get_or_insert((place.to_string(), message));
    }

    /// The seed of the next demonstration in the replay.
    fn next_seed(&self, seed: u64) -> u64 {
        replay_seed(seed, self.list.len())
    }

    /// Adds a replayed episode and remarks on what was changed in it.
    fn push(&mut self, task: usize, source: String, cleaned: Cleaned) {
        let Cleaned { thoughts, reworded, without_effect, after_end, .. } = cleaned;
        for (text, count) in [
            ("thoughts among the actions are left out", thoughts),
            ("actions are given the environment's wording", reworded),
            ("actions without effect are left out", without_effect),
            ("actions after the end of their episode are left out", after_end),
        ] {
            self.remark(text, count, || source.clone());
        }
        if !cleaned.won {
            self.remark(NOT_WON, 1, || source.clone());
        }
        let (actions, unimitated) = (cleaned.actions, Vec::new());
        self.list.push(Demonstration { task, actions, unimitated, source });
    }
}

/// The demonstrations that the settings name, on the tasks of `environment`: walkthroughs, the
/// episodes that the environment's expert wins, or the successful episodes of a file. `progress`
/// receives the number of tasks that the expert has played.
///
/// Episodes of a file are replayed. Thoughts, actions without effect and actions after the end are left
/// out, and commands in another spelling or in the wording of another version of ALFWorld are replaced.
/// An episode with any other action that is not admissible is left out, unless its goal is reached
/// without it.
///
/// `seed` is the run's. The expert's random actions depend on the `iteration` too. If tasks are varied,
/// `environment` is that of [`Config::variation`](crate::train::Config::variation).
///
/// # Errors
/// Returns an error if the environment has no expert or no walkthroughs, if the file cannot be read, or
/// if there is nothing to imitate.
pub fn demonstrations(
    environment: &dyn Environment,
    config: &ImitationConfig,
    seed: u64,
    iteration: u64,
    progress: &mut dyn FnMut(usize),
) -> Result<Demonstrations> {
    let tasks = spread(environment.tasks(), config.tasks);
    let found = match config.from.as_str() {
        "walkthroughs" => walkthroughs(environment, &tasks, seed)?,
        EXPERT => {
            let noise = Noise { probability: config.noise, seed, iteration };
            expert(environment, &tasks, noise, progress)?
        }
        file => from_file(environment, Path::new(file), config.tasks, seed)?,
    };
    if found.list.is_empty() {
        if let Some((place, message)) = found.first_loss {
            return Err(Error::input(place, message));
        }
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

fn walkthroughs(
    environment: &dyn Environment,
    tasks: &[usize],
    seed: u64,
) -> Result<Demonstrations> {
    let mut found = Demonstrations::default();
    let mut absent = 0;
    for &task in tasks {
        let name = environment.task_name(task);
        let Some(actions) = environment.walkthrough(task) else {
            absent += 1;
            found.remark("tasks have no walkthrough", 1, || name.to_string());
            continue;
        };
        let step = |action: &String| StepRecord {
            action: action.clone(),
            valid: true,
            ..StepRecord::default()
        };
        let steps: Vec<StepRecord> = actions.iter().map(step).collect();
        let cleaned = cleaned(environment, (task, found.next_seed(seed)), &steps, None)?;
        let source = format!("the walkthrough of {name}");
        match (cleaned.won, &cleaned.impossible) {
            (true, _) => found.push(task, source, cleaned),
            (false, Some(impossible)) => {
                found.lose("walkthroughs are not possible", &source, impossible.to_string());
            }
            (false, None) => {
                let message = "it does not reach the goal within the step limit".to_string();
                found.lose("walkthroughs do not reach the goal", &source, message);
            }
        }
    }
    if absent == tasks.len() { Err(lacks(environment, "walkthroughs")) } else { Ok(found) }
}

/// Random actions among those of the expert.
#[derive(Clone, Copy)]
struct Noise {
    probability: f64,
    seed: u64,
    iteration: u64,
}

fn expert(
    environment: &dyn Environment,
    tasks: &[usize],
    noise: Noise,
    progress: &mut dyn FnMut(usize),
) -> Result<Demonstrations> {
    // The steps of random actions, by task.
    let random: Rc<RefCell<HashMap<usize, Vec<usize>>>> = Rc::default();
    let begin = |task: usize| -> Result<FixedPolicy> {
        let expert = environment.expert(task);
        let mut expert = expert.ok_or_else(|| lacks(environment, "expert"))?;
        let stream = Stream::new(noise.seed, Purpose::Noise).at(noise.iteration);
        let (mut rng, random, mut step) = (stream.of(task, 0).rng(), random.clone(), 0);
        random.borrow_mut().remove(&task);
        Ok(Box::new(move |observation, admissible| {
            let mut action = expert.act(observation, admissible);
            if rng.random_bool(noise.probability) {
                action = rng.random_range(0..admissible.len());
                expert.overrule(admissible, action);
                random.borrow_mut().entry(task).or_default().push(step);
            }
            step += 1;
            action
        }))
    };
    let plan =
        EvaluationPlan { seed: noise.seed, keep_episodes: true, ..EvaluationPlan::new(tasks) };
    let episodes =
        evaluate_fixed(environment, &plan, &begin, &mut |now| progress(now.done))?.episodes;
    let mut found = Demonstrations::default();
    for (&task, episode) in tasks.iter().zip(episodes) {
        if episode.success == Some(true) {
            let actions = episode.steps.into_iter().map(|step| step.action).collect();
            let source = format!("expert, task {task}");
            let unimitated = random.borrow_mut().remove(&task).unwrap_or_default();
            found.list.push(Demonstration { task, actions, unimitated, source });
        } else {
            let name = environment.task_name(task);
            let message = format!("not won within {} steps", environment.max_steps());
            found.lose("tasks are not won by the expert and left out", name, message);
        }
    }
    Ok(found)
}

/// The successful episodes of a file, at most `limit` (0 for all). Their groups name tasks, as
/// `proxmo eval --episode-file` writes them or in another public form.
fn from_file(
    world: &dyn Environment,
    path: &Path,
    limit: usize,
    seed: u64,
) -> Result<Demonstrations> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let name = path.display().to_string();
    let tasks = TaskNames::new((0..world.tasks()).map(|task| world.task_name(task)));
    let mut found = Demonstrations::default();
    for line in episode_lines(&mut BufReader::new(file), &name) {
        let (number, line) = line?;
        let source = format!("{name}:{number}");
        let episode = read_episode(&line, &source)?;
        if limit > 0 && found.list.len() == limit {
            continue;
        }
        if episode.success != Some(true) {
            found.remark("episodes are not successful and left out", 1, || source.clone());
            continue;
        }
        let &[task] = tasks.find(&episode.group) else {
            let message = format!(
                "its group '{}' is not a task of the training split, expected a task's name, such as \
                 '{}'",
                episode.group,
                world.task_name(0)
            );
            found.lose(
                "episodes of tasks outside of the training split are left out",
                &source,
                message,
            );
            continue;
        };
        let last = episode.final_observation.as_deref();
        let cleaned = cleaned(world, (task, found.next_seed(seed)), &episode.steps, last)?;
        match &cleaned.impossible {
            Some(impossible) if !cleaned.won => {
                let message = impossible.to_string();
                found.lose("episodes with impossible actions are left out", &source, message);
            }
            _ => found.push(task, source, cleaned),
        }
    }
    Ok(found)
}
