//! One group's rows, merged into nodes.

use std::ops::Range;

use super::batch::CreditBatch;
use super::kernel::Tallies;
use super::nodes::Nodes;

/// The rows of one group. Rows and nodes are counted from the group's first.
pub struct Group<'a> {
    /// The group's first row in the batch.
    pub first_row: u32,
    /// The return of each row.
    pub returns: Vec<f64>,
    /// The episode of each row.
    pub episode_of: Vec<u32>,
    /// What each node stands for.
    pub items: &'a [u32],
    node_of: Vec<u32>,
    /// The rows of node after node, each in order of time.
    rows: Vec<u32>,
    row_offsets: Vec<usize>,
    /// The first row of each episode, and the end.
    episode_offsets: Vec<usize>,
    /// What counts of each node at present.
    pub tallies: Tallies,
    /// What there is of each node in all.
    pub full: Tallies,
}

impl<'a> Group<'a> {
    /// Gathers a group.
    pub fn of(batch: &CreditBatch, nodes: &'a Nodes, returns: &[f32], group: usize) -> Self {
        let rows = batch.group_rows(group);
        let first_node = nodes.offsets[group];
        let items = &nodes.items[first_node..nodes.offsets[group + 1]];
        let node_of: Vec<u32> =
            nodes.of_row[rows.clone()].iter().map(|&node| node - first_node as u32).collect();
        let returns: Vec<f64> = returns[rows.clone()].iter().map(|&value| value.into()).collect();
        let mut tallies = Tallies::new(items.len());
        for (&node, &value) in node_of.iter().zip(&returns) {
            tallies.set(node as usize, tallies.get(node as usize).with(value));
        }
        let mut episode_of = Vec::with_capacity(rows.len());
        let mut episode_offsets = vec![0];
        for (number, episode) in batch.group_episodes(group).enumerate() {
            let end = episode_of.len() + batch.episode_rows(episode).len();
            episode_of.resize(end, number as u32);
            episode_offsets.push(end);
        }
        let (row_offsets, by_node) = rows_by_node(&node_of, items.len());
        Self {
            first_row: rows.start as u32,
            returns,
            episode_of,
            items,
            node_of,
            rows: by_node,
            row_offsets,
            episode_offsets,
            full: tallies.clone(),
            tallies,
        }
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.items.len()
    }

    /// The node of a row.
    pub fn node_of(&self, row: usize) -> usize {
        self.node_of[row] as usize
    }

    /// The rows of a node in order of time.
    pub fn rows_of(&self, node: usize) -> &[u32] {
        &self.rows[self.row_offsets[node]..self.row_offsets[node + 1]]
    }

    /// Stops counting the rows of an episode.
    pub fn take_out(&mut self, episode: u32) {
        for row in self.rows_of_episode(episode) {
            let node = self.node_of(row);
            self.tallies.set(node, self.tallies.get(node).without(self.returns[row]));
        }
    }

    /// Counts all rows again after [`Group::take_out`] of the same episode.
    pub fn put_back(&mut self, episode: u32) {
        for row in self.rows_of_episode(episode) {
            let node = self.node_of(row);
            self.tallies.set(node, self.full.get(node));
        }
    }

    fn rows_of_episode(&self, episode: u32) -> Range<usize> {
        self.episode_offsets[episode as usize]..self.episode_offsets[episode as usize + 1]
    }
}

/// Rows sorted by node (a counting sort), and where each node's begin.
fn rows_by_node(node_of: &[u32], nodes: usize) -> (Vec<usize>, Vec<u32>) {
    let mut offsets = vec![0; nodes + 1];
    node_of.iter().for_each(|&node| offsets[node as usize + 1] += 1);
    for node in 0..nodes {
        offsets[node + 1] += offsets[node];
    }
    let mut next = offsets.clone();
    let mut rows = vec![0; node_of.len()];
    for (row, &node) in node_of.iter().enumerate() {
        rows[next[node as usize]] = row as u32;
        next[node as usize] += 1;
    }
    (offsets, rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credit::kernel::Tally;

    const BATCH: CreditBatch = CreditBatch {
        group_offsets: &[0, 2],
        episode_offsets: &[0, 2, 4],
        rewards: &[0.0; 4],
        success: &[false; 2],
        valid: &[true; 4],
        observations: &[0, 1, 0, 0],
        texts: &["a", "b"],
        final_observations: None,
        embeddings: None,
    };

    #[test]
    fn rows_are_merged_and_found_again() {
        let nodes = Nodes::of_observations(&BATCH);
        let mut group = Group::of(&BATCH, &nodes, &[1.0, 2.0, 3.0, 6.0], 0);
        assert_eq!(group.nodes(), 2);
        assert_eq!((group.rows_of(0), group.rows_of(1)), (&[0, 2, 3][..], &[1][..]));
        assert_eq!(group.tallies.get(0), Tally { count: 3.0, sum: 10.0 });
        group.take_out(0);
        assert_eq!(group.tallies.get(0), Tally { count: 2.0, sum: 9.0 });
        assert_eq!(group.tallies.get(1), Tally::default());
        group.put_back(0);
        assert_eq!(group.tallies, group.full);
    }
}
