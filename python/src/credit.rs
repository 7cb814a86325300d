//! Credit assignment from NumPy arrays.

use std::borrow::Cow;

use numpy::ndarray::ArrayView2;
use numpy::{PyArray1, PyReadonlyArray1, PyReadonlyArray2};
use proxmo::credit::{Embedding, Estimator, assign_with};
use proxmo::episodes::{Batch, Episode, Layout, MAX_REWARD, Step, Values};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyDict;
use pythonize::pythonize;

use crate::arrays::{
    BOOLEANS, NUMBERS, array, check_length, offsets, optional_texts, texts as list_of_texts,
};
use crate::errors::{refused, to_python};
use crate::settings::{Config, State, credit_config, table};
use crate::threads::on_threads;

/// The advantage of each step, and the quantities that it was computed from. All arrays are float64.
#[pyclass(frozen, get_all, module = "proxmo")]
#[derive(Debug)]
pub(crate) struct Credit {
    /// episode_weight · episode part + step_weight · step part: `[steps]`.
    advantages: Py<PyArray1<f64>>,
    /// The episode part of each step's advantage: `[steps]`.
    episode_advantages: Py<PyArray1<f64>>,
    /// The step part of each step's advantage: `[steps]`.
    step_advantages: Py<PyArray1<f64>>,
    /// The return of each step, as the estimator defines it: `[steps]`.
    returns: Py<PyArray1<f64>>,
    /// The baseline of each step's return: `[steps]`, or None for an estimator that credits whole
    /// episodes.
    baselines: Option<Py<PyArray1<f64>>>,
    /// The modulation weight of each episode: `[episodes]`, 1 without modulation.
    modulation_weights: Py<PyArray1<f64>>,
    /// Statistics for monitoring. Those that an estimator does not have are absent.
    diagnostics: Py<PyDict>,
}

#[pymethods]
impl Credit {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let steps = self.advantages.bind(py).len()?;
        Ok(format!("Credit(steps={steps}, diagnostics={})", self.diagnostics.bind(py).repr()?))
    }
}

/// Assigns credit to the steps of a batch of episodes.
///
/// Steps are sorted by group, then episode, then time. A group is the episodes of one task.
///
/// Args:
///     rewards: The reward of each step: `[steps]`, numbers.
///     episode_offsets: The first step of each episode, and the number of steps:
///         `[episodes + 1]`, whole numbers.
///     group_offsets: The first episode of each group, and the number of episodes:
///         `[groups + 1]`, whole numbers.
///     success: Whether each episode reached its goal: `[episodes]`, booleans. None if that is not
///         known; nothing is then modulated by success.
///     texts: The observation before each step's action: `[steps]`, a list of str.
///     embeddings: Vectors of the observations in place of the texts' tf-idf: `[steps, dimension]`,
///         float32. They need not have unit length. They imply `embedding="given"`.
///     valid: Whether each action was admissible: `[steps]`, booleans. All are by default. G2PO
///         reads it.
///     final_observations: The observation after each episode's last step: `[episodes]`, a list of str or
///         None. GraphGPO needs that of failures.
///     values: An estimate of the discounted rewards that follow each state: `[steps]`, numbers. `ppo` and
///         `value_weight` above 0 need it.
///     final_values: The same after each episode's last step, for episodes that were cut short; 0 for those
///         that ended: `[episodes]`, numbers. All 0 by default.
///     config: Settings. The default is ProxMO as published.
///     state: What `temperature="auto"` learns over iterations; the call updates it.
///     **settings: Single settings, which replace those of `config` (see `proxmo.Settings`):
///         `estimator="gigpo"`, `gamma=0.99`, …
///
/// Estimators that compare states need texts or embeddings; `grpo`, `dr-grpo`, `rloo`,
/// `reinforce-pp` and `ppo` need neither.
///
/// The GIL is released while credit is assigned. Arrays of float64 and int64 (embeddings: float32)
/// are read where they are, and copied once into the batch; others are converted first.
///
/// Returns:
///     The advantages and what they were computed from, as float64 arrays.
///
/// Raises:
///     ValueError: An argument has another length, offsets fall, a number is NaN, infinite or
///         larger than 1e30, or a setting is unknown or out of range. The message names the
///         argument or the setting.
#[pyfunction]
#[pyo3(signature = (
    rewards, episode_offsets, group_offsets, success=None, texts=None, embeddings=None, *,
    valid=None, final_observations=None, values=None, final_values=None, config=None, state=None,
    **settings
))]
#[expect(clippy::too_many_arguments, reason = "they are the arguments of the Python function")]
pub(crate) fn credit(
    py: Python<'_>,
    rewards: &Bound<'_, PyAny>,
    episode_offsets: &Bound<'_, PyAny>,
    group_offsets: &Bound<'_, PyAny>,
    success: Option<&Bound<'_, PyAny>>,
    texts: Option<&Bound<'_, PyAny>>,
    embeddings: Option<&Bound<'_, PyAny>>,
    valid: Option<&Bound<'_, PyAny>>,
    final_observations: Option<&Bound<'_, PyAny>>,
    values: Option<&Bound<'_, PyAny>>,
    final_values: Option<&Bound<'_, PyAny>>,
    config: Option<Config>,
    state: Option<&Bound<'_, State>>,
    settings: Option<&Bound<'_, PyDict>>,
) -> PyResult<Credit> {
    let settings = table(settings)?;
    let is_given = embeddings.is_some() && !settings.contains_key("embedding");
    let mut config = credit_config(config.as_ref().map(|config| &config.0), settings)?;
    if is_given {
        config.embedding = Embedding::Given;
    }
    let layout = Layout::new(
        &offsets("group_offsets", group_offsets)?,
        &offsets("episode_offsets", episode_offsets)?,
    )
    .map_err(to_python)?;
    let has_observations = texts.is_some() || embeddings.is_some();
    if !has_observations && compares_states(config.estimator) {
        let message = format!("estimator '{}' needs texts or embeddings", config.estimator);
        return Err(refused("texts", message));
    }
    let input =
        Input::read(&layout, rewards, success, texts, embeddings, valid, final_observations)?;
    let batch = with_values(input.batch(&layout)?, values, final_values)?;
    let mut learned = state.map(|state| state.get().get()).unwrap_or_default();
    let assigned = py
        .detach(|| on_threads(|| assign_with(&batch, &config, &mut learned)))
        .map_err(to_python)?;
    if let Some(state) = state {
        state.get().set(learned);
    }
    let diagnostics = diagnostics(py, &assigned.diagnostics, has_observations)?;
    let array = |values: Vec<f64>| PyArray1::from_vec(py, values).unbind();
    Ok(Credit {
        modulation_weights: array(weights(&batch, &assigned)),
        advantages: array(assigned.advantages),
        episode_advantages: array(assigned.episode_advantages),
        step_advantages: array(assigned.step_advantages),
        returns: array(assigned.returns),
        baselines: (!assigned.baselines.is_empty()).then(|| array(assigned.baselines)),
        diagnostics: diagnostics.unbind(),
    })
}

