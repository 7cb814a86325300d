//! Dr. GRPO (arXiv 2503.20783): GRPO without division by the deviation, which favours groups whose
//! episodes nearly all have the same outcome.
//!
//! ```text
//! A_{i,t} = R_i − mean_group(R)
//! ```
//!
//! The paper's other change, no division by a response's length, belongs to the loss.

use super::parts::{Parts, StepPart, Task};
use super::{episode, returns};
use crate::error::Result;

pub(super) fn assign(task: &mut Task) -> Result<Parts> {
    let Task { batch, config, .. } = *task;
    let returns = returns::discounted(batch, config.gamma);

    // The check of the settings refuses `mean-std` for this estimator.
    let mut episode = episode::group_relative(batch, config);
    let modulation = episode::modulate(batch, config, &mut episode);

    Ok(Parts { returns, episode, step: StepPart::none(batch.rows()), modulation })
}
