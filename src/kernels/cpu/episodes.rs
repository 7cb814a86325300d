//! Returns and the episode part of advantages, in 64-bit sums.

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;

use super::tensors::{numbers, tensor};
use crate::episodes::Layout;
use crate::kernels::parameters::{EPSILON, EpisodeComparison};

/// The operation; `None` if the numbers are not 32 bits wide.
pub(in crate::kernels) fn discounted_returns<B: Backend>(
    rewards: &FloatTensor<B>,
    layout: &Layout,
    gamma: f32,
) -> Option<FloatTensor<B>> {
    let mut returns: Vec<f32> = numbers::<B>(rewards)?.try_into_vec().ok()?;
    for episode in layout.episode_rows() {
        let (mut following, mut non_finite) = (0.0, false);
        for value in returns[episode].iter_mut().rev() {
            non_finite |= !value.is_finite();
            following = f64::from(*value) + f64::from(gamma) * following;
            *value = if non_finite { f32::NAN } else { following as f32 };
        }
    }
    Some(tensor::<B, 1>(returns, [layout.rows()], rewards))
}

/// One episode in the statistics of its group.
struct Outcome {
    rows: usize,
    reward: f64,
    won: bool,
    weight: f64,
}

/// The operation; `None` if the numbers are not 32 bits wide.
pub(in crate::kernels) fn episode_advantages<B: Backend>(
    rewards: &FloatTensor<B>,
    success: &FloatTensor<B>,
    comparison: &EpisodeComparison,
) -> Option<(FloatTensor<B>, FloatTensor<B>)> {
    let layout = &comparison.layout;
    let (given, flags) = (numbers::<B>(rewards)?, numbers::<B>(success)?);
    let (given, flags) = (given.as_slice::<f32>().ok()?, flags.as_slice::<f32>().ok()?);
    let mut advantages = Vec::with_capacity(layout.rows());
    let mut statistics = Vec::with_capacity(3 * layout.groups());
    for episodes in layout.group_episodes() {
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        let rows = layout.rows_of(episodes.clone());
        if !finite(&given[rows.clone()]) || !finite(&flags[episodes.clone()]) {
            advantages.extend(rows.map(|_| f32::NAN));
            statistics.extend([f32::NAN; 3]);
            continue;
        }
        let outcomes: Vec<Outcome> = episodes
            .map(|episode| {
                let rows = &given[layout.rows_of(episode..episode + 1)];
                let weight = if comparison.by_step() { rows.len() as f64 } else { 1.0 };
                let reward = rows.iter().map(|&reward| f64::from(reward)).sum();
                Outcome { rows: rows.len(), reward, won: flags[episode] > 0.5, weight }
            })
            .collect();
        statistics.extend(group(&outcomes, comparison, &mut advantages));
    }
    Some((
        tensor::<B, 1>(advantages, [layout.rows()], rewards),
        tensor::<B, 2>(statistics, [layout.groups(), 3], rewards),
    ))
}

/// Appends the advantage of each of a group's rows, and returns rate, mean and deviation.
fn group(
    outcomes: &[Outcome],
    comparison: &EpisodeComparison,
    advantages: &mut Vec<f32>,
) -> [f32; 3] {
    let sum = |of: &dyn Fn(&Outcome) -> f64| outcomes.iter().map(of).sum::<f64>();
    let total = sum(&|one| one.weight);
    let per = if total > 0.0 { 1.0 / total } else { 0.0 };
    // Measured from the first, equal rewards are exactly equal to their mean.
    let first = outcomes.first().map_or(0.0, |one| one.reward);
    let above = sum(&|one| one.weight * (one.reward - first)) * per;
    let centred = |one: &Outcome| (one.reward - first) - above;
    let mean = first + above;
    let spread = sum(&|one| one.weight * centred(one).powi(2));
    let deviation = if total > 1.0 { (spread / (total - 1.0)).sqrt() } else { 0.0 };
    let rate = sum(&|one| if one.won { one.weight } else { 0.0 }) * per;
    let [won, lost] = comparison.pseudo_episodes();
    let all = outcomes.len() as f64 + won + lost;
    let rate = if won + lost > 0.0 { (outcomes.len() as f64 * rate + won) / all } else { rate };

    for one in outcomes {
        let scale = if comparison.scaled() { deviation + f64::from(EPSILON) } else { 1.0 };
        let single = comparison.by_step() && total == 1.0;
        let advantage = if single { one.reward } else { centred(one) / scale };
        let weight = comparison.modulation.map_or(1.0, |curve| curve.weight(rate, one.won));
        advantages.extend(std::iter::repeat_n((advantage * weight) as f32, one.rows));
    }
    [rate as f32, mean as f32, deviation as f32]
}
