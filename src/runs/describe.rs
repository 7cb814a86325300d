//! The policy that the settings describe.

use std::path::{Path, PathBuf};

use super::checkpoint;
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::policy::PolicyDescription;
use crate::rollout::guarded;
use crate::train::Config;

/// Describes a new policy for these tasks. A panic of the environment becomes an error.
///
/// # Errors
/// Fails if the environment fails.
pub(super) fn describe(
    environment: &dyn Environment,
    config: &Config,
) -> Result<PolicyDescription> {
    let described = guarded(|| config.policy.describe(environment, config.run.seed));
    described
        .map_err(|message| Error::Environment(format!("while preparing the policy: {message}")))
}

/// The policy of a new run, and the checkpoint with its initial weights if `run.init` names one: then
/// the description comes from that checkpoint, with the settings that may change.
///
/// # Errors
/// Fails if the environment fails, or if the checkpoint is corrupt or does not fit the settings.
pub(super) fn initial_policy(
    environment: &dyn Environment,
    config: &Config,
) -> Result<(PolicyDescription, Option<PathBuf>)> {
    let init: &Path = &config.run.init;
    if init.as_os_str().is_empty() {
        return Ok((describe(environment, config)?, None));
    }
    let checkpoint = checkpoint::find(init, checkpoint::CheckpointSelector::Latest)?;
    let saved = checkpoint::read_description(&checkpoint)?;
    let policy = saved.with_settings(&config.policy);
    let policy = policy.map_err(|message| Error::file(&checkpoint, message))?;
    Ok((policy, Some(checkpoint)))
}
