//! HGPO (arXiv 2602.22817): steps are compared in nested clusters of increasing shared history.
//!
//! For `k = 1 … K + 1` a row belongs to the cluster of the group's rows whose last `k`
//! observations, the current one included, are the same in the same order. In every cluster of two
//! or more
//!
//! ```text
//! A_k = (G − mean_k(G)) / (std_k(G) + ε)        std without Bessel's correction
//! A   = Σ_k v_k A_k / (Σ_k v_k + ε)             v_k = (k + 1)^α, over the k with A_k ≠ 0
//! ```
//!
//! with `G` the discounted return, `K` the setting `history` and `α` the setting `length_weight`.
//! With `base_group` the episode advantage is added as `k = 0`; otherwise there is no episode part.
//! The sum is reported and weighted as the step part in both cases.

use std::collections::HashMap;

use super::clusters::{EPSILON, Moments};
use super::config::Normalize;
use super::nodes::Nodes;
use super::parts::{Parts, StepPart, Task};
use super::{episode, returns};
use crate::episodes::Batch;
use crate::error::Result;

/// The label of a row whose episode has no history of that length yet.
const NONE: u32 = u32::MAX;

pub(super) fn assign(task: &mut Task) -> Result<Parts> {
    let Task { batch, config, .. } = *task;
    let returns = returns::discounted(batch, config.gamma);
    let mut mean = WeightedMean::new(batch.rows(), config.length_weight);

    let mut modulation = Vec::new();
    if config.base_group {
        let mut episode = episode::group_relative(batch, config);
        modulation = episode::modulate(batch, config, &mut episode);
        for (episode, &advantage) in episode.iter().enumerate() {
            batch.rows_of_episode(episode).for_each(|row| mean.add(row, 0, advantage, advantage));
        }
    }

    let mut histories = Histories::of(batch);
    for length in 1..=config.history + 1 {
        if length > 1 {
            histories.lengthen(batch);
        }
        if histories.labels == 0 {
            break;
        }
        let clusters = histories.moments(&returns);
        for (row, &label) in histories.label_of.iter().enumerate() {
            if label != NONE && clusters[label as usize].count > 1.0 {
                let cluster = &clusters[label as usize];
                let distance = cluster.distance(returns[row]);
                let scale = match config.normalize {
                    Normalize::MeanStd => (cluster.spread / cluster.count).sqrt() + EPSILON,
                    Normalize::Mean | Normalize::Auto => 1.0,
                };
                mean.add(row, length, distance / scale, distance);
            }
        }
    }

    let baselines = returns.iter().zip(mean.distances()).map(|(&value, distance)| value - distance);
    let step = StepPart {
        baselines: baselines.collect(),
        advantages: mean.advantages(),
        ..StepPart::default()
    };
    Ok(Parts { returns, episode: vec![0.0; batch.episodes()], step, modulation })
}

/// Labels of rows that share their last observations, at one length of history.
struct Histories {
    nodes: Nodes,
    label_of: Vec<u32>,
    labels: usize,
}

impl Histories {
    /// Histories of the current observation alone.
    fn of(batch: &Batch) -> Self {
        let nodes = Nodes::of_observations(batch);
        Self { label_of: nodes.of_row.clone(), labels: nodes.len(), nodes }
    }

    /// Extends histories by one observation: a history is that of the previous row and the current
    /// observation.
    fn lengthen(&mut self, batch: &Batch) {
        let mut numbers = HashMap::new();
        let mut longer = vec![NONE; self.label_of.len()];
        for episode in 0..batch.episodes() {
            for row in batch.rows_of_episode(episode).skip(1) {
                let previous = self.label_of[row - 1];
                if previous != NONE {
                    let next = numbers.len() as u32;
                    longer[row] =
                        *numbers.entry((previous, self.nodes.of_row[row])).or_insert(next);
                }
            }
        }
        self.label_of = longer;
        self.labels = numbers.len();
    }

    fn moments(&self, returns: &[f64]) -> Vec<Moments> {
        let (values, labels): (Vec<f64>, Vec<u32>) = returns
            .iter()
            .zip(&self.label_of)
            .filter(|&(_, &label)| label != NONE)
            .map(|(&value, &label)| (value, label))
            .unzip();
        Moments::by_label(&values, &labels, self.labels)
    }
}

/// Running sums of `v_k A_k`, of the same without division by the deviation, and of `v_k`.
struct WeightedMean {
    length_weight: f64,
    sums: Vec<[f64; 3]>,
}

impl WeightedMean {
    fn new(rows: usize, length_weight: f64) -> Self {
        Self { length_weight, sums: vec![[0.0; 3]; rows] }
    }

    fn add(&mut self, row: usize, length: usize, advantage: f64, distance: f64) {
        if advantage != 0.0 {
            let weight = (length as f64 + 1.0).powf(self.length_weight);
            self.sums[row][0] += weight * advantage;
            self.sums[row][1] += weight * distance;
            self.sums[row][2] += weight;
        }
    }

    fn advantages(&self) -> Vec<f64> {
        self.sums.iter().map(|[advantage, _, weight]| advantage / (weight + EPSILON)).collect()
    }

    fn distances(&self) -> impl Iterator<Item = f64> {
        self.sums.iter().map(|[_, distance, weight]| distance / (weight + EPSILON))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::episodes::Episode;

    #[test]
    fn longer_histories_split_clusters() {
        let episode = |first| Episode::new().step(first, 0.0).step("b", 0.0).step("b", 0.0);
        let batch = Batch::builder().group([episode("a"), episode("c")]).build().unwrap();
        let mut histories = Histories::of(&batch);
        assert_eq!(histories.label_of, [0, 1, 1, 2, 1, 1]);
        histories.lengthen(&batch);
        assert_eq!(histories.label_of, [NONE, 0, 1, NONE, 2, 1]);
        histories.lengthen(&batch);
        assert_eq!(histories.label_of, [NONE, NONE, 0, NONE, NONE, 1]);
        assert_eq!(histories.moments(&[0.0; 6]).len(), 2);
    }
}