/// The batch with the values of its states, if there are any.
fn with_values(
    batch: Batch,
    values: Option<&Bound<'_, PyAny>>,
    final_values: Option<&Bound<'_, PyAny>>,
) -> PyResult<Batch> {
    let numbers = |name: &str, all: &Bound<'_, PyAny>| -> PyResult<Vec<f64>> {
        let all: PyReadonlyArray1<f64> = array(name, all, NUMBERS)?;
        Ok(all.as_array().to_vec())
    };
    let ends = final_values.map(|all| numbers("final_values", all)).transpose()?;
    match (values, ends) {
        (Some(values), ends) => {
            let states = numbers("values", values)?;
            let ends = ends.unwrap_or_else(|| vec![0.0; batch.episodes()]);
            batch.with_values(Values { states, ends }).map_err(to_python)
        }
        (None, Some(_)) => Err(refused("final_values", "expected values of all steps with them")),
        (None, None) => Ok(batch),
    }
}

/// Whether an estimator reads observations.
fn compares_states(estimator: Estimator) -> bool {
    match estimator {
        Estimator::Proxmo
        | Estimator::Gigpo
        | Estimator::Hgpo
        | Estimator::G2po
        | Estimator::Graphgpo => true,
        Estimator::Grpo
        | Estimator::DrGrpo
        | Estimator::Rloo
        | Estimator::ReinforcePp
        | Estimator::ReinforcePpBaseline
        | Estimator::Ppo => false,
    }
}

/// The arguments as Rust's types. Texts and embeddings stay where they are.
struct Input<'py> {
    rewards: PyReadonlyArray1<'py, f64>,
    /// `[episodes]`, or absent if not known.
    success: Option<Vec<bool>>,
    /// `[steps]`, or absent.
    valid: Option<Vec<bool>>,
    texts: Option<Vec<PyBackedStr>>,
    final_observations: Option<Vec<Option<PyBackedStr>>>,
    embeddings: Option<PyReadonlyArray2<'py, f32>>,
}

