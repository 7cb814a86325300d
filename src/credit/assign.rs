//! Credit assignment on the host, from a batch to advantages.

use super::blend::blend_values;
use super::config::{CreditConfig, Embedding, Engine, Estimator};
use super::diagnostics::CreditDiagnostics;
use super::parts::{Parts, Task};
use super::result::Credit;
use super::settings::Modulation;
use super::temperature::CreditState;
use super::{dr_grpo, g2po, gigpo, graphgpo, grpo, hgpo, ppo, proxmo, reinforce_pp, rloo};
use crate::episodes::{Batch, RequiredFields, Values};
use crate::error::{Error, Result};

/// Assigns credit to the rows of a batch.
///
/// # Errors
/// Returns an error if a setting is out of range, or if the batch lacks embeddings, final observations or
/// values that the settings need.
pub fn assign(batch: &Batch, config: &CreditConfig) -> Result<Credit> {
    assign_with(batch, config, &mut CreditState::default())
}

/// [`assign`] with a state that carries over from one iteration to the next, which
/// `temperature = "auto"` needs.
///
/// # Errors
/// As [`assign`].
pub fn assign_with(
    batch: &Batch,
    config: &CreditConfig,
    state: &mut CreditState,
) -> Result<Credit> {
    config.validate()?;
    if config.engine == Engine::Device {
        let message = "is 'device', but this is the host engine; only training has a device";
        return Err(Error::setting("credit.engine", message));
    }
    let config = config.for_batch(batch)?;
    let mut task = Task { batch, config: &config, state };
    let parts = match config.estimator {
        Estimator::Proxmo => proxmo::assign(&mut task),
        Estimator::Gigpo => gigpo::assign(&mut task),
        Estimator::Hgpo => hgpo::assign(&mut task),
        Estimator::G2po => g2po::assign(&mut task),
        Estimator::Graphgpo => graphgpo::assign(&mut task),
        Estimator::Grpo => grpo::assign(&mut task),
        Estimator::DrGrpo => dr_grpo::assign(&mut task),
        Estimator::Rloo => rloo::assign(&mut task),
        Estimator::ReinforcePp => reinforce_pp::assign(&mut task),
        Estimator::ReinforcePpBaseline => reinforce_pp::assign_with_baseline(&mut task),
        Estimator::Ppo => ppo::assign(&mut task),
    }?;
    Ok(combine(parts, batch, &config))
}

impl CreditConfig {
    /// The settings that a batch is credited with: without `auto`, and without modulation if the batch
    /// does not know which episodes reached their goal.
    ///
    /// # Errors
    /// Returns an error if the estimator needs to know that, or if the batch lacks values that the settings
    /// need.
    pub(crate) fn for_batch(&self, batch: &Batch) -> Result<Self> {
        let config = self.resolved();
        if config.needs_values() {
            config.values_of(batch)?;
        }
        if batch.has_success() {
            return Ok(config);
        }
        let needs_success = match config.estimator {
            Estimator::Graphgpo => true,
            Estimator::G2po => config.success_value.is_none(),
            _ => false,
        };
        if needs_success {
            let message = format!(
                "is '{}', which needs the success of every episode, and an episode has none",
                config.estimator
            );
            return Err(Error::setting("credit.estimator", message));
        }
        Ok(Self { modulation: Modulation::Off, ..config })
    }

    /// The values of a batch's states.
    ///
    /// # Errors
    /// Returns an error if the batch has none.
    pub(super) fn values_of<'a>(&self, batch: &'a Batch) -> Result<&'a Values> {
        batch.values().ok_or_else(|| {
            self.lacks_values(
                "the batch has none: in training a policy with a value head estimates them, an episode \
                 file has a \"value\" in each step",
            )
        })
    }

    /// The optional fields of an episode file that these settings need.
    pub fn required_fields(&self) -> RequiredFields {
        RequiredFields {
            embeddings: self.estimator == Estimator::Proxmo && self.embedding == Embedding::Given,
            final_observations: self.estimator == Estimator::Graphgpo,
            values: self.needs_values(),
        }
    }
}

/// Weighs and adds the parts of the advantages.
pub(crate) fn combine(mut parts: Parts, batch: &Batch, config: &CreditConfig) -> Credit {
    blend_values(&mut parts, batch, config);
    let mut credit = Credit::default();
    for (episode, &advantage) in parts.episode.iter().enumerate() {
        for row in batch.rows_of_episode(episode) {
            let step = parts.step.advantages[row];
            let sum = config.episode_weight * advantage + config.step_weight * step;
            credit.episode_advantages.push(advantage);
            credit.step_advantages.push(step);
            credit.advantages.push(sum);
        }
    }
    credit.diagnostics =
        CreditDiagnostics::of(batch, &parts.returns, &parts.step, parts.modulation);
    credit.baselines = parts.step.baselines;
    credit.returns = parts.returns;
    credit
}
