//! Credit assignment as a whole: check, estimate, put the parts together.

use super::batch::{CreditBatch, check};
use super::config::{CreditConfig, Estimator};
use super::diagnostics::CreditDiagnostics;
use super::episode::GroupModulation;
use super::part::{StepPart, narrowed};
use super::temperature::CreditState;
use super::{dr_grpo, g2po, gigpo, graphgpo, grpo, hgpo, proxmo, reinforce_pp, rloo};
use crate::error::Result;

/// What each step was worth.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Credit {
    /// The return of each row, as the estimator defines it: `[rows]`.
    pub returns: Vec<f32>,
    /// The episode part of each row's advantage: `[rows]`.
    pub episode_advantages: Vec<f32>,
    /// The step part of each row's advantage: `[rows]`.
    pub step_advantages: Vec<f32>,
    /// `episode_weight · episode part + step_weight · step part`: `[rows]`.
    pub advantages: Vec<f32>,
    /// What each row's return was compared with: `[rows]`, or empty for an estimator that credits
    /// whole episodes.
    pub baselines: Vec<f32>,
    /// What is worth watching.
    pub diagnostics: CreditDiagnostics,
}

/// Assigns credit to the rows of a batch.
///
/// # Errors
/// Names the setting that is out of range, or the array of the batch that does not fit.
pub fn assign(batch: &CreditBatch, config: &CreditConfig) -> Result<Credit> {
    assign_with(batch, config, &mut CreditState::default())
}

/// [`assign`], remembering from one iteration to the next (`temperature = "auto"` does).
///
/// # Errors
/// Names the setting that is out of range, or the array of the batch that does not fit.
pub fn assign_with(
    batch: &CreditBatch,
    config: &CreditConfig,
    state: &mut CreditState,
) -> Result<Credit> {
    config.validate()?;
    check(batch)?;
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
    Ok(parts.combine(batch, &config))
}

/// What an estimator is given: a batch and settings that have been checked.
pub(super) struct Task<'a> {
    pub batch: &'a CreditBatch<'a>,
    /// Without any `auto` that hangs on the estimator.
    pub config: &'a CreditConfig,
    pub state: &'a mut CreditState,
}

/// What an estimator gives back.
pub(super) struct Parts {
    /// Of each row.
    pub returns: Vec<f32>,
    /// The advantage of each episode.
    pub episode: Vec<f64>,
    pub step: StepPart,
    pub modulation: Vec<GroupModulation>,
}

impl Parts {
    fn combine(self, batch: &CreditBatch, config: &CreditConfig) -> Credit {
        let mut credit = Credit::default();
        for (episode, &advantage) in self.episode.iter().enumerate() {
            for row in batch.episode_rows(episode) {
                let step = self.step.advantages[row];
                let sum = config.episode_weight * advantage + config.step_weight * step;
                credit.episode_advantages.push(narrowed(advantage));
                credit.step_advantages.push(narrowed(step));
                credit.advantages.push(narrowed(sum));
            }
        }
        credit.baselines = self.step.baselines.iter().map(|&value| narrowed(value)).collect();
        credit.diagnostics =
            CreditDiagnostics::of(batch, &self.returns, &self.step, self.modulation);
        credit.returns = self.returns;
        credit
    }
}