impl<'py> Input<'py> {
    fn read(
        layout: &Layout,
        rewards: &Bound<'py, PyAny>,
        success: Option<&Bound<'py, PyAny>>,
        texts: Option<&Bound<'py, PyAny>>,
        embeddings: Option<&Bound<'py, PyAny>>,
        valid: Option<&Bound<'py, PyAny>>,
        final_observations: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Self> {
        let (rows, episodes) = (layout.rows(), layout.episodes());
        let input = Self {
            rewards: array("rewards", rewards, NUMBERS)?,
            success: success
                .map(|all| booleans("success", all, episodes, "episode"))
                .transpose()?,
            valid: valid.map(|all| booleans("valid", all, rows, "step")).transpose()?,
            texts: texts.map(|all| list_of_texts("texts", all)).transpose()?,
            final_observations: final_observations
                .map(|all| optional_texts("final_observations", all))
                .transpose()?,
            embeddings: embeddings.map(|all| array("embeddings", all, NUMBERS)).transpose()?,
        };
        check_length("rewards", input.rewards.len()?, rows, "step")?;
        for (at, reward) in input.rewards.as_array().iter().enumerate() {
            if !(-MAX_REWARD..=MAX_REWARD).contains(reward) {
                let message = format!(
                    "expected a number from {:e} to {MAX_REWARD:e}, found {reward}",
                    -MAX_REWARD
                );
                return Err(refused(&format!("rewards[{at}]"), message));
            }
        }
        if let Some(texts) = &input.texts {
            check_length("texts", texts.len(), rows, "step")?;
        }
        if let Some(texts) = &input.final_observations {
            check_length("final_observations", texts.len(), episodes, "episode")?;
        }
        if let Some(embeddings) = &input.embeddings {
            let embeddings = embeddings.as_array();
            check_length("embeddings", embeddings.nrows(), rows, "step")?;
            if let Some(((row, column), value)) =
                embeddings.indexed_iter().find(|(_, value)| !value.is_finite())
            {
                let place = format!("embeddings[{row}, {column}]");
                return Err(refused(&place, format!("expected a finite number, found {value}")));
            }
            if rows > 0 && embeddings.ncols() == 0 {
                return Err(refused("embeddings", "expected vectors of one number or more"));
            }
        }
        Ok(input)
    }

    /// The batch. The batch keeps the only copy of what it needs.
    fn batch(&self, layout: &Layout) -> PyResult<Batch> {
        let rewards = self.rewards.as_array();
        // A copy only if the array is not contiguous.
        let embeddings = self.embeddings.as_ref().map(|all| contiguous(all.as_array()));
        let vector = |row: usize| {
            let (values, width) = embeddings.as_ref()?;
            Some(&values[row * width..(row + 1) * width])
        };
        let step = |row: usize| {
            let (reward, vector) = (rewards[row], vector(row));
            let step = match (&self.texts, vector) {
                (Some(texts), Some(vector)) => Step::new(&*texts[row], reward).embedding(vector),
                (Some(texts), None) => Step::new(&*texts[row], reward),
                (None, Some(vector)) => Step::from_embedding(vector, reward),
                (None, None) => Step::new("", reward),
            };
            step.valid(self.valid.as_ref().is_none_or(|valid| valid[row]))
        };
        let episode = |number: usize| {
            let episode = Episode::new().steps(layout.rows_of_episode(number).map(step));
            let episode = match &self.success {
                Some(success) => episode.success(success[number]),
                None => episode.without_success(),
            };
            let last = self.final_observations.as_ref().and_then(|texts| texts[number].as_deref());
            match last {
                Some(text) => episode.final_observation(text),
                None => episode,
            }
        };
        let mut builder = Batch::builder();
        for episodes in layout.group_episodes() {
            builder.push_group(episodes.map(episode));
        }
        builder.build().map_err(to_python)
    }
}

/// The numbers of a matrix, row by row, and the length of a row.
fn contiguous(matrix: ArrayView2<'_, f32>) -> (Cow<'_, [f32]>, usize) {
    let width = matrix.ncols();
    let values = match matrix.to_slice() {
        Some(values) => Cow::Borrowed(values),
        None => Cow::Owned(matrix.iter().copied().collect()),
    };
    (values, width)
}

fn booleans(name: &str, all: &Bound<'_, PyAny>, count: usize, of: &str) -> PyResult<Vec<bool>> {
    let array: PyReadonlyArray1<bool> = array(name, all, BOOLEANS)?;
    check_length(name, array.len()?, count, of)?;
    Ok(array.as_array().to_vec())
}

/// The modulation weight of each episode.
fn weights(batch: &Batch, credit: &proxmo::credit::Credit) -> Vec<f64> {
    let mut weights = vec![1.0; batch.episodes()];
    for (episodes, group) in batch.layout().group_episodes().zip(&credit.diagnostics.modulation) {
        for episode in episodes {
            weights[episode] =
                if batch.success()[episode] { group.on_success } else { group.on_failure };
        }
    }
    weights
}

/// The statistics as a dict, without those that are absent.
fn diagnostics<'py>(
    py: Python<'py>,
    all: &proxmo::credit::CreditDiagnostics,
    has_observations: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let written = pythonize(py, all)?.cast_into::<PyDict>()?;
    let kept = PyDict::new(py);
    for (key, value) in written {
        let name: String = key.extract()?;
        let is_of_states = name == "states" || name == "lone_rows";
        if !value.is_none() && (has_observations || !is_of_states) {
            kept.set_item(key, value)?;
        }
    }
    Ok(kept)
}
