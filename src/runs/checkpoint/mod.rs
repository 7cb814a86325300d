//! Checkpoints: everything that a run needs to go on.
//!
//! `checkpoints/<iteration>/` holds `weights.safetensors`, `reference.safetensors` (if the objective
//! has a reference policy), `optimizer.bpk`, `policy.json` (architecture and vocabulary), `state.json`
//! and, written last, `manifest.json` with the sizes and checksums of the others. The folder is filled
//! under another name, synced and renamed, so that one that bears its name was whole when it got it;
//! the manifest tells whether it still is. The same state gives the same bytes.
//!
//! A checkpoint may come from somebody else: reading one runs nothing, opens no file but its own, and
//! takes at most 32 times the size of its files in memory and 16 MiB besides (a sound one less than
//! four times).

mod find;
mod manifest;
mod tensors;

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use find::{Choice, Found, clear_leftovers, find, list, newest_whole, set_aside};

use self::find::{discard, prune};
use self::manifest::Manifest;
use self::tensors::{expect_finite, load_into, load_optimizer, optimizer_bytes, weights_bytes};
use crate::credit::CreditState;
use crate::error::{Error, Result};
use crate::files::sync_folder;
use crate::policy::Policy;
use crate::policy::scorer::{Scorer, ScorerEncoder, Vocabulary};
use crate::train::Trainer;
use crate::train::{Config, PolicyConfig};

/// The version of the checkpoint's form. A checkpoint of another version is refused.
const VERSION: u32 = 2;

const WEIGHTS: &str = "weights.safetensors";
const REFERENCE: &str = "reference.safetensors";
const OPTIMIZER: &str = "optimizer.bpk";
const POLICY: &str = "policy.json";
const STATE: &str = "state.json";

/// What every checkpoint has.
const NEEDED: [&str; 4] = [WEIGHTS, OPTIMIZER, POLICY, STATE];

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
    /// Updates in a row that were skipped because a number was not finite.
    pub bad_updates: usize,
    /// The best evaluation so far that a checkpoint was written of.
    pub best: Option<Best>,
    /// What credit assignment carries along.
    pub credit: CreditState,
}

/// The best evaluation of a run. In whole numbers, which survive being written in decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// After which iteration.
    pub iteration: u64,
    /// How many tasks were won.
    pub won: u64,
    /// Of how many.
    pub tasks: u64,
}

impl Best {
    /// Whether this is at least as good as another: of two that are equally good the later one counts.
    pub fn beats(&self, other: Option<&Self>) -> bool {
        other.is_none_or(|other| {
            let cross = |a: u64, b: u64| u128::from(a) * u128::from(b.max(1));
            cross(self.won, other.tasks) >= cross(other.won, self.tasks)
        })
    }
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

/// Writes a checkpoint, then removes the oldest beyond those that the settings keep and the best.
///
/// # Errors
/// Where a weight is not finite or the file system refuses; checkpoints written before are untouched.
pub fn save<P: Policy>(
    run: &Path,
    trainer: &Trainer<P>,
    description: &PolicyDescription,
    elapsed: f64,
    best: Option<Best>,
) -> Result<PathBuf> {
    let policy = trainer.learner.policy.valid();
    expect_finite(&policy)?;
    clear_leftovers(run)?;
    let target = folder(run, trainer.iteration);
    let filling = target.with_extension("filling");
    fs::create_dir_all(&filling).map_err(Error::io("create", &filling))?;
    let mut manifest = Manifest::default();
    manifest.write(&filling, WEIGHTS, &weights_bytes(&policy, &filling)?)?;
    if let Some(reference) = &trainer.learner.reference {
        manifest.write(&filling, REFERENCE, &weights_bytes(reference, &filling)?)?;
    }
    manifest.write(&filling, OPTIMIZER, &optimizer_bytes(&trainer.learner.optimizer, &filling)?)?;
    manifest.write(&filling, POLICY, &json_bytes(description, &filling)?)?;
    let state = State {
        version: VERSION,
        iteration: trainer.iteration,
        steps: trainer.steps,
        elapsed,
        bad_updates: trainer.learner.bad_updates,
        best,
        credit: trainer.credit_state.clone(),
    };
    manifest.write(&filling, STATE, &json_bytes(&state, &filling)?)?;
    manifest.close(&filling)?;
    sync_folder(&filling)?;
    if target.exists() {
        discard(&target)?;
    }
    fs::rename(&filling, &target).map_err(Error::io("rename", &filling))?;
    sync_folder(&run.join("checkpoints"))?;
    prune(
        run,
        trainer.config.run.keep_checkpoints,
        &[Some(trainer.iteration), best.map(|best| best.iteration)],
    )?;
    Ok(target)
}

/// Reads what the policy of a checkpoint is.
///
/// # Errors
/// Names the file and what is wrong with it.
pub fn read_description(checkpoint: &Path) -> Result<PolicyDescription> {
    let path = checkpoint.join(POLICY);
    let manifest = Manifest::open(checkpoint)?;
    let description: PolicyDescription = parse(&manifest.read(checkpoint, POLICY)?, &path)?;
    if description.kind != "scorer" {
        let message = format!("policy kind '{}' is unknown, expected 'scorer'", description.kind);
        return Err(Error::file(&path, message));
    }
    let size = description.size.clone();
    Config { policy: size, ..Config::default() }
        .validate()
        .map_err(|error| Error::file(&path, error.to_string()))?;
    description.expect_weights(manifest.bytes(WEIGHTS)).map_err(|text| Error::file(&path, text))?;
    Ok(description)
}

impl PolicyDescription {
    /// Checks that two policies are the same apart from their weights, and says what differs.
    pub(super) fn expect_same(&self, asked: &Self) -> Result<(), String> {
        self.expect_size(&asked.size)?;
        let same = self.vocabulary.expect_same(&asked.vocabulary);
        same.map_err(|error| format!("another vocabulary: {error}"))
    }

