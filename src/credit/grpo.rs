//! GRPO (arXiv 2402.03300): every step of an episode is credited with the episode's outcome.
//!
//! ```text
//! A_{i,t} = (R_i − mean_group(R)) / (std_group(R) + ε)
//! ```

use super::parts::{Parts, StepPart, Task};
use super::{episode, returns};
use crate::error::Result;

pub(super) fn assign(task: &mut Task) -> Result<Parts> {
    let Task { batch, config, .. } = *task;
    let returns = returns::discounted(batch, config.gamma);

    let mut episode = episode::group_relative(batch, config);
    let modulation = episode::modulate(batch, config, &mut episode);

    Ok(Parts { returns, episode, step: StepPart::none(batch.rows()), modulation })
}
