//! Distances to the goal in the graph of a group's steps.

use std::collections::HashMap;

use super::play::{OracleEpisode, Row};
use super::statistics::mean;
use crate::credit::{CreditConfig, Distance};

/// The return of a row in its group's graph; the goal is the node without a text.
pub(super) fn graph_return(group: &[OracleEpisode], row: &Row, config: &CreditConfig) -> f64 {
    let mut edges: Vec<(Option<&str>, Option<&str>)> = Vec::new();
    let mut own = (None, None);
    for (number, episode) in group.iter().enumerate() {
        for (time, &text) in episode.texts.iter().enumerate() {
            let to = match episode.texts.get(time + 1) {
                Some(&next) => Some(next),
                None if episode.success => None,
                None => episode.last,
            };
            let edge = (Some(text), to);
            if (number, time) == (row.episode, row.time) {
                own = edge;
            }
            edges.push(edge);
        }
    }
    // Distances by relaxing every edge as often as there are nodes at most.
    let mut distances: HashMap<Option<&str>, usize> = HashMap::from([(None, 0)]);
    for _ in 0..=edges.len() {
        for (from, to) in &edges {
            if let Some(&there) = distances.get(to) {
                let here = distances.entry(*from).or_insert(there + 1);
                *here = (*here).min(there + 1);
            }
        }
    }
    let farthest = distances.values().max().copied().unwrap_or(0);
    let distance = |node| distances.get(&node).copied().unwrap_or(farthest + 1) as i32;
    let won: Vec<f64> =
        group.iter().filter(|episode| episode.success).map(OracleEpisode::total).collect();
    let value = config.success_value.unwrap_or(if won.is_empty() { 0.0 } else { mean(&won) });
    let exponent = match config.distance {
        Distance::Absolute => distance(own.1),
        Distance::Delta => distance(own.1) - distance(own.0) + 1,
    };
    value * config.gamma.powi(exponent)
}
