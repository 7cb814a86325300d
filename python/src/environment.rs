//! Environments, many episodes at a time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use numpy::PyArray1;
use proxmo::env::{EnvConfig, Session, Texts, Transition, pick_task};
use proxmo::settings::schema_of;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use rayon::iter::{IndexedParallelIterator, IntoParallelRefMutIterator, ParallelIterator};
use serde_json::Value;

use crate::arrays::{kind, optional_texts};
use crate::errors::{refused, to_python};
use crate::settings::{table, unfit};
use crate::threads::on_threads;

/// The number of episodes from which a thread of its own pays.
const LEAST: usize = 16;

/// Opens an environment.
///
/// Args:
///     name: "household" (tasks that proxmo generates), "alfworld" (the games of the benchmark) or
///         "webshop".
///     **settings: The settings of the environment, as in `[env]` of `config.toml`: `split="valid"`,
///         `max_steps=30`, `games="json_2.1.1"`, …
///
/// Raises:
///     ValueError: A setting is unknown or out of range, or a file is malformed.
///     OSError: A file cannot be read.
#[pyfunction]
#[pyo3(signature = (name, **settings))]
pub(crate) fn make(
    py: Python<'_>,
    name: &str,
    settings: Option<&Bound<'_, PyDict>>,
) -> PyResult<Environment> {
    let mut table = table(settings)?;
    EnvConfig::named(name).map_err(to_python)?;
    table.insert("name".into(), name.into());
    let tree = Value::Object(table);
    let mut config: EnvConfig = serde_json::from_value(tree.clone())
        .map_err(|error| unfit(&schema_of::<EnvConfig>(), &tree, "env", &error))?;
    config.fill_in();
    config.validate().map_err(to_python)?;
    let opened = py.detach(|| on_threads(|| config.open(config.split()))).map_err(to_python)?;
    let names =
        (0..opened.tasks()).map(|task| (opened.task_name(task).to_string(), task)).collect();
    Ok(Environment { environment: opened, numbers: names, episodes: Mutex::default() })
}

/// An environment whose episodes are played together. `reset` starts a number of episodes, `step`
/// takes one action in each. The GIL is released meanwhile, and episodes step on several threads.
#[pyclass(frozen, module = "proxmo.env")]
pub(crate) struct Environment {
    environment: Box<dyn proxmo::env::Environment>,
    /// Task numbers by name.
    numbers: HashMap<String, usize>,
    episodes: Mutex<Vec<Playing>>,
}

/// An episode in progress.
struct Playing {
    session: Box<dyn Session>,
    last: Transition,
}

impl Playing {
    /// The texts that the policy sees now. An episode that has ended offers no action.
    fn texts(&self) -> (String, Texts) {
        let (mut observation, mut admissible) = (String::new(), Texts::new());
        self.session.observe(&mut observation);
        if !self.last.ended() {
            self.session.admissible(&mut admissible);
        }
        (observation, admissible)
    }
}

/// The beginnings of episodes.
#[pyclass(frozen, get_all, module = "proxmo.env")]
pub(crate) struct Beginnings {
    /// The names of the tasks: `[episodes]`.
    tasks: Vec<String>,
    /// The goals in words: `[episodes]`.
    goals: Vec<String>,
    /// The observations: `[episodes]`.
    observations: Vec<String>,
    /// The admissible actions: `[episodes]`, a list of str each.
    admissible: Py<PyList>,
}

/// The results of one step of each episode.
#[pyclass(frozen, get_all, module = "proxmo.env")]
pub(crate) struct Steps {
    /// The observations: `[episodes]`.
    observations: Vec<String>,
    /// The admissible actions: `[episodes]`, a list of str each, empty after the end.
    admissible: Py<PyList>,
    /// The rewards: `[episodes]`, float64.
    rewards: Py<PyArray1<f64>>,
    /// Whether the task is over: `[episodes]`, bool.
    terminated: Py<PyArray1<bool>>,
    /// Whether the step limit ended the episode: `[episodes]`, bool.
    truncated: Py<PyArray1<bool>>,
    /// Whether the goal is reached: `[episodes]`, bool. None in an environment without a notion of
    /// success.
    success: Option<Py<PyArray1<bool>>>,
    /// Whether the action was admissible: `[episodes]`, bool.
    valid: Py<PyArray1<bool>>,
    /// The quality of the result from 0 to 1: `[episodes]`, float64. None in an environment that does
    /// not rate it.
    scores: Option<Py<PyArray1<f64>>>,
}

