//! REINFORCE++ (arXiv 2501.03262): rewards are normalised over the whole batch, not in each group.
//!
//! ```text
//! plain:      A_{i,t} = (R_i − mean_batch(R)) / (std_batch(R) + ε)
//!
//! baseline:   D_i     = R_i − mean_group(R)
//!             A_{i,t} = (D_i − mean_batch(D)) / (std_batch(D) + ε)
//! ```
//!
//! An easy group therefore cannot inflate its few failures, but groups influence each other.

use super::clusters::EPSILON;
use super::config::{CreditConfig, Normalize};
use super::parts::{Parts, StepPart, Task};
use super::weighted::{Weighted, episode_weight};
use super::{episode, returns};
use crate::episodes::{Batch, totals_of_batch};
use crate::error::Result;

pub(super) fn assign(task: &mut Task) -> Result<Parts> {
    let Task { batch, config, .. } = *task;
    finish(task, normalize(batch, config, totals_of_batch(batch)))
}

pub(super) fn assign_with_baseline(task: &mut Task) -> Result<Parts> {
    let Task { batch, config, .. } = *task;
    let centred = CreditConfig { normalize: Normalize::Mean, ..config.clone() };
    finish(task, normalize(batch, config, episode::group_relative(batch, &centred)))
}

fn finish(task: &Task, mut episode: Vec<f64>) -> Result<Parts> {
    let Task { batch, config, .. } = *task;
    let returns = returns::discounted(batch, config.gamma);
    let modulation = episode::modulate(batch, config, &mut episode);
    Ok(Parts { returns, episode, step: StepPart::none(batch.rows()), modulation })
}

/// Centres and scales over the whole batch.
fn normalize(batch: &Batch, config: &CreditConfig, mut values: Vec<f64>) -> Vec<f64> {
    let weights: Vec<f64> = (0..batch.episodes())
        .map(|episode| episode_weight(batch, config.statistics, episode))
        .collect();
    let Weighted { mean, deviation, .. } = Weighted::of(&values, &weights);
    let scale = match config.normalize {
        Normalize::MeanStd => deviation + EPSILON,
        Normalize::Mean | Normalize::Auto => 1.0,
    };
    values.iter_mut().for_each(|value| *value = (*value - mean) / scale);
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credit::{Estimator, assign};
    use crate::episodes::Episode;

    fn batch() -> Batch {
        let episodes =
            |rewards: [f32; 2]| rewards.map(|reward| Episode::new().step("", reward).success(true));
        Batch::builder().group(episodes([1.0, 3.0])).group(episodes([7.0, 9.0])).build().unwrap()
    }

    #[test]
    fn rewards_are_normalised_over_the_batch() {
        let mut config = CreditConfig::of(Estimator::ReinforcePp);
        let deviation = (40.0f64 / 3.0).sqrt() + EPSILON;
        let expected = [-4.0, -2.0, 2.0, 4.0].map(|distance| (distance / deviation) as f32);
        assert_eq!(assign(&batch(), &config).unwrap().advantages, expected);
        config.normalize = Normalize::Mean;
        assert_eq!(assign(&batch(), &config).unwrap().advantages, [-4.0, -2.0, 2.0, 4.0]);
    }

    #[test]
    fn the_baseline_is_the_groups_mean_and_the_scale_the_batchs() {
        let config = CreditConfig::of(Estimator::ReinforcePpBaseline);
        let deviation = (4.0f64 / 3.0).sqrt() + EPSILON;
        let expected = [-1.0, 1.0, -1.0, 1.0].map(|distance| (distance / deviation) as f32);
        assert_eq!(assign(&batch(), &config).unwrap().advantages, expected);
    }
}
