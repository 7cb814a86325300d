//! Distinct states of each group.

use crate::episodes::Batch;

/// The nodes of a batch by group: rows of a group that share a node have the same state.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Nodes {
    /// The first node of each group, and the number of nodes: `[groups + 1]`.
    pub offsets: Vec<usize>,
    /// The text or row that each node stands for: `[nodes]`.
    pub items: Vec<u32>,
    /// The node of each row: `[rows]`. Groups do not share nodes.
    pub of_row: Vec<u32>,
}

impl Nodes {
    /// One node for each distinct observation of a group, in the order of first appearance; its
    /// item is the text.
    pub fn of_observations(batch: &Batch) -> Self {
        Self::number(batch, batch.texts().len(), |row| batch.observations()[row])
    }

    /// One node for each row; its item is the row.
    pub fn of_rows(batch: &Batch) -> Self {
        Self::number(batch, batch.rows(), |row| row as u32)
    }

    /// Numbers the distinct `items` (each below `bound`) of every group.
    fn number(batch: &Batch, bound: usize, item_of: impl Fn(usize) -> u32) -> Self {
        let mut nodes =
            Self { offsets: vec![0], items: Vec::new(), of_row: Vec::with_capacity(batch.rows()) };
        // The latest node of each item. It belongs to an earlier group if it is below `first`.
        let mut latest = vec![u32::MAX; bound];
        for group in 0..batch.groups() {
            let first = nodes.items.len() as u32;
            for row in batch.rows_of_group(group) {
                let item = item_of(row);
                let node = &mut latest[item as usize];
                if *node == u32::MAX || *node < first {
                    *node = nodes.items.len() as u32;
                    nodes.items.push(item);
                }
                nodes.of_row.push(*node);
            }
            nodes.offsets.push(nodes.items.len());
        }
        nodes
    }

    /// The number of nodes in all groups together.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// The number of rows of each node: `[nodes]`.
    pub fn counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.len()];
        self.of_row.iter().for_each(|&node| counts[node as usize] += 1);
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::episodes::Episode;

    #[test]
    fn equal_observations_share_a_node_within_their_group_only() {
        let batch = Batch::builder()
            .group([Episode::new().step("c", 0.0).step("a", 0.0).step("c", 0.0)])
            .group([])
            .group([Episode::new().step("c", 0.0).step("b", 0.0)])
            .build()
            .unwrap();
        let nodes = Nodes::of_observations(&batch);
        assert_eq!(nodes.offsets, [0, 2, 2, 4]);
        assert_eq!(nodes.items, [0, 1, 0, 2]);
        assert_eq!(nodes.of_row, [0, 1, 0, 2, 3]);
        assert_eq!(nodes.counts(), [2, 1, 1, 1]);
        assert_eq!(Nodes::of_rows(&batch).of_row, [0, 1, 2, 3, 4]);
    }
}