#[pymethods]
impl Environment {
    /// The name of the environment.
    #[getter]
    fn name(&self) -> &str {
        self.environment.name()
    }

    /// The number of tasks.
    fn __len__(&self) -> usize {
        self.environment.tasks()
    }

    /// The names of the tasks: `[tasks]`.
    #[getter]
    fn tasks(&self) -> Vec<&str> {
        (0..self.environment.tasks()).map(|task| self.environment.task_name(task)).collect()
    }

    /// The kind of each task in words: `[tasks]`.
    #[getter]
    fn kinds(&self) -> Vec<String> {
        let kinds = self.environment.kinds();
        let kind_of = |task| kinds.get(self.environment.task_kind(task)).cloned();
        (0..self.environment.tasks()).map(|task| kind_of(task).unwrap_or_default()).collect()
    }

    /// The step limit of an episode.
    #[getter]
    fn max_steps(&self) -> usize {
        self.environment.max_steps()
    }

    /// The actions that solve a task, or None if the environment does not know them. A task is a
    /// number or a name.
    fn walkthrough(&self, task: &Bound<'_, PyAny>) -> PyResult<Option<Vec<String>>> {
        Ok(self.environment.walkthrough(self.number("task", task)?).map(<[String]>::to_vec))
    }

    /// Starts episodes. Those before are forgotten.
    ///
    /// Args:
    ///     tasks: The task of each episode: `[episodes]`, numbers or names. None picks a task by
    ///         each seed.
    ///     seeds: What decides everything that the environment leaves to chance: `[episodes]`, whole
    ///         numbers, 0 or above. 0 by default.
    #[pyo3(signature = (tasks=None, seeds=None))]
    fn reset(
        &self,
        py: Python<'_>,
        tasks: Option<&Bound<'_, PyAny>>,
        seeds: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Beginnings> {
        let starts = self.starts(tasks, seeds)?;
        let begun = py.detach(|| -> proxmo::Result<Vec<(String, String, Texts)>> {
            let mut episodes = Vec::with_capacity(starts.len());
            let mut texts = Vec::with_capacity(starts.len());
            for &(task, seed) in &starts {
                let session = self.environment.start(task, seed)?;
                let playing = Playing { session, last: Transition::default() };
                let (observation, admissible) = playing.texts();
                texts.push((playing.session.goal().to_string(), observation, admissible));
                episodes.push(playing);
            }
            *self.episodes.lock().unwrap_or_else(PoisonError::into_inner) = episodes;
            Ok(texts)
        });
        let mut beginnings = (Vec::new(), Vec::new(), Vec::new());
        for (goal, observation, admissible) in begun.map_err(to_python)? {
            beginnings.0.push(goal);
            beginnings.1.push(observation);
            beginnings.2.push(admissible);
        }
        let tasks = starts.iter().map(|&(task, _)| self.environment.task_name(task).to_string());
        Ok(Beginnings {
            tasks: tasks.collect(),
            goals: beginnings.0,
            observations: beginnings.1,
            admissible: lists(py, &beginnings.2)?,
        })
    }

    /// Takes an action in each episode. An episode that has ended stays as it is, with a reward of 0:
    /// its action is ignored and may be None.
    ///
    /// Args:
    ///     actions: `[episodes]`, a list of str or None. An action that is not admissible is no error:
    ///         `valid` is then False.
    #[pyo3(signature = (actions))]
    fn step(&self, py: Python<'_>, actions: &Bound<'_, PyAny>) -> PyResult<Steps> {
        let actions = optional_texts("actions", actions)?;
        let actions: Vec<Option<&str>> = actions.iter().map(|action| action.as_deref()).collect();
        let done = py.detach(|| on_threads(|| self.take(&actions)))?;
        let array = |of: fn(&Transition) -> bool| {
            PyArray1::from_iter(py, done.iter().map(|step| of(&step.0))).unbind()
        };
        let has_success = done.iter().all(|step| step.0.success.is_some());
        let has_scores = !done.is_empty() && done.iter().all(|step| step.0.score.is_some());
        let scores = || done.iter().map(|step| step.0.score.unwrap_or_default());
        let rewards = done.iter().map(|step| step.0.reward);
        Ok(Steps {
            rewards: PyArray1::from_iter(py, rewards).unbind(),
            terminated: array(|step| step.terminated),
            truncated: array(|step| step.truncated),
            success: has_success.then(|| array(Transition::succeeded)),
            valid: array(|step| step.valid),
            scores: has_scores.then(|| PyArray1::from_iter(py, scores()).unbind()),
            admissible: lists(py, done.iter().map(|step| &step.2))?,
            observations: done.into_iter().map(|step| step.1).collect(),
        })
    }

    fn __repr__(&self) -> String {
        format!("Environment(name='{}', tasks={})", self.name(), self.environment.tasks())
    }
}

/// What came of a step: the numbers, the observation and the admissible actions after it.
type Done = (Transition, String, Texts);

impl Environment {
    /// The number of a task that is given as a number or a name.
    fn number(&self, place: &str, task: &Bound<'_, PyAny>) -> PyResult<usize> {
        if let Ok(name) = task.cast::<PyString>() {
            let found = self.numbers.get(name.to_str()?).copied();
            return found.ok_or_else(|| refused(place, format!("there is no task '{name}'")));
        }
        let number: i64 = task.extract().map_err(|_| {
            refused(place, format!("expected a number or a name of a task, found {}", kind(task)))
        })?;
        let total = self.environment.tasks();
        usize::try_from(number).ok().filter(|&number| number < total).ok_or_else(|| {
            refused(place, format!("is {number}, but there are {total} tasks, numbered from 0"))
        })
    }

