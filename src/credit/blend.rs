//! Learned values in step baselines.
//!
//! The ProxMO paper leaves value-based credit to future work. Here the step baseline `b` of ProxMO or
//! GiGPO is mixed with a learned value `V` of the state, by the weight `v` of `credit.value_weight`:
//!
//! ```text
//! b'_{i,t}  = (1 − v) · b_{i,t} + v · V(s_{i,t})
//! A^S_{i,t} = G_{i,t} − b'_{i,t}
//! ```
//!
//! `V` has the unit of the returns `G` that the baseline averages: the value head is trained towards them.
//! So `v = 0` is the published estimator, and `v = 1` REINFORCE with a learned baseline beside the episode
//! part. A row without others to compare with (`b = G`) gets `v · (G − V)`.
//!
//! It happens after the baselines are known, in the same way for both engines.

use super::config::CreditConfig;
use super::parts::Parts;
use crate::episodes::Batch;

/// Mixes values into the step part, if the settings say so.
pub(super) fn blend_values(parts: &mut Parts, batch: &Batch, config: &CreditConfig) {
    let weight = config.value_weight;
    let Some(values) = batch.values().filter(|_| config.blends_values()) else { return };
    let step = &mut parts.step;
    let rows = step.advantages.iter_mut().zip(&mut step.baselines).zip(&values.states);
    for ((advantage, baseline), value) in rows {
        let raised = weight * (value - *baseline);
        *advantage -= raised;
        *baseline += raised;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credit::{Credit, Estimator, Normalize, assign};
    use crate::episodes::{Episode, Values};

    fn batch() -> Batch {
        let episode = |second, reward| Episode::new().step("the hall", 0.0).step(second, reward);
        let won = episode("the study", 1.0).success(true);
        let batch = Batch::builder().group([won, episode("the cellar", 0.0)]).build().unwrap();
        let values = Values { states: vec![0.25, 0.75, 0.5, 0.125], ends: vec![0.0, 0.5] };
        batch.with_values(values).unwrap()
    }

    fn credit(estimator: Estimator, value_weight: f64) -> Credit {
        let normalize = Normalize::Mean;
        let config =
            CreditConfig { gamma: 0.5, normalize, value_weight, ..CreditConfig::of(estimator) };
        assign(&batch(), &config).unwrap()
    }

    #[test]
    fn a_baseline_is_mixed_with_the_value_of_the_state() {
        // Identical states: both halls have the mean 0.25, other rows are alone.
        let credit = credit(Estimator::Gigpo, 0.5);
        assert_eq!(credit.returns, [0.5, 1.0, 0.0, 0.0]);
        assert_eq!(credit.baselines, [0.25, 0.875, 0.375, 0.0625]);
        assert_eq!(credit.step_advantages, [0.25, 0.125, -0.375, -0.0625]);
    }

    #[test]
    fn a_weight_of_one_leaves_the_value_alone_and_zero_the_baseline() {
        for estimator in [Estimator::Proxmo, Estimator::Gigpo] {
            let whole = credit(estimator, 1.0);
            for (row, value) in [0.25, 0.75, 0.5, 0.125].into_iter().enumerate() {
                assert!((whole.baselines[row] - value).abs() < 1e-12, "{estimator}");
                let advantage = whole.returns[row] - value;
                assert!((whole.step_advantages[row] - advantage).abs() < 1e-12, "{estimator}");
            }
            let without = Batch::builder()
                .group([
                    Episode::new().step("the hall", 0.0).step("the study", 1.0).success(true),
                    Episode::new().step("the hall", 0.0).step("the cellar", 0.0),
                ])
                .build()
                .unwrap();
            let config = CreditConfig {
                gamma: 0.5,
                normalize: Normalize::Mean,
                ..CreditConfig::of(estimator)
            };
            assert_eq!(credit(estimator, 0.0), assign(&without, &config).unwrap());
        }
    }
}
