//! Returns and the episode part of advantages, in 64-bit sums.

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;

use super::{numbers, tensor};
use crate::episodes::Layout;
use crate::kernels::advantages::{EPSILON, EpisodeOptions, Episodes, Modulation};

/// The operation, or nothing where the numbers are not 32 bits wide.
pub(in crate::kernels) fn discounted_returns<B: Backend>(
    rewards: &FloatTensor<B>,
    layout: &Layout,
    gamma: f32,
) -> Option<FloatTensor<B>> {
    let mut returns: Vec<f32> = numbers::<B>(rewards)?.try_into_vec().ok()?;
    for episode in layout.episode_rows() {
        let (mut following, mut poisoned) = (0.0, false);
        for value in returns[episode].iter_mut().rev() {
            poisoned |= !value.is_finite();
            following = f64::from(*value) + f64::from(gamma) * following;
            *value = if poisoned { f32::NAN } else { following as f32 };
        }
    }
    Some(tensor::<B, 1>(returns, [layout.rows()], rewards))
}

/// One episode, as its group sees it.
struct Outcome {
    rows: usize,
    reward: f64,
    won: bool,
    weight: f64,
}

/// The operation, or nothing where the numbers are not 32 bits wide.
pub(in crate::kernels) fn episode_advantages<B: Backend>(
    rewards: &FloatTensor<B>,
    success: &FloatTensor<B>,
    asked: &Episodes,
) -> Option<(FloatTensor<B>, FloatTensor<B>)> {
    let (layout, options) = (&asked.layout, &asked.options);
    let (given, flags) = (numbers::<B>(rewards)?, numbers::<B>(success)?);
    let (given, flags) = (given.as_slice::<f32>().ok()?, flags.as_slice::<f32>().ok()?);
    let mut advantages = Vec::with_capacity(layout.rows());
    let mut statistics = Vec::with_capacity(3 * layout.groups());
    for episodes in layout.group_episodes() {
        let sound = |values: &[f32]| values.iter().all(|value| value.is_finite());
        let rows = layout.rows_of(episodes.clone());
        if !sound(&given[rows.clone()]) || !sound(&flags[episodes.clone()]) {
            advantages.extend(rows.map(|_| f32::NAN));
            statistics.extend([f32::NAN; 3]);
            continue;
        }
        let outcomes: Vec<Outcome> = episodes
            .map(|episode| {
                let rows = &given[layout.rows_of(episode..episode + 1)];
                let weight = if options.by_step { rows.len() as f64 } else { 1.0 };
                let reward = rows.iter().map(|&reward| f64::from(reward)).sum();
                Outcome { rows: rows.len(), reward, won: flags[episode] > 0.5, weight }
            })
            .collect();
        statistics.extend(group(&outcomes, options, &mut advantages));
    }
    Some((
        tensor::<B, 1>(advantages, [layout.rows()], rewards),
        tensor::<B, 2>(statistics, [layout.groups(), 3], rewards),
    ))
}

/// Adds the advantage of each of a group's rows, and hands back rate, mean and deviation.
fn group(outcomes: &[Outcome], options: &EpisodeOptions, advantages: &mut Vec<f32>) -> [f32; 3] {
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
    let [won, lost] = options.prior.map(f64::from);
    let all = outcomes.len() as f64 + won + lost;
    let rate = if won + lost > 0.0 { (outcomes.len() as f64 * rate + won) / all } else { rate };

    for one in outcomes {
        let scale = if options.scaled { deviation + f64::from(EPSILON) } else { 1.0 };
        let single = options.by_step && total == 1.0;
        let advantage = if single { one.reward } else { centred(one) / scale };
        let weight = options.modulation.map_or(1.0, |curve| weight(curve, rate, one.won));
        advantages.extend(std::iter::repeat_n((advantage * weight) as f32, one.rows));
    }
    [rate as f32, mean as f32, deviation as f32]
}

fn weight(modulation: Modulation, rate: f64, won: bool) -> f64 {
    let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
    let steepness = f64::from(modulation.steepness);
    let signal = if won { (1.0 - rate).powf(steepness) } else { -rate.powf(steepness) };
    1.0 + f64::from(modulation.factor()) * (logistic(signal) - 0.5)
}
