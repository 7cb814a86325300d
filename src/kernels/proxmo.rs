//! ProxMO's credit on a device, whole.

use burn::tensor::Tensor;

use super::advantages::{EpisodeAdvantages, EpisodeOptions, episode_advantages};
use super::proximity::{ProximityOptions, proximity};
use super::returns::discounted_returns;
use crate::episodes::Layout;
use crate::error::Result;

/// How steps are judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProxmoOptions {
    /// Discount of a step, from 0 to 1.
    pub gamma: f32,
    /// Weight of the episode part.
    pub episode_weight: f32,
    /// Weight of the step part.
    pub step_weight: f32,
    /// How the step part looks at other steps.
    pub proximity: ProximityOptions,
    /// How the episode part compares episodes.
    pub episodes: EpisodeOptions,
}

impl Default for ProxmoOptions {
    /// The paper's.
    fn default() -> Self {
        Self {
            gamma: 0.95,
            episode_weight: 1.0,
            step_weight: 1.0,
            proximity: ProximityOptions::default(),
            episodes: EpisodeOptions::default(),
        }
    }
}

/// What steps were worth, and what that was reckoned from. All of it is on the device.
#[derive(Debug, Clone)]
pub struct ProxmoAdvantages {
    /// What each step was worth: `[rows]`.
    pub advantages: Tensor<1>,
    /// What followed each step: `[rows]`.
    pub returns: Tensor<1>,
    /// What was to be expected there: `[rows]`.
    pub baselines: Tensor<1>,
    /// The effective number of steps behind each baseline: `[rows]`.
    pub neighbours: Tensor<1>,
    /// Each group's success rate, mean and deviation of total rewards: `[groups, 3]`.
    pub statistics: Tensor<2>,
}

/// ProxMO's advantages (arXiv 2602.19225) from embeddings that are on a device, without a number of
/// them leaving it:
///
/// ```text
/// A = episode_weight · w (R − mean R) + step_weight · (G − Σ_j softmax_j(cos(e, e_j) / τ) G_j)
/// ```
///
/// with an episode's total reward `R`, its modulation `w` ([`episode_advantages`]), a step's discounted
/// return `G` ([`discounted_returns`]) and the steps `j` of its group ([`proximity`]).
///
/// `embeddings` are `[rows, width]`, `rewards` `[rows]`, `success` `[episodes]`. Advantages are
/// constants: no gradient reaches the embeddings.
///
/// # Errors
/// Where shapes or devices do not fit, or an option is out of range.
pub fn proxmo_advantages(
    embeddings: Tensor<2>,
    rewards: Tensor<1>,
    success: Tensor<1>,
    layout: &Layout,
    options: &ProxmoOptions,
) -> Result<ProxmoAdvantages> {
    let returns = discounted_returns(rewards.clone(), layout, options.gamma)?;
    let column = returns.clone().unsqueeze_dim(1);
    let near = proximity(embeddings.detach(), column, layout, &options.proximity)?;
    let baselines = near.means.squeeze_dim::<1>(1);
    let EpisodeAdvantages { advantages: episode, statistics } =
        episode_advantages(rewards, success, layout, &options.episodes)?;
    let step = returns.clone() - baselines.clone();
    let advantages =
        episode.mul_scalar(options.episode_weight) + step.mul_scalar(options.step_weight);
    Ok(ProxmoAdvantages { advantages, returns, baselines, neighbours: near.neighbours, statistics })
}
