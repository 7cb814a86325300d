//! GraphGPO (arXiv 2605.26684): a step is worth how near it leads to the goal in the group's graph.
//!
//! The observations of a group are nodes, and every row is an edge to the observation after it; a
//! success's last row leads to the goal, a node apart. With `d` the least number of edges from a
//! node to the goal (for nodes that cannot reach it the largest such number + 1) and `V` the success
//! value, a row from `s` to `s'` has the return
//!
//! ```text
//! G = V · γ^d(s')                 distance = "absolute"
//! G = V · γ^(d(s') − d(s) + 1)    distance = "delta"
//! ```
//!
//! and is compared with the rows of the same observation, as in [`gigpo`](super::gigpo).

use std::collections::{HashMap, VecDeque};

use super::assign::{Parts, Task};
use super::batch::CreditBatch;
use super::config::{CreditConfig, Distance};
use super::nodes::Nodes;
use super::part::narrowed;
use super::{clusters, episode};
use crate::error::{Error, Result};

/// The goal is the first node of every graph.
const GOAL: u32 = 0;

pub(super) fn assign(task: &mut Task) -> Result<Parts> {
    let Task { batch, config, .. } = *task;
    let Some(last) = batch.final_observations else {
        return Err(Error::input(
            "final_observations",
            "estimator 'graphgpo' needs the observation after each episode's last step",
        ));
    };
    let mut episode = episode::group_relative(batch, config);
    let modulation = episode::modulate(batch, config, &mut episode);

    let mut returns = Vec::with_capacity(batch.rows());
    for group in 0..batch.groups() {
        let value = config.success_value.unwrap_or_else(|| mean_success(batch, group));
        let graph = Graph::of(batch, last, group);
        let distances = graph.distances();
        let edge_return = |&(from, to): &(u32, u32)| {
            let (here, there) = (distances[from as usize], distances[to as usize]);
            value * config.gamma.powi(exponent(config, here, there))
        };
        returns.extend(graph.edges.iter().map(|edge| narrowed(edge_return(edge))));
    }

    let nodes = Nodes::of_observations(batch);
    let step = clusters::step_part(&returns, &nodes.of_row, nodes.len(), config.normalize);
    Ok(Parts { returns, episode, step, modulation })
}

/// No edge leads more than one step nearer, so that this is never negative.
fn exponent(config: &CreditConfig, here: i32, there: i32) -> i32 {
    match config.distance {
        Distance::Absolute => there,
        Distance::Delta => there - here + 1,
    }
}

/// What a group's successes earned on average; 0 where there is none.
fn mean_success(batch: &CreditBatch, group: usize) -> f64 {
    let won: Vec<f64> = batch
        .group_episodes(group)
        .filter(|&episode| batch.success[episode])
        .map(|episode| batch.total_reward(episode))
        .collect();
    won.iter().sum::<f64>() / won.len().max(1) as f64
}

/// A group's rows as edges.
struct Graph {
    nodes: usize,
    /// From and to, a row each.
    edges: Vec<(u32, u32)>,
}

impl Graph {
    fn of(batch: &CreditBatch, last: &[u32], group: usize) -> Self {
        let mut numbers = HashMap::new();
        let mut node_of = |text: u32| {
            let next = numbers.len() as u32 + GOAL + 1;
            *numbers.entry(text).or_insert(next)
        };
        let mut edges = Vec::with_capacity(batch.group_rows(group).len());
        for episode in batch.group_episodes(group) {
            let rows = batch.episode_rows(episode);
            for row in rows.clone() {
                let from = node_of(batch.observations[row]);
                let to = if row + 1 < rows.end {
                    node_of(batch.observations[row + 1])
                } else if batch.success[episode] {
                    GOAL
                } else {
                    node_of(last[episode])
                };
                edges.push((from, to));
            }
        }
        Self { nodes: numbers.len() + 1, edges }
    }

    /// The distance of every node to the goal, breadth first from the goal along edges backwards.
    fn distances(&self) -> Vec<i32> {
        let mut sources = vec![Vec::new(); self.nodes];
        self.edges.iter().for_each(|&(from, to)| sources[to as usize].push(from));
        let mut distances = vec![i32::MAX; self.nodes];
        distances[GOAL as usize] = 0;
        let mut farthest = 0;
        let mut queue = VecDeque::from([GOAL]);
        while let Some(node) = queue.pop_front() {
            farthest = distances[node as usize];
            for &source in &sources[node as usize] {
                if distances[source as usize] == i32::MAX {
                    distances[source as usize] = farthest + 1;
                    queue.push_back(source);
                }
            }
        }
        let reached = |distance: i32| if distance == i32::MAX { farthest + 1 } else { distance };
        distances.into_iter().map(reached).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: CreditBatch = CreditBatch {
        group_offsets: &[0, 2],
        episode_offsets: &[0, 3, 5],
        rewards: &[0.0, 0.0, 4.0, 0.0, 0.0],
        success: &[true, false],
        valid: &[true; 5],
        observations: &[0, 1, 2, 0, 0],
        texts: &["a", "b", "c", "d"],
        final_observations: Some(&[0, 3]),
        embeddings: None,
    };

    #[test]
    fn distances_count_edges_and_dead_ends_lie_beyond() {
        let graph = Graph::of(&BATCH, &[0, 3], 0);
        assert_eq!(graph.edges, [(1, 2), (2, 3), (3, GOAL), (1, 1), (1, 4)]);
        assert_eq!(graph.distances(), [0, 3, 2, 1, 4]);
        let lost = CreditBatch { success: &[false; 2], ..BATCH };
        assert_eq!(Graph::of(&lost, &[0, 3], 0).distances(), [0, 1, 1, 1, 1]);
    }

    #[test]
    fn a_success_is_worth_what_it_earned_unless_said_otherwise() {
        assert_eq!(mean_success(&BATCH, 0), 4.0);
        assert_eq!(mean_success(&CreditBatch { success: &[false; 2], ..BATCH }, 0), 0.0);
    }

    #[test]
    fn missing_last_observations_are_asked_for() {
        let batch = CreditBatch { final_observations: None, ..BATCH };
        let config = CreditConfig::of(crate::credit::Estimator::Graphgpo);
        let error = crate::credit::assign(&batch, &config).unwrap_err().to_string();
        assert!(error.starts_with("final_observations: estimator 'graphgpo' needs"), "{error}");
    }
}
