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
/// Fails if the environment fails, or if credit needs values and this kind of policy has no value head.
pub(super) fn describe(
    environment: &dyn Environment,
    config: &Config,
) -> Result<PolicyDescription> {
    let described = guarded(|| match config.policy.describe(environment, config.run.seed) {
        Err(Error::Environment(message)) => Err(Error::Environment(message)),
        // A setting that does not suit the environment is no fault of the environment.
        described => Ok(described),
    });
    let described = described.map_err(|message| {
        Error::Environment(format!("while preparing the policy: {message}"))
    })??;
    with_needed_head(described, config)
}

/// The policy with a value head, if credit needs values. A policy that has one keeps it.
fn with_needed_head(policy: PolicyDescription, config: &Config) -> Result<PolicyDescription> {
    if !config.credit.needs_values() || policy.estimates_values() {
        return Ok(policy);
    }
    policy.with_value_head().map_err(|reason| config.credit.lacks_values(&reason))
}

/// The policy of a new run, and the checkpoint with its initial weights if `run.init` names one: then
/// the description comes from that checkpoint, with the settings that may change, and with a value head if
/// credit needs one.
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
    Ok((with_needed_head(policy, config)?, Some(checkpoint)))
}
