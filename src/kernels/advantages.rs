//! The episode part of advantages on tensors: centred, scaled and modulated.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use super::backend::KernelBackend;
use super::parameters::EpisodeComparison;
use super::shapes;
use crate::credit::CreditConfig;
use crate::episodes::Layout;
use crate::error::Result;

/// The episode part of advantages.
#[derive(Debug, Clone)]
pub struct EpisodeAdvantages {
    /// The advantage of each row's episode: `[rows]`.
    pub advantages: Tensor<1>,
    /// Each group's success rate (after the prior), mean and unbiased standard deviation of total
    /// rewards: `[groups, 3]`.
    pub statistics: Tensor<2>,
}

/// Compares each episode's total reward `R` with its group's, and weights it by how rare its outcome
/// is: `w · (R − mean) / (deviation + ε)`.
///
/// Of `config` this reads `statistics`, `normalize` (the division is that of `mean-std`),
/// `modulation` and `success_prior`, which must not be `fitted`. `rewards` are `[rows]`; `success` is
/// 1 for each episode that reached its goal and 0 for the others, `[episodes]` (above ½ is a success).
/// Both are constants to autodiff. An episode alone in its group gets exactly 0, and so do all episodes
/// of a group with equal totals, scaled or not; except for the published codes' special case: with
/// `statistics = "step"` a group of a single row keeps its reward, unscaled.
///
/// A group with a reward or a success that is NaN or infinite is NaN throughout; other groups are not
/// affected. Rewards up to 1e30 are safe from overflow. Denormal rewards, and results that would be
/// denormal, may count as 0.
///
/// # Errors
/// Fails if shapes or devices do not fit, or a setting is out of range.
pub fn episode_advantages(
    rewards: Tensor<1>,
    success: Tensor<1>,
    layout: &Layout,
    config: &CreditConfig,
) -> Result<EpisodeAdvantages> {
    compare_episodes(rewards, success, EpisodeComparison::of(layout, config)?)
}

/// [`episode_advantages`] with launch parameters.
pub(super) fn compare_episodes(
    rewards: Tensor<1>,
    success: Tensor<1>,
    comparison: EpisodeComparison,
) -> Result<EpisodeAdvantages> {
    let layout = &comparison.layout;
    shapes::vector("rewards", &rewards, layout.rows(), "row")?;
    shapes::vector("success", &success, layout.episodes(), "episode")?;
    shapes::same_device("success", &success, &rewards)?;
    if layout.rows() == 0 {
        let device = rewards.device();
        let statistics = Tensor::zeros([layout.groups(), 3], &device);
        return Ok(EpisodeAdvantages { advantages: Tensor::zeros([0], &device), statistics });
    }
    let (advantages, statistics) =
        Dispatch::episode_advantages(rewards.into_dispatch(), success.into_dispatch(), comparison);
    Ok(EpisodeAdvantages {
        advantages: Tensor::from_dispatch(advantages),
        statistics: Tensor::from_dispatch(statistics),
    })
}
