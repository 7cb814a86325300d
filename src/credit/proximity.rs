//! Proximity-based soft aggregation: a step baseline without borders between states.
//!
//! The baseline of row `i` is a kernel regression of returns on state embeddings over the rows `j`
//! of its group,
//!
//! ```text
//! b_i = Σ_j w_ij R_j / Σ_j w_ij        w_ij = exp(cos(e_i, e_j) / τ)
//! ```
//!
//! and its advantage is `R_i − b_i`, with `normalize = "mean-std"` over the unbiased deviation of
//! the group's returns + 1e-6. (A deviation of near rows alone would be none at all where they
//! agree, and would blow up the advantage of a row that they leave out.)
//!
//! Rows with the same observation have the same embedding, so they are merged into one node with a
//! count and a sum of returns; that is exact. With `n_k` rows in node `k`, whose returns sum to
//! `S_k`, the sums above become `Σ_k w_ik S_k` and `Σ_k w_ik n_k`. Work is per group and per pair of
//! nodes, memory per node.
//!
//! Exponents have their maximum subtracted, so no temperature overflows. A row is kept apart from
//! the others while summing: leaving it out is then an omission and not a subtraction, exact even
//! where it outweighs all others.

use super::batch::CreditBatch;
use super::clusters::Moments;
use super::config::{CreditConfig, Inclusion};
use super::group::Group;
use super::kernel::{Estimate, Sums};
use super::nodes::Nodes;
use super::part::StepPart;
use crate::embed::Matrix;
use crate::parallel::par_map;

/// The rows of a batch with all that their baselines are made of.
pub struct Proximity<'a> {
    /// The rows.
    pub batch: &'a CreditBatch<'a>,
    /// The states that rows are merged into; an item is a row of `matrix`.
    pub nodes: &'a Nodes,
    /// The states' embeddings.
    pub matrix: &'a Matrix,
    /// The return of each row.
    pub returns: &'a [f32],
    /// Who is part of whose baseline, and how advantages are scaled.
    pub config: &'a CreditConfig,
}

/// What a row's surroundings say about it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct RowEstimate {
    row: u32,
    /// From the rows that the settings let in; nothing where they let none in.
    baseline: Option<Estimate>,
    /// From the same rows without the row itself.
    held_out: Option<f64>,
}

impl Proximity<'_> {
    /// The step part at a temperature.
    ///
    /// A row whose surroundings are empty (with `self_weight` or `same_episode` set to exclude, in
    /// a group of a single row or episode) has nothing to be compared with and gets 0.
    pub fn step_part(&self, temperature: f64) -> StepPart {
        let by_group = par_map(self.batch.groups(), |group| {
            let mut estimates = Vec::with_capacity(self.batch.group_rows(group).len());
            self.visit(group, &[temperature], |_, estimate| estimates.push(estimate));
            estimates
        });
        let rows = self.batch.rows();
        let mut part = StepPart {
            advantages: vec![0.0; rows],
            baselines: self.returns.iter().map(|&value| f64::from(value)).collect(),
            neighbours: vec![0.0; rows],
            held_out: Vec::with_capacity(rows),
            temperature: Some(temperature),
        };
        for (group, estimates) in by_group.iter().enumerate() {
            let scale = self.scale(group);
            for estimate in estimates {
                let row = estimate.row as usize;
                let value = f64::from(self.returns[row]);
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

    /// What the advantages of a group are divided by.
    fn scale(&self, group: usize) -> f64 {
        let returns = &self.returns[self.batch.group_rows(group)];
        let values: Vec<f64> = returns.iter().map(|&value| value.into()).collect();
        let moments = Moments::by_label(&values, &vec![0; values.len()], 1);
        moments.first().map_or(1.0, |moments| moments.scale(self.config.normalize))
    }

    /// The mean squared error of predicting each row's return from the rows around it, itself left
    /// out, for each of `temperatures`. Nothing where no row has another to be predicted from.
    pub fn prediction_errors(&self, temperatures: &[f64]) -> Option<Vec<f64>> {
        let by_group = par_map(self.batch.groups(), |group| {
            let mut errors = vec![(0.0, 0.0); temperatures.len()];
            self.visit(group, temperatures, |at, estimate| {
                if let Some(mean) = estimate.held_out {
                    let error = f64::from(self.returns[estimate.row as usize]) - mean;
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
                let around = Around { node, cosines: &cosines, temperature, weights: &mut weights };
                match self.config.same_episode {
                    Inclusion::Include => {
                        let alone = self.config.self_weight == Inclusion::Exclude;
                        among_all(&group, around, alone, visit);
                    }
                    Inclusion::Exclude => {
                        among_other_episodes(&mut group, around, visit);
                    }
                }
            }
        }
    }
}

/// Where a node's rows are to be estimated, and at what temperature.
struct Around<'a> {
    node: usize,
    /// Of all nodes to this one.
    cosines: &'a [f64],
    temperature: f64,
    /// Memory to reuse.
    weights: &'a mut Vec<f64>,
}

/// Estimates the rows of a node from all rows of the group, or from all but the row itself.
fn among_all(
    group: &Group,
    around: Around,
    without_itself: bool,
    mut visit: impl FnMut(RowEstimate),
) {
    let Around { node, cosines, temperature, weights } = around;
    let others = Sums::around(&group.tallies, cosines, Some(node), temperature, weights);
    let with = |own| others.and(own, cosines[node], temperature).estimate();
    let own = group.full.get(node);
    let all = with(own);
    for &row in group.rows_of(node) {
        let rest = with(own.without(group.returns[row as usize]));
        visit(RowEstimate {
            row: group.first_row + row,
            baseline: if without_itself { rest } else { all },
            held_out: rest.map(|estimate| estimate.mean),
        });
    }
}

/// Estimates the rows of a node from the rows of other episodes than each one's own.
fn among_other_episodes(group: &mut Group, around: Around, mut visit: impl FnMut(RowEstimate)) {
    let Around { node, cosines, temperature, weights } = around;
    let with_episode = |&row: &u32| (row, group.episode_of[row as usize]);
    let rows: Vec<(u32, u32)> = group.rows_of(node).iter().map(with_episode).collect();
    for rows in rows.chunk_by(|a, b| a.1 == b.1) {
        let episode = rows[0].1;
        group.take_out(episode);
        let sums = Sums::around(&group.tallies, cosines, None, temperature, weights);
        group.put_back(episode);
        let baseline = sums.estimate();
        for &(row, _) in rows {
            let held_out = baseline.map(|estimate| estimate.mean);
            visit(RowEstimate { row: group.first_row + row, baseline, held_out });
        }
    }
}
