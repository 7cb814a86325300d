//! Discounted returns, one episode at a time.

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;

use super::array::Array;
use crate::episodes::Layout;

pub(in crate::kernels) fn discounted_returns<B: Backend>(
    rewards: FloatTensor<B>,
    layout: &Layout,
    gamma: f32,
) -> FloatTensor<B> {
    let rows = layout.rows();
    let rewards = Array::<B>(Array::<B>::reshape(rewards, [rows, 1]));
    let mut returns = Vec::new();
    for episode in layout.episode_rows().filter(|rows| !rows.is_empty()) {
        let steps = episode.len();
        let rewards = rewards.rows(episode);
        // What a reward counts for a step: γ^(how much later it is), nothing if it is earlier.
        let discount = |power: f32| {
            let pairs = (0..steps).flat_map(|now| {
                (0..steps).map(move |then| match then.checked_sub(now) {
                    Some(later) => power.powi(later as i32),
                    None => 0.0,
                })
            });
            rewards.constant(pairs.collect(), [steps, steps])
        };
        let bad = discount(1.0).matmul(rewards.flags(rewards.non_finite())).above(0.0);
        let sound = rewards.clone().fill(rewards.non_finite(), 0.0);
        returns.push(discount(gamma).matmul(sound).fill(bad, f32::NAN));
    }
    Array::<B>::reshape(Array::stack(returns), [rows])
}
