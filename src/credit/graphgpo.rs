//! GraphGPO (arXiv 2605.26684): a step is credited with the distance to the goal that it leads to, in
//! the graph of its group.
//!
//! The observations of a group are nodes, and every row is an edge to the next observation. The last
//! row of a success is an edge to the goal, a separate node. With `d` the smallest number of edges from
//! a node to the goal (for nodes that cannot reach it, the largest such number + 1) and `V` the success
//! value, a row from `s` to `s'` has the return
//!
//! ```text
//! G = V · γ^d(s')                 distance = "absolute"
//! G = V · γ^(d(s') − d(s) + 1)    distance = "delta"
//! ```
//!
//! and is compared with the rows of the same observation, as in [`gigpo`](super::gigpo).

use std::collections::{HashMap, VecDeque};

use super::config::{CreditConfig, Distance};
use super::nodes::Nodes;
use super::parts::{Parts, Task};
use super::{clusters, episode};
use crate::episodes::Batch;
use crate::error::{Error, Result};

/// The goal is the first node of every graph.
const GOAL: u32 = 0;

pub(super) fn assign(task: &mut Task) -> Result<Parts> {
    let Task { batch, config, .. } = *task;
    let mut episode = episode::group_relative(batch, config);
    let modulation = episode::modulate(batch, config, &mut episode);

    let mut returns = Vec::with_capacity(batch.rows());
    for group in 0..batch.groups() {
        let value = config.success_value.unwrap_or_else(|| mean_success(batch, group));
        let graph = Graph::of(batch, group)?;
        let distances = graph.distances();
        let edge_return = |&(from, to): &(u32, u32)| {
            let (here, there) = (distances[from as usize], distances[to as usize]);
            value * config.gamma.powi(exponent(config, here, there))
        };
        returns.extend(graph.edges.iter().map(edge_return));
    }

    let nodes = Nodes::of_observations(batch);
    let step = clusters::step_part(&returns, &nodes.of_row, nodes.len(), config.normalize);
    Ok(Parts { returns, episode, step, modulation })
}

/// The exponent of `γ`. An edge reduces the distance by at most one, so this is never negative.
fn exponent(config: &CreditConfig, here: i32, there: i32) -> i32 {
    match config.distance {
        Distance::Absolute => there,
        Distance::Delta => there - here + 1,
    }
}

/// The mean total reward of a group's successes; 0 without any.
fn mean_success(batch: &Batch, group: usize) -> f64 {
    let won: Vec<f64> = batch
        .episodes_of_group(group)
        .filter(|&episode| batch.success()[episode])
        .map(|episode| batch.total_reward(episode))
        .collect();
    won.iter().sum::<f64>() / won.len().max(1) as f64
}

/// The error for a failed episode without final observation; `row` is its last row.
fn missing(batch: &Batch, row: usize) -> Error {
    let path = batch.path(row);
    let episode = path.rsplit_once('.').map_or("", |(episode, _)| episode);
    let message = "expected the observation after the last step, which estimator 'graphgpo' needs of \
                   every episode that failed, found nothing";
    Error::input(format!("{episode}.final_observation"), message)
}

/// The rows of a group as edges.
struct Graph {
    nodes: usize,
    /// The source and target of each row.
    edges: Vec<(u32, u32)>,
}

impl Graph {
    fn of(batch: &Batch, group: usize) -> Result<Self> {
        let mut numbers = HashMap::new();
        let mut node_of = |text: u32| {
            let next = numbers.len() as u32 + GOAL + 1;
            *numbers.entry(text).or_insert(next)
        };
        let mut edges = Vec::with_capacity(batch.rows_of_group(group).len());
        for episode in batch.episodes_of_group(group) {
            let rows = batch.rows_of_episode(episode);
            for row in rows.clone() {
                let from = node_of(batch.observations()[row]);
                let to = if row + 1 < rows.end {
                    node_of(batch.observations()[row + 1])
                } else if batch.success()[episode] {
                    GOAL
                } else {
                    let last = batch.final_observations()[episode];
                    node_of(last.ok_or_else(|| missing(batch, row))?)
                };
                edges.push((from, to));
            }
        }
        Ok(Self { nodes: numbers.len() + 1, edges })
    }

    /// The distance of every node to the goal, by breadth-first search from the goal along reversed
    /// edges.
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
    use crate::episodes::Episode;

    /// Two episodes, the first with this outcome.
    fn batch(success: bool) -> Batch {
        let first = Episode::new().step("a", 0.0).step("b", 0.0).step("c", 4.0);
        let second = Episode::new().step("a", 0.0).step("a", 0.0).final_observation("d");
        let episodes = [first.success(success).final_observation("a"), second];
        Batch::builder().group(episodes).build().unwrap()
    }

    #[test]
    fn distances_count_edges_and_dead_ends_are_farthest() {
        let graph = Graph::of(&batch(true), 0).unwrap();
        assert_eq!(graph.edges, [(1, 2), (2, 3), (3, GOAL), (1, 1), (1, 4)]);
        assert_eq!(graph.distances(), [0, 3, 2, 1, 4]);
        assert_eq!(Graph::of(&batch(false), 0).unwrap().distances(), [0, 1, 1, 1, 1]);
    }

    #[test]
    fn the_value_of_a_success_is_the_mean_reward_of_successes() {
        assert_eq!(mean_success(&batch(true), 0), 4.0);
        assert_eq!(mean_success(&batch(false), 0), 0.0);
    }

    #[test]
    fn a_missing_final_observation_is_reported() {
        let failure = Episode::new().step("a", 0.0);
        let success = failure.clone().success(true);
        let config = CreditConfig::of(crate::credit::Estimator::Graphgpo);
        let assign = |episodes: [Episode; 2]| {
            let batch = Batch::builder().group(episodes).build().unwrap();
            crate::credit::assign(&batch, &config)
        };
        assign([success.clone(), Episode::new()]).unwrap();
        let error = assign([success, failure]).unwrap_err().to_string();
        assert!(error.starts_with("groups[0].episodes[1].final_observation: expected"), "{error}");
    }
}
