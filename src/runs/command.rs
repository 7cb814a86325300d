//! What the leader of a training on several ranks tells the others to do.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::env::Environment;
use crate::error::{Error, Result};
use crate::policy::Sampling;
use crate::rollout::{Demonstration, Limits};
use crate::train::EvaluationPlan;

/// A command of the leader. All ranks, the leader too, do the work together.
#[derive(Serialize, Deserialize)]
pub(super) enum Command {
    /// Build the training.
    Build(Box<Blueprint>),
    /// Imitate demonstrations from now on.
    Imitate(Vec<Demonstration>),
    /// Train an iteration at this share of the schedules.
    Advance(f64),
    /// Evaluate the policy.
    Evaluate(SentPlan),
    /// Compare the weights of all ranks.
    Compare,
    /// End with this exit code.
    End(u8),
}

/// Everything that a rank needs to train with the others.
#[derive(Serialize, Deserialize)]
pub(super) struct Blueprint {
    /// All settings, as the text of a `config.toml`.
    pub settings: String,
    /// The content of `policy.json`.
    pub policy: Vec<u8>,
    /// Digests of the tasks: those of the training, and the held-out ones.
    pub tasks: [Vec<u8>; 2],
    /// Where the training starts, unless from an untrained policy.
    pub start: Option<StartingPoint>,
}

/// A checkpoint that a training starts from.
#[derive(Serialize, Deserialize)]
pub(super) struct StartingPoint {
    /// Its files.
    files: Vec<(String, Vec<u8>)>,
    /// Whether the run is resumed from it; else only its weights are taken.
    pub is_resume: bool,
}

impl StartingPoint {
    /// Reads the files of a checkpoint.
    pub fn read(checkpoint: &Path, is_resume: bool) -> Result<Self> {
        let entries = fs::read_dir(checkpoint).map_err(Error::io("read", checkpoint))?;
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(Error::io("read", checkpoint))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.push((name, fs::read(&path).map_err(Error::io("read", &path))?));
        }
        Ok(Self { files, is_resume })
    }

    /// Writes the files into a folder that is removed with the result.
    pub fn write(&self) -> Result<tempfile::TempDir> {
        let folder = tempfile::tempdir();
        let folder = folder.map_err(Error::io("create", &std::env::temp_dir()))?;
        for (name, bytes) in &self.files {
            let path = folder.path().join(name);
            fs::write(&path, bytes).map_err(Error::io("write", &path))?;
        }
        Ok(folder)
    }
}

/// An [`EvaluationPlan`] that travels.
#[derive(Serialize, Deserialize)]
pub(super) struct SentPlan {
    tasks: Vec<usize>,
    /// `None` for the most likely responses.
    temperature: Option<f32>,
    seed: u64,
    max_errors: usize,
    step_timeout: f64,
    keep_episodes: bool,
}

impl SentPlan {
    pub fn of(plan: &EvaluationPlan) -> Self {
        let temperature = match plan.sampling {
            Sampling::Greedy => None,
            Sampling::Temperature(temperature) => Some(temperature),
        };
        Self {
            tasks: plan.tasks.to_vec(),
            temperature,
            seed: plan.seed,
            max_errors: plan.limits.max_errors,
            step_timeout: plan.limits.step_timeout,
            keep_episodes: plan.keep_episodes,
        }
    }

    pub fn plan(&self) -> EvaluationPlan<'_> {
        let Self { max_errors, step_timeout, .. } = *self;
        EvaluationPlan {
            tasks: &self.tasks,
            sampling: self.temperature.map_or(Sampling::Greedy, Sampling::Temperature),
            seed: self.seed,
            limits: Limits { max_errors, step_timeout },
            keep_episodes: self.keep_episodes,
        }
    }
}

/// A digest of the tasks of an environment, by their names and kinds.
pub(super) fn digest_of_tasks(environment: &dyn Environment) -> Vec<u8> {
    let mut digest = Sha256::new();
    let mut add = |text: &str| {
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text);
    };
    add(environment.name());
    add(&environment.max_steps().to_string());
    environment.kinds().iter().for_each(|kind| add(kind));
    for task in 0..environment.tasks() {
        add(environment.task_name(task));
        add(&environment.task_kind(task).to_string());
    }
    digest.finalize().to_vec()
}
