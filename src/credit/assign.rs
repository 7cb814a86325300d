//! Credit assignment on the host, from a batch to advantages.

use super::config::{CreditConfig, Embedding, Engine, Estimator};
use super::diagnostics::CreditDiagnostics;
use super::parts::{Parts, Task, narrowed};
use super::result::Credit;
use super::temperature::CreditState;
use super::{dr_grpo, g2po, gigpo, graphgpo, grpo, hgpo, proxmo, reinforce_pp, rloo};
use crate::episodes::{Batch, RequiredFields};
use crate::error::{Error, Result};

/// Assigns credit to the rows of a batch.
///
/// # Errors
/// Returns an error if a setting is out of range, or if the batch lacks embeddings or final
/// observations that the settings need.
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
    let config = config.resolved();
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
    }?;
    Ok(combine(parts, batch, &config))
}

impl CreditConfig {
    /// The optional fields of an episode file that these settings need.
    pub fn required_fields(&self) -> RequiredFields {
        RequiredFields {
            embeddings: self.estimator == Estimator::Proxmo && self.embedding == Embedding::Given,
            final_observations: self.estimator == Estimator::Graphgpo,
        }
    }
}

/// Weighs and adds the parts of the advantages.
pub(crate) fn combine(parts: Parts, batch: &Batch, config: &CreditConfig) -> Credit {
    let mut credit = Credit::default();
    for (episode, &advantage) in parts.episode.iter().enumerate() {
        for row in batch.rows_of_episode(episode) {
            let step = parts.step.advantages[row];
            let sum = config.episode_weight * advantage + config.step_weight * step;
            credit.episode_advantages.push(narrowed(advantage));
            credit.step_advantages.push(narrowed(step));
            credit.advantages.push(narrowed(sum));
        }
    }
    credit.baselines = parts.step.baselines.iter().map(|&value| narrowed(value)).collect();
    credit.diagnostics =
        CreditDiagnostics::of(batch, &parts.returns, &parts.step, parts.modulation);
    credit.returns = parts.returns.iter().map(|&value| narrowed(value)).collect();
    credit
}
