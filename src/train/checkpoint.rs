//! Checkpoints: everything that a run needs to go on.
//!
//! `checkpoints/<iteration>/` holds `weights.safetensors`, `reference.safetensors` (if the objective
//! has a reference policy), `optimizer.bpk`, `policy.json` (architecture and vocabulary) and, written
//! last, `state.json`. The folder is filled under another name, synced and renamed, so that one that
//! bears its name is whole.

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::store::{ModuleSnapshot, SafetensorsStore};
use serde::{Deserialize, Serialize};

use super::config::PolicyConfig;
use super::trainer::Trainer;
use crate::credit::CreditState;
use crate::error::{Error, Result};
use crate::files::{sync_folder, write_whole};
use crate::policy::Policy;
use crate::policy::scorer::{Scorer, ScorerEncoder, Vocabulary};

/// The version of the checkpoint's form. A checkpoint of another version is refused.
const VERSION: u32 = 1;

/// What a checkpoint says of the run besides its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    version: u32,
    /// Iterations done.
    pub iteration: u64,
    /// Environment steps done.
    pub steps: u64,
    /// Seconds that the run has taken.
    pub elapsed: f64,
    /// What credit assignment carries along.
    pub credit: CreditState,
}

/// What the policy is, apart from its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyDescription {
    /// The kind of policy. So far always `scorer`.
    pub kind: String,
    /// Its size.
    pub size: PolicyConfig,
    /// The step limit that it measures progress by.
    pub max_steps: usize,
    /// The words that it knows.
    pub vocabulary: Vocabulary,
}

impl PolicyDescription {
    /// The scorer that this describes, with the weights of another seed.
    pub fn scorer(&self, seed: u64, device: &burn::tensor::Device) -> (Scorer, ScorerEncoder) {
        let network = self.size.network(self.vocabulary.len());
        let encoder =
            ScorerEncoder { vocabulary: self.vocabulary.clone(), max_steps: self.max_steps };
        (Scorer::new(&network, seed, device), encoder)
    }
}

/// The folder of a checkpoint in a run's folder.
pub fn folder(run: &Path, iteration: u64) -> PathBuf {
    run.join("checkpoints").join(format!("{iteration:06}"))
}

/// The iterations that a run has whole checkpoints of, ascending.
///
/// # Errors
/// Where the folder cannot be read.
pub fn list(run: &Path) -> Result<Vec<u64>> {
    let folder = run.join("checkpoints");
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut iterations = Vec::new();
    for entry in fs::read_dir(&folder).map_err(Error::io("read", &folder))? {
        let entry = entry.map_err(Error::io("read", &folder))?;
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(number) = number.filter(|_| entry.path().join("state.json").exists()) {
            iterations.push(number);
        }
    }
    iterations.sort_unstable();
    Ok(iterations)
}

/// Writes a checkpoint, then removes the oldest beyond `keep`.
///
/// # Errors
/// Where the file system refuses; checkpoints written before are untouched.
pub fn save<P: Policy>(
    run: &Path,
    trainer: &Trainer<P>,
    description: &PolicyDescription,
    elapsed: f64,
) -> Result<PathBuf> {
    let target = folder(run, trainer.iteration);
    let filling = target.with_extension("filling");
    if filling.exists() {
        fs::remove_dir_all(&filling).map_err(Error::io("remove", &filling))?;
    }
    fs::create_dir_all(&filling).map_err(Error::io("create", &filling))?;
    save_weights(&trainer.learner.policy.valid(), &filling.join("weights.safetensors"))?;
    if let Some(reference) = &trainer.learner.reference {
        save_weights(reference, &filling.join("reference.safetensors"))?;
    }
    let optimizer = filling.join("optimizer.bpk");
    let bytes = trainer.learner.optimizer.into_bytes();
    let bytes = bytes.map_err(|error| Error::file(&optimizer, error.to_string()))?;
    write_whole(&optimizer, &bytes)?;
    write_json(&filling.join("policy.json"), description)?;
    let state = State {
        version: VERSION,
        iteration: trainer.iteration,
        steps: trainer.steps,
        elapsed,
        credit: trainer.credit_state.clone(),
    };
    write_json(&filling.join("state.json"), &state)?;
    if target.exists() {
        fs::remove_dir_all(&target).map_err(Error::io("replace", &target))?;
    }
    fs::rename(&filling, &target).map_err(Error::io("rename", &filling))?;
    sync_folder(&run.join("checkpoints"))?;
    prune(run, trainer.config.run.keep)?;
    Ok(target)
}

