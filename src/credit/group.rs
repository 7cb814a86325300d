//! One group's rows, merged into nodes.

use std::ops::Range;

use super::kernel_sums::ReturnSums;
use super::nodes::Nodes;
use crate::episodes::Batch;

/// The rows of one group. Rows and nodes are numbered from the group's first.
pub(crate) struct Group<'a> {
    /// The group's first row in the batch.
    pub first_row: u32,
    /// The return of each row.
    pub returns: Vec<f64>,
    /// The episode of each row.
    pub episode_of: Vec<u32>,
    /// The item of each node: a text or a row.
    pub items: &'a [u32],
    node_of: Vec<u32>,
    /// The rows sorted by node, then time.
    rows: Vec<u32>,
    row_offsets: Vec<usize>,
    /// The first row of each episode, and the end.
    episode_offsets: Vec<usize>,
    /// The returns of the rows that are included at present, by node.
    pub included: ReturnSums,
    /// The returns of all rows, by node.
    pub all: ReturnSums,
}

impl<'a> Group<'a> {
    /// Collects the rows of a group.
    pub fn of(batch: &Batch, nodes: &'a Nodes, returns: &[f64], group: usize) -> Self {
        let rows = batch.rows_of_group(group);
        let first_node = nodes.offsets[group];
        let items = &nodes.items[first_node..nodes.offsets[group + 1]];
        let node_of: Vec<u32> =
            nodes.of_row[rows.clone()].iter().map(|&node| node - first_node as u32).collect();
        let returns = returns[rows.clone()].to_vec();
        let mut included = ReturnSums::new(items.len());
        for (&node, &value) in node_of.iter().zip(&returns) {
            included.set(node as usize, included.get(node as usize).with(value));
        }
        let mut episode_of = Vec::with_capacity(rows.len());
        let mut episode_offsets = vec![0];
        for (number, episode) in batch.episodes_of_group(group).enumerate() {
            let end = episode_of.len() + batch.rows_of_episode(episode).len();
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
            all: included.clone(),
            included,
        }
    }

    /// The number of nodes.
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

    /// Excludes the rows of an episode from [`Group::included`].
    pub fn exclude(&mut self, episode: u32) {
        for row in self.rows_of_episode(episode) {
            let node = self.node_of(row);
            self.included.set(node, self.included.get(node).without(self.returns[row]));
        }
    }

    /// Includes all rows again after [`Group::exclude`] of the same episode.
    pub fn include(&mut self, episode: u32) {
        for row in self.rows_of_episode(episode) {
            let node = self.node_of(row);
            self.included.set(node, self.all.get(node));
        }
    }

    fn rows_of_episode(&self, episode: u32) -> Range<usize> {
        self.episode_offsets[episode as usize]..self.episode_offsets[episode as usize + 1]
    }
}

/// Offsets of the nodes, and the rows sorted by node (a counting sort).
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
    use crate::credit::kernel_sums::ReturnSum;
    use crate::episodes::Episode;

    #[test]
    fn rows_are_merged_into_nodes() {
        let episode = |second| Episode::new().step("a", 0.0).step(second, 0.0);
        let batch = Batch::builder().group([episode("b"), episode("a")]).build().unwrap();
        let nodes = Nodes::of_observations(&batch);
        let mut group = Group::of(&batch, &nodes, &[1.0, 2.0, 3.0, 6.0], 0);
        assert_eq!(group.nodes(), 2);
        assert_eq!((group.rows_of(0), group.rows_of(1)), (&[0, 2, 3][..], &[1][..]));
        assert_eq!(group.included.get(0), ReturnSum { count: 3.0, sum: 10.0 });
        group.exclude(0);
        assert_eq!(group.included.get(0), ReturnSum { count: 2.0, sum: 9.0 });
        assert_eq!(group.included.get(1), ReturnSum::default());
        group.include(0);
        assert_eq!(group.included, group.all);
    }
}
