//! Proximity-based soft aggregation: a step baseline from all rows of the group, weighted by the
//! proximity of their states.
//!
//! The baseline of row `i` is a kernel regression of returns on state embeddings over the rows `j`
//! of its group,
//!
//! ```text
//! b_i = Σ_j w_ij R_j / Σ_j w_ij        w_ij = exp(cos(e_i, e_j) / τ)
//! ```
//!
//! and its advantage is `R_i − b_i`, divided by the unbiased deviation of the group's returns + 1e-6
//! with `normalize = "mean-std"`. (The deviation of near rows alone would be 0 if they agree, which
//! would inflate the advantage of a row that they do not include.)
//!
//! Rows with the same observation have the same embedding, so they are merged into one node with a
//! count and a sum of returns, which is exact. With `n_k` rows in node `k`, whose returns sum to
//! `S_k`, the sums above become `Σ_k w_ik S_k` and `Σ_k w_ik n_k`. Work is per group and per pair of
//! nodes, memory per node.
//!
//! Exponents have their maximum subtracted, so no temperature causes overflow. A row is summed
//! separately from the others: leaving it out is then an omission and not a subtraction, and exact even
//! if its weight exceeds all others.

use super::clusters::Moments;
use super::config::{CreditConfig, Inclusion};
use super::group::Group;
use super::kernel_sums::{Estimate, KernelSums};
use super::nodes::Nodes;
use super::parts::StepPart;
use crate::embed::Matrix;
use crate::episodes::Batch;
use crate::parallel::par_map;

/// The rows of a batch and everything that their baselines depend on.
pub(crate) struct Proximity<'a> {
    /// The batch.
    pub batch: &'a Batch,
    /// The states that rows are merged into; an item is a row of `matrix`.
    pub nodes: &'a Nodes,
    /// The states' embeddings.
    pub matrix: &'a Matrix,
    /// The return of each row beyond the first of its group: equal returns are then exactly equal to
    /// any mean of them.
    pub returns: &'a [f64],
    /// Which rows a baseline includes, and how advantages are scaled.
    pub config: &'a CreditConfig,
}

/// A row's baselines.
#[derive(Debug, Clone, Copy, PartialEq)]
struct RowEstimate {
    row: u32,
    /// From the rows that the settings include; nothing if they include none.
    baseline: Option<Estimate>,
    /// From the same rows without the row itself.
    held_out: Option<f64>,
}