fn prune(run: &Path, keep: usize) -> Result<()> {
    let all = list(run)?;
    for &iteration in all.iter().rev().skip(keep) {
        let old = folder(run, iteration);
        fs::remove_dir_all(&old).map_err(Error::io("remove", &old))?;
    }
    Ok(())
}

/// The newest whole checkpoint's folder.
///
/// # Errors
/// Where the run has none.
pub fn newest(run: &Path) -> Result<PathBuf> {
    if !run.is_dir() {
        return Err(Error::file(run, "there is no such run folder"));
    }
    let iteration = list(run)?.pop();
    iteration.map(|iteration| folder(run, iteration)).ok_or_else(|| {
        Error::file(run, "no checkpoint is in it, expected checkpoints/<iteration>/state.json")
    })
}

/// Reads what the policy of a checkpoint is.
///
/// # Errors
/// Names the file and what is wrong with it.
pub fn read_description(checkpoint: &Path) -> Result<PolicyDescription> {
    let path = checkpoint.join("policy.json");
    let description: PolicyDescription = read_json(&path)?;
    if description.kind != "scorer" {
        let message = format!("policy kind '{}' is unknown, expected 'scorer'", description.kind);
        return Err(Error::file(&path, message));
    }
    Ok(description)
}

/// Reads a checkpoint's state.
///
/// # Errors
/// Names the file and what is wrong with it.
pub fn read_state(checkpoint: &Path) -> Result<State> {
    let path = checkpoint.join("state.json");
    let state: State = read_json(&path)?;
    if state.version != VERSION {
        let message = format!("checkpoint version {}, expected {VERSION}", state.version);
        return Err(Error::file(&path, message));
    }
    Ok(state)
}

/// Puts a checkpoint's weights into a policy of the same architecture.
///
/// # Errors
/// Names the file, and the weight that is missing, superfluous or of another shape.
pub fn load_weights<P: Policy>(policy: P, checkpoint: &Path) -> Result<P> {
    load_into(policy, &checkpoint.join("weights.safetensors"))
}

/// Puts a checkpoint's optimizer, reference policy and counts into a trainer of the same settings.
/// Returns the seconds that the run had taken.
///
/// # Errors
/// Names the file and what is wrong with it.
pub fn restore<P: Policy>(trainer: &mut Trainer<P>, checkpoint: &Path) -> Result<f64> {
    let state = read_state(checkpoint)?;
    let learner = &mut trainer.learner;
    learner.policy = load_weights(learner.policy.clone(), checkpoint)?;
    if let Some(reference) = learner.reference.take() {
        let path = checkpoint.join("reference.safetensors");
        learner.reference = Some(load_into(reference, &path)?);
    }
    let path = checkpoint.join("optimizer.bpk");
    let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
    learner.optimizer = learner
        .optimizer
        .clone()
        .from_bytes(burn::tensor::Bytes::from_bytes_vec(bytes))
        .map_err(|error| Error::file(&path, error.to_string()))?;
    trainer.iteration = state.iteration;
    trainer.steps = state.steps;
    trainer.credit_state = state.credit;
    Ok(state.elapsed)
}

fn save_weights<P: Module>(policy: &P, path: &Path) -> Result<()> {
    // One metadata entry: the store writes several in an order that changes from run to run, and the
    // same weights are to give the same bytes.
    let mut store =
        SafetensorsStore::from_bytes(None).clear_metadata().metadata("format", "safetensors");
    policy.save_into(&mut store).map_err(|error| Error::file(path, error.to_string()))?;
    let bytes = store.get_bytes().map_err(|error| Error::file(path, error.to_string()))?;
    write_whole(path, &bytes)
}

fn load_into<P: Module>(mut policy: P, path: &Path) -> Result<P> {
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    let mut store = SafetensorsStore::from_bytes(Some(bytes)).validate(false).allow_partial(true);
    let result =
        policy.load_from(&mut store).map_err(|error| Error::file(path, one_line(&error)))?;
    if let Some(error) = result.errors.first() {
        return Err(Error::file(path, one_line(error)));
    }
    if let Some((missing, _)) = result.missing.first() {
        return Err(Error::file(path, format!("weight '{missing}' is missing")));
    }
    if let Some(unused) = result.unused.first() {
        return Err(Error::file(path, format!("weight '{unused}' has no place in this policy")));
    }
    Ok(policy)
}

fn one_line(error: &dyn std::fmt::Display) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text =
        serde_json::to_vec_pretty(value).map_err(|error| Error::file(path, error.to_string()))?;
    write_whole(path, &text)
}

fn read_json<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T> {
    let text = fs::read(path).map_err(Error::io("read", path))?;
    serde_json::from_slice(&text).map_err(|error| Error::file(path, error.to_string()))
}
