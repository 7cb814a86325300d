//! The episode part of advantages, with every sum written as a product of matrices.

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;

use super::array::Array;
use crate::credit::Curve;
use crate::episodes::Layout;
use crate::kernels::parameters::{EPSILON, EpisodeComparison, modulation_factor};

/// Membership of rows in episodes and of episodes in groups, and how often an episode counts.
struct Membership<B: Backend> {
    /// `[episodes, rows]`
    rows: Array<B>,
    /// `[groups, episodes]`
    episodes: Array<B>,
    /// The first episode of each group alone: `[groups, episodes]`.
    first: Array<B>,
    /// `episodes`, times how often an episode counts.
    weighted: Array<B>,
    /// The sum of a group's weights: `[groups, 1]`.
    total: Array<B>,
}

impl<B: Backend> Membership<B> {
    fn of(layout: &Layout, by_step: bool, like: &Array<B>) -> Self {
        let (groups, episodes, rows) = (layout.groups(), layout.episodes(), layout.rows());
        let mut of_rows = vec![0.0; episodes * rows];
        let mut weights = vec![1.0; episodes];
        for (episode, range) in layout.episode_rows().enumerate() {
            if by_step {
                weights[episode] = range.len() as f32;
            }
            of_rows[episode * rows..][range].fill(1.0);
        }
        let mut of_episodes = vec![0.0; groups * episodes];
        for (group, range) in layout.group_episodes().enumerate() {
            of_episodes[group * episodes..][range].fill(1.0);
        }
        let mut first = vec![0.0; groups * episodes];
        for (group, range) in layout.group_episodes().enumerate() {
            first[group * episodes..][range].iter_mut().take(1).for_each(|one| *one = 1.0);
        }
        let of_episodes = like.constant(of_episodes, [groups, episodes]);
        let weights = like.constant(weights, [1, episodes]);
        let weighted = of_episodes.clone() * weights;
        let total = weighted.clone().sum();
        Self {
            rows: like.constant(of_rows, [episodes, rows]),
            episodes: of_episodes,
            first: like.constant(first, [groups, episodes]),
            weighted,
            total,
        }
    }

    /// A group's mean of a number of each episode; 0 without any weight.
    fn mean(&self, of_episodes: Array<B>) -> Array<B> {
        let none = self.total.below(0.5);
        self.weighted.clone().matmul(of_episodes) / self.total.clone().fill(none, 1.0)
    }

    /// A group's number, for each of its episodes.
    fn spread(&self, of_groups: Array<B>) -> Array<B> {
        self.episodes.clone().transpose().matmul(of_groups)
    }
}

pub(in crate::kernels) fn episode_advantages<B: Backend>(
    rewards: FloatTensor<B>,
    success: FloatTensor<B>,
    comparison: &EpisodeComparison,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let layout = &comparison.layout;
    let rewards = Array::<B>(Array::<B>::reshape(rewards, [layout.rows(), 1]));
    let success = Array::<B>(Array::<B>::reshape(success, [layout.episodes(), 1]));
    let members = Membership::of(layout, comparison.by_step(), &rewards);

    let bad = members.rows.clone().matmul(rewards.flags(rewards.non_finite()));
    let bad = bad + success.flags(success.non_finite());
    let bad = members.episodes.clone().matmul(bad);
    let rewards = rewards.clone().fill(rewards.non_finite(), 0.0);
    let success = success.flags(success.above(0.5));

    let rewards = members.rows.clone().matmul(rewards);
    // Measured from the first of its group's, equal rewards are exactly equal to their mean.
    let first = members.first.clone().matmul(rewards.clone());
    let beyond = rewards.clone() - members.spread(first.clone());
    let above = members.mean(beyond.clone());
    let centred = beyond - members.spread(above.clone());
    let mean = first + above;
    let deviation = deviation(&members, &centred);
    let rate = rate(&members, &success, comparison.pseudo_episodes());

    let scale = members.spread(deviation.clone()) + EPSILON;
    let advantages = if comparison.scaled() { centred / scale } else { centred };
    let advantages = if comparison.by_step() {
        let single = members.total.flags(members.total.below(1.5));
        let single = members.spread(single);
        advantages * (single.clone() * -1.0 + 1.0) + rewards * single
    } else {
        advantages
    };
    let advantages = match comparison.modulation {
        Some(curve) => {
            let rate = members.spread(rate.clone());
            advantages * weight(curve, rate, success)
        }
        None => advantages,
    };
    let statistics = rate.beside(mean).beside(deviation);
    let non_finite = members.spread(bad.clone()).above(0.0);
    let advantages = advantages.fill(non_finite, f32::NAN);
    // Copied, not multiplied: 0 · NaN would reach other groups.
    let of_rows = layout.episode_rows().enumerate().filter(|(_, rows)| !rows.is_empty());
    let of_rows = of_rows.map(|(episode, rows)| {
        let one = advantages.rows(episode..episode + 1);
        one.constant(vec![0.0; rows.len()], [rows.len(), 1]) + one
    });
    let of_rows = Array::<B>::reshape(Array::stack(of_rows.collect()), [layout.rows()]);
    let non_finite = statistics.stretched(bad.above(0.0));
    (of_rows, statistics.fill(non_finite, f32::NAN).0)
}

/// The unbiased deviation of each group, 0 for a weight of up to 1. The largest distance is divided
/// out first, so that no square overflows.
fn deviation<B: Backend>(members: &Membership<B>, centred: &Array<B>) -> Array<B> {
    let distances = centred.clone().abs().transpose() * members.episodes.clone();
    let largest = distances.max();
    let none = largest.below(f32::MIN_POSITIVE);
    let scaled = centred.clone() / members.spread(largest.clone().fill(none, 1.0));
    let spread = members.weighted.clone().matmul(scaled.clone() * scaled);
    let few = members.total.below(1.5);
    (spread / (members.total.clone() - 1.0).fill(few.clone(), 1.0)).sqrt().fill(few, 0.0) * largest
}

/// `(n · p + a) / (n + a + b)` with `n` episodes and the prior `[a, b]`.
fn rate<B: Backend>(members: &Membership<B>, success: &Array<B>, prior: [f64; 2]) -> Array<B> {
    let prior = prior.map(|count| count as f32);
    let raw = members.mean(success.clone());
    let strength = prior[0] + prior[1];
    if strength == 0.0 {
        return raw;
    }
    let episodes = members.episodes.clone().sum();
    (raw * episodes.clone() + prior[0]) / (episodes + strength)
}

fn weight<B: Backend>(curve: Curve, rate: Array<B>, success: Array<B>) -> Array<B> {
    let steepness = curve.steepness as f32;
    let signal = |x: Array<B>| {
        let below = (x * -1.0).exp() + 1.0;
        below.flags(below.above(0.0)) / below - 0.5
    };
    let won = signal((rate.clone() * -1.0 + 1.0).power(steepness));
    let lost = signal(rate.power(steepness) * -1.0);
    (won * success.clone() + lost * (success * -1.0 + 1.0)) * modulation_factor(curve) + 1.0
}