impl Proximity<'_> {
    /// The step part at a temperature.
    ///
    /// A row without rows to compare with (`self_weight` or `same_episode` is `exclude`, in a group of
    /// a single row or episode) gets 0.
    pub fn step_part(&self, temperature: f64) -> StepPart {
        let by_group = par_map(self.batch.groups(), |group| {
            let mut estimates = Vec::with_capacity(self.batch.rows_of_group(group).len());
            self.visit(group, &[temperature], |_, estimate| estimates.push(estimate));
            estimates
        });
        let rows = self.batch.rows();
        let mut part = StepPart {
            advantages: vec![0.0; rows],
            baselines: self.returns.to_vec(),
            neighbours: vec![0.0; rows],
            held_out: Vec::with_capacity(rows),
            temperature: Some(temperature),
        };
        for (group, estimates) in by_group.iter().enumerate() {
            let scale = self.scale(group);
            for estimate in estimates {
                let row = estimate.row as usize;
                let value = self.returns[row];
                if let Some(baseline) = estimate.baseline {
                    part.advantages[row] = (value - baseline.mean) / scale;
                    part.baselines[row] = baseline.mean;
                    part.neighbours[row] = baseline.neighbours;
                }
                part.held_out.extend(estimate.held_out.map(|mean| (value - mean).powi(2)));
            }
        }
        part
    }

    /// The divisor of a group's advantages.
    fn scale(&self, group: usize) -> f64 {
        let returns = &self.returns[self.batch.rows_of_group(group)];
        let moments = Moments::by_label(returns, &vec![0; returns.len()], 1);
        moments.first().map_or(1.0, |moments| moments.scale(self.config.normalize))
    }

    /// The mean squared leave-one-out error of the rows' returns at each of `temperatures`. Nothing if
    /// no row has another to be predicted from.
    pub fn prediction_errors(&self, temperatures: &[f64]) -> Option<Vec<f64>> {
        let by_group = par_map(self.batch.groups(), |group| {
            let mut errors = vec![(0.0, 0.0); temperatures.len()];
            self.visit(group, temperatures, |at, estimate| {
                if let Some(mean) = estimate.held_out {
                    let error = self.returns[estimate.row as usize] - mean;
                    errors[at].0 += error * error;
                    errors[at].1 += 1.0;
                }
            });
            errors
        });
        let mean = |at: usize| {
            let sum = |sums: (f64, f64), group: &Vec<(f64, f64)>| {
                (sums.0 + group[at].0, sums.1 + group[at].1)
            };
            let (error, predicted) = by_group.iter().fold((0.0, 0.0), sum);
            (predicted > 0.0).then(|| error / predicted)
        };
        (0..temperatures.len()).map(mean).collect()
    }

    /// Estimates every row of a group at every temperature.
    fn visit(&self, group: usize, temperatures: &[f64], mut visit: impl FnMut(usize, RowEstimate)) {
        let mut group = Group::of(self.batch, self.nodes, self.returns, group);
        let among = self.matrix.among(group.items);
        let (mut cosines, mut weights) = (Vec::new(), Vec::new());
        for node in 0..group.nodes() {
            among.cosines(node, &mut cosines);
            for (at, &temperature) in temperatures.iter().enumerate() {
                let visit = |estimate| visit(at, estimate);
                let query = Query { node, cosines: &cosines, temperature, weights: &mut weights };
                match self.config.same_episode {
                    Inclusion::Include => {
                        let exclude_itself = self.config.self_weight == Inclusion::Exclude;
                        from_all_rows(&group, query, exclude_itself, visit);
                    }
                    Inclusion::Exclude => {
                        from_other_episodes(&mut group, query, visit);
                    }
                }
            }
        }
    }
}

/// The node whose rows are estimated, and the temperature.
struct Query<'a> {
    node: usize,
    /// The cosine of each node to this one.
    cosines: &'a [f64],
    temperature: f64,
    /// A buffer to reuse.
    weights: &'a mut Vec<f64>,
}

/// Estimates the rows of a node from all rows of the group, or from all but the row itself.
fn from_all_rows(
    group: &Group,
    query: Query,
    exclude_itself: bool,
    mut visit: impl FnMut(RowEstimate),
) {
    let Query { node, cosines, temperature, weights } = query;
    let others = KernelSums::over(&group.included, cosines, Some(node), temperature, weights);
    let with = |own| others.with(own, cosines[node], temperature).estimate();
    let own = group.all.get(node);
    let all = with(own);
    for &row in group.rows_of(node) {
        let rest = with(own.without(group.returns[row as usize]));
        visit(RowEstimate {
            row: group.first_row + row,
            baseline: if exclude_itself { rest } else { all },
            held_out: rest.map(|estimate| estimate.mean),
        });
    }
}

/// Estimates the rows of a node from the rows of the other episodes.
fn from_other_episodes(group: &mut Group, query: Query, mut visit: impl FnMut(RowEstimate)) {
    let Query { node, cosines, temperature, weights } = query;
    let with_episode = |&row: &u32| (row, group.episode_of[row as usize]);
    let rows: Vec<(u32, u32)> = group.rows_of(node).iter().map(with_episode).collect();
    for rows in rows.chunk_by(|a, b| a.1 == b.1) {
        let episode = rows[0].1;
        group.exclude(episode);
        let sums = KernelSums::over(&group.included, cosines, None, temperature, weights);
        group.include(episode);
        let baseline = sums.estimate();
        for &(row, _) in rows {
            let held_out = baseline.map(|estimate| estimate.mean);
            visit(RowEstimate { row: group.first_row + row, baseline, held_out });
        }
    }
}