    /// The task and seed of each episode.
    fn starts(
        &self,
        tasks: Option<&Bound<'_, PyAny>>,
        seeds: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Vec<(usize, u64)>> {
        let seeds: Option<Vec<u64>> = seeds
            .map(|seeds| {
                let error = |error| refused("seeds", format!("expected whole numbers: {error}"));
                seeds
                    .try_iter()
                    .map_err(error)?
                    .map(|seed| seed?.extract().map_err(error))
                    .collect::<PyResult<_>>()
            })
            .transpose()?;
        let Some(tasks) = tasks else {
            let seeds = seeds.ok_or_else(|| refused("tasks", "expected tasks or seeds"))?;
            let total = self.environment.tasks();
            return Ok(seeds.into_iter().map(|seed| (pick_task(total, seed), seed)).collect());
        };
        if tasks.is_instance_of::<PyString>() {
            return Err(refused("tasks", "expected a list of tasks, found one str"));
        }
        let listed = tasks.try_iter().map_err(|_| refused("tasks", "expected a list of tasks"))?;
        let tasks: Vec<usize> = listed
            .enumerate()
            .map(|(at, task)| self.number(&format!("tasks[{at}]"), &task?))
            .collect::<PyResult<_>>()?;
        let seeds = seeds.unwrap_or_else(|| vec![0; tasks.len()]);
        crate::arrays::check_length("seeds", seeds.len(), tasks.len(), "task")?;
        Ok(tasks.into_iter().zip(seeds).collect())
    }

    /// Takes an action in each episode.
    fn take(&self, actions: &[Option<&str>]) -> PyResult<Vec<Done>> {
        let mut episodes = self.episodes.lock().unwrap_or_else(PoisonError::into_inner);
        crate::arrays::check_length("actions", actions.len(), episodes.len(), "episode")?;
        let lacking = |at: &usize| !episodes[*at].last.ended() && actions[*at].is_none();
        if let Some(at) = (0..actions.len()).find(lacking) {
            let message = "expected a str, found None: the episode has not ended";
            return Err(refused(&format!("actions[{at}]"), message));
        }
        let step = |(playing, action): (&mut Playing, &Option<&str>)| -> proxmo::Result<Done> {
            match action {
                Some(action) if !playing.last.ended() => {
                    playing.last = playing.session.step(action)?
                }
                _ => playing.last.reward = 0.0,
            }
            let (observation, admissible) = playing.texts();
            Ok((playing.last, observation, admissible))
        };
        let done: proxmo::Result<Vec<Done>> =
            episodes.par_iter_mut().zip(actions).with_min_len(LEAST).map(step).collect();
        done.map_err(to_python)
    }
}

/// Lists of texts as Python lists.
fn lists<'a>(py: Python<'_>, all: impl IntoIterator<Item = &'a Texts>) -> PyResult<Py<PyList>> {
    let lists = PyList::empty(py);
    for texts in all {
        lists.append(PyList::new(py, texts.iter().collect::<Vec<_>>())?)?;
    }
    Ok(lists.unbind())
}
