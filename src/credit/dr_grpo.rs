//! Dr. GRPO (arXiv 2503.20783): GRPO without dividing by the deviation, which favours groups where
//! nearly all episodes end alike.
//!
//! ```text
//! A_{i,t} = R_i − mean_group(R)
//! ```
//!
//! The paper's other change, not dividing by a response's length, belongs to the loss.

use super::assign::{Parts, Task};
use super::part::StepPart;
use super::{episode, returns};
use crate::error::Result;

pub(super) fn assign(task: &mut Task) -> Result<Parts> {
    let Task { batch, config, .. } = *task;
    let returns = returns::discounted(batch, config.gamma);

    // `mean-std` has been refused by then: the settings' check knows this estimator.
    let mut episode = episode::group_relative(batch, config);
    let modulation = episode::modulate(batch, config, &mut episode);

    Ok(Parts { returns, episode, step: StepPart::none(batch.rows()), modulation })
}