    /// Checks that the policy has the size that is asked for, and says what differs.
    pub(super) fn expect_size(&self, here: &PolicyConfig) -> Result<(), String> {
        let there = &self.size;
        let sizes = [
            ("embedding", there.embedding, here.embedding),
            ("hidden", there.hidden, here.hidden),
            ("max_words", there.max_words, here.max_words),
        ];
        match sizes.into_iter().find(|(_, there, here)| there != here) {
            None => Ok(()),
            Some((name, there, here)) => Err(format!(
                "the policy there has policy.{name} {there}, the settings ask for {here}"
            )),
        }
    }

    /// Checks, before anything of that size is made, that a file can hold the weights.
    fn expect_weights(&self, bytes: u64) -> Result<(), String> {
        let [words, embedding, hidden] =
            [self.vocabulary.len(), self.size.embedding, self.size.hidden].map(|size| size as u64);
        let least = 4 * (words * (embedding + hidden) + hidden * hidden);
        if bytes >= least {
            return Ok(());
        }
        Err(format!(
            "{words} words, embedding {embedding} and hidden {hidden} take more than {least} bytes \
             of weights, {WEIGHTS} has {bytes}"
        ))
    }
}

/// Reads a checkpoint's state.
///
/// # Errors
/// Names the file and what is wrong with it.
pub fn read_state(checkpoint: &Path) -> Result<State> {
    let path = checkpoint.join(STATE);
    let text = Manifest::open(checkpoint)?.read(checkpoint, STATE)?;
    expect_version(&text, checkpoint)?;
    let state: State = parse(&text, &path)?;
    if !(state.elapsed.is_finite() && state.elapsed >= 0.0) {
        let message = format!("elapsed is {}, expected seconds from 0", state.elapsed);
        return Err(Error::file(&path, message));
    }
    let name = checkpoint.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if name.parse().is_ok_and(|iteration: u64| iteration != state.iteration) {
        let message = format!("is of iteration {}, its folder bears another", state.iteration);
        return Err(Error::file(&path, message));
    }
    Ok(state)
}

/// Refuses a state of another version; what is no state at all is left to who reads the rest.
fn expect_version(state: &[u8], checkpoint: &Path) -> Result<()> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    match serde_json::from_slice::<Versioned>(state) {
        Ok(found) if found.version != VERSION => Err(Error::file(
            &checkpoint.join(STATE),
            format!("checkpoint version {}, this program reads version {VERSION}", found.version),
        )),
        _ => Ok(()),
    }
}

/// Puts a checkpoint's weights into a policy of the same architecture.
///
/// # Errors
/// Names the file, and the weight that is missing, superfluous, of another shape or type, or not finite.
pub fn load_weights<P: Policy>(policy: P, checkpoint: &Path) -> Result<P> {
    load_into(policy, checkpoint, WEIGHTS)
}

/// Puts a checkpoint's optimizer, reference policy and counts into a trainer of the same settings.
/// Returns what else its state says.
///
/// # Errors
/// Names the file and what is wrong with it.
pub fn restore<P: Policy>(trainer: &mut Trainer<P>, checkpoint: &Path) -> Result<State> {
    let state = read_state(checkpoint)?;
    let learner = &mut trainer.learner;
    learner.policy = load_weights(learner.policy.clone(), checkpoint)?;
    let device = learner.policy.valid().devices().into_iter().next().unwrap_or_default();
    if let Some(reference) = learner.reference.take() {
        if !Manifest::open(checkpoint)?.has(REFERENCE) {
            let message =
                "has no reference policy: the run had update.kl_weight 0, go on with that";
            return Err(Error::file(checkpoint, message));
        }
        learner.reference = Some(load_into(reference, checkpoint, REFERENCE)?);
    }
    learner.optimizer = load_optimizer(&learner.optimizer, &learner.policy, &device, checkpoint)?;
    learner.bad_updates = state.bad_updates;
    trainer.iteration = state.iteration;
    trainer.steps = state.steps;
    trainer.credit_state = state.credit.clone();
    Ok(state)
}

fn json_bytes(value: &impl Serialize, folder: &Path) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value).map_err(|error| Error::file(folder, error.to_string()))
}

fn parse<T: for<'a> Deserialize<'a>>(text: &[u8], path: &Path) -> Result<T> {
    serde_json::from_slice(text).map_err(|error| Error::file(path, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equally_good_evaluations_the_later_one_is_the_best() {
        let best = |won, tasks| Best { iteration: 0, won, tasks };
        assert!(best(0, 10).beats(None));
        assert!(best(5, 10).beats(Some(&best(5, 10))));
        assert!(best(1, 2).beats(Some(&best(50, 100))));
        assert!(!best(49, 100).beats(Some(&best(1, 2))));
        assert!(!best(0, 0).beats(Some(&best(1, 2))));
    }
}
