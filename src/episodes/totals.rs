//! Sums of rewards, equal if they differ by no more than rounding.
//!
//! `0.1 + 0.1 + 0.1` is not `0.3` in 64-bit floats. A decimal number is rounded when it is read, and
//! every addition rounds again: with `u = 2⁻⁵³`, a sum of `n` rewards is within
//!
//! ```text
//! (n + 1) · u · Σ |r|
//! ```
//!
//! of the sum of the decimals. Two sums whose difference is at most the sum of their bounds count as
//! equal and get the same value, that of the smallest bound. Estimators, zero-variance groups and
//! diagnostics all read these values.

use super::batch::Batch;
use super::layout::Layout;

/// The relative error of one rounding to 64 bits.
const ROUNDING: f64 = f64::EPSILON / 2.0;

/// A number with a bound on its distance from the exact one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bounded {
    /// The number.
    pub value: f64,
    /// At most this far from the exact number.
    pub bound: f64,
}

impl Bounded {
    /// A number after `roundings` roundings of numbers whose absolute values sum to `magnitude`.
    pub fn rounded(value: f64, roundings: usize, magnitude: f64) -> Self {
        Self { value, bound: roundings as f64 * ROUNDING * magnitude }
    }

    /// The sum of some rewards.
    fn sum(rewards: &[f64]) -> Self {
        let magnitude = rewards.iter().map(|reward| reward.abs()).sum();
        Self::rounded(rewards.iter().sum(), rewards.len() + 1, magnitude)
    }
}

/// Gives numbers that are equal within their bounds the same value.
pub(crate) fn merge_equal(numbers: &mut [Bounded]) {
    let first = numbers.first().map_or(0.0, |number| number.value);
    if numbers.iter().all(|number| number.value == first) {
        return;
    }
    let mut order: Vec<u32> = (0..numbers.len() as u32).collect();
    order.sort_unstable_by(|&a, &b| {
        numbers[a as usize].value.total_cmp(&numbers[b as usize].value).then(a.cmp(&b))
    });
    let mut rest = order.as_slice();
    while let Some(&least) = rest.first() {
        let least = numbers[least as usize];
        let is_equal = |&at: &u32| {
            let other = numbers[at as usize];
            other.value == least.value || other.value - least.value <= other.bound + least.bound
        };
        let end = rest.iter().position(|at| !is_equal(at)).unwrap_or(rest.len()).max(1);
        let (equal, others) = rest.split_at(end);
        if numbers[equal[end - 1] as usize].value != least.value {
            let bound = |&&at: &&u32| numbers[at as usize].bound;
            let sharpest = equal.iter().min_by(|a, b| bound(a).total_cmp(&bound(b)));
            let value = sharpest.map_or(least.value, |&at| numbers[at as usize].value);
            equal.iter().for_each(|&at| numbers[at as usize].value = value);
        }
        rest = others;
    }
}

/// The total reward of each episode; equal totals of a group have the same value: `[episodes]`.
pub(super) fn totals(layout: &Layout, rewards: &[f64]) -> Vec<f64> {
    let mut totals = Vec::with_capacity(layout.episodes());
    for episodes in layout.group_episodes() {
        let rows = episodes.map(|episode| layout.rows_of_episode(episode));
        let mut group: Vec<Bounded> = rows.map(|rows| Bounded::sum(&rewards[rows])).collect();
        merge_equal(&mut group);
        totals.extend(group.iter().map(|total| total.value));
    }
    totals
}

/// The total reward of each episode; equal totals of the whole batch have the same value:
/// `[episodes]`.
pub(crate) fn totals_of_batch(batch: &Batch) -> Vec<f64> {
    let rows = batch.layout().episode_rows();
    let mut totals: Vec<Bounded> = rows.map(|rows| Bounded::sum(&batch.rewards()[rows])).collect();
    merge_equal(&mut totals);
    totals.iter().map(|total| total.value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(rewards: &[&[f64]]) -> Vec<f64> {
        let mut numbers: Vec<Bounded> =
            rewards.iter().map(|rewards| Bounded::sum(rewards)).collect();
        merge_equal(&mut numbers);
        numbers.iter().map(|number| number.value).collect()
    }

    #[test]
    fn sums_that_differ_by_rounding_alone_are_equal() {
        assert_ne!(0.1 + 0.1 + 0.1, 0.3);
        assert_eq!(merged(&[&[0.1, 0.1, 0.1], &[0.3], &[0.2, 0.1], &[1.0]]), [0.3, 0.3, 0.3, 1.0]);
        assert_eq!(merged(&[&[0.1, 0.2, -0.3], &[0.0], &[]]), [0.0; 3]);
        assert_eq!(merged(&[&[], &[-0.7, 0.7]]), [0.0; 2]);
    }

    #[test]
    fn sums_that_differ_by_more_than_rounding_keep_their_values() {
        let near = [&[1.0][..], &[1.0 + 8.0 * f64::EPSILON], &[1e8], &[1e8 + 1e-6], &[1e8 + 3.0]];
        assert_eq!(merged(&near), near.map(|rewards| rewards[0]));
        let tiny = [&[1e-300][..], &[2e-300], &[-1e-300]];
        assert_eq!(merged(&tiny), [1e-300, 2e-300, -1e-300]);
    }
}
