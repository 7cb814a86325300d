//! The episode part of advantages on tensors: centred, scaled and modulated.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use super::backend::KernelBackend;
use super::shapes;
use crate::episodes::Layout;
use crate::error::{Error, Result};

/// Added to a deviation before it divides.
pub(super) const EPSILON: f32 = 1e-6;

/// How the episodes of a group are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpisodeOptions {
    /// Whether a step counts once in means and success rates, and not an episode: an episode of `T`
    /// steps then counts `T` times.
    pub by_step: bool,
    /// Whether centred rewards are also divided by the group's deviation + 1e-6.
    pub scaled: bool,
    /// How much success rates change the weight of an episode; nothing leaves it as it is.
    pub modulation: Option<Modulation>,
    /// What is believed of a success rate beforehand, as pseudo-episodes that succeeded and failed.
    pub prior: [f32; 2],
}

impl Default for EpisodeOptions {
    /// ProxMO's.
    fn default() -> Self {
        let modulation = Some(Modulation { steepness: 4.0, range: 0.05 });
        Self { by_step: false, scaled: false, modulation, prior: [0.0, 0.0] }
    }
}

/// The shape of the modulation: with `p` a group's success rate, `α` the steepness and `σ` the
/// logistic function, an episode's advantage is multiplied by `1 + range · f / (σ(1) − ½)`, where `f`
/// is `σ((1 − p)^α) − ½` for a success and `σ(−p^α) − ½` for a failure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Modulation {
    /// `α`, above 0.
    pub steepness: f32,
    /// The largest change of the weight, from 0 to 1.
    pub range: f32,
}

impl Modulation {
    /// The factor of `f`.
    pub(super) fn factor(self) -> f32 {
        let most = 1.0 / (1.0 + (-1f64).exp()) - 0.5;
        (f64::from(self.range) / most) as f32
    }
}

/// What the kernels are told about a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Episodes {
    pub(super) layout: Layout,
    pub(super) options: EpisodeOptions,
}

/// The episode part of advantages.
#[derive(Debug, Clone)]
pub struct EpisodeAdvantages {
    /// Each row's: that of its episode. `[rows]`
    pub advantages: Tensor<1>,
    /// Each group's success rate (after the prior), mean and unbiased standard deviation of total
    /// rewards: `[groups, 3]`.
    pub statistics: Tensor<2>,
}

/// Compares each episode's total reward `R` with its group's, and weighs it by how rare its outcome
/// is: `w · (R − mean) / (deviation + ε)`, the division where `scaled`.
///
/// `rewards` are `[rows]`; `success` is 1 for each episode that reached its goal and 0 for the
/// others, `[episodes]` (above ½ is a success). Both are constants to autodiff. An episode alone in
/// its group gets exactly 0, and so do all where totals are equal, scaled or not; except for the
/// published codes' special case: by step, a group of a single row keeps its reward, unscaled.
///
/// A group with a reward or a success that is NaN or infinite is NaN throughout; other groups never
/// notice. Rewards up to 1e30 are safe from overflow. Denormal rewards, and results that would be
/// denormal, may count as 0.
///
/// # Errors
/// Where shapes or devices do not fit, or an option is out of range.
pub fn episode_advantages(
    rewards: Tensor<1>,
    success: Tensor<1>,
    layout: &Layout,
    options: &EpisodeOptions,
) -> Result<EpisodeAdvantages> {
    check(options)?;
    shapes::vector("rewards", &rewards, layout.rows(), "row")?;
    shapes::vector("success", &success, layout.episodes(), "episode")?;
    shapes::same_device("success", &success, &rewards)?;
    if layout.rows() == 0 {
        let device = rewards.device();
        let statistics = Tensor::zeros([layout.groups(), 3], &device);
        return Ok(EpisodeAdvantages { advantages: Tensor::zeros([0], &device), statistics });
    }
    let episodes = Episodes { layout: layout.clone(), options: *options };
    let (advantages, statistics) =
        Dispatch::episode_advantages(rewards.into_dispatch(), success.into_dispatch(), episodes);
    Ok(EpisodeAdvantages {
        advantages: Tensor::from_dispatch(advantages),
        statistics: Tensor::from_dispatch(statistics),
    })
}

fn check(options: &EpisodeOptions) -> Result<()> {
    let sound = |value: f32| (0.0..=f32::MAX).contains(&value);
    if let Some(Modulation { steepness, range }) = options.modulation {
        if !(sound(steepness) && steepness > 0.0) {
            let message = format!("is {steepness}, expected a number above 0");
            return Err(Error::setting("modulation.steepness", message));
        }
        if !(0.0..=1.0).contains(&range) {
            let message = format!("is {range}, expected from 0 to 1");
            return Err(Error::setting("modulation.range", message));
        }
    }
    if !options.prior.into_iter().all(sound) {
        let message = format!("is {:?}, expected numbers of at least 0", options.prior);
        return Err(Error::setting("prior", message));
    }
    Ok(())
}
