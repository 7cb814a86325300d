//! Distinct states of each group.

use super::batch::CreditBatch;

/// The nodes of a batch, group after group: rows of a group that share a node are the same state.
#[derive(Debug, Clone, PartialEq)]
pub struct Nodes {
    /// Where each group's nodes begin: `[groups + 1]`.
    pub offsets: Vec<usize>,
    /// What each node stands for: `[nodes]`, a text or a row.
    pub items: Vec<u32>,
    /// The node of each row: `[rows]`. No two groups share one.
    pub of_row: Vec<u32>,
}

impl Nodes {
    /// One node for each distinct observation of a group, in the order of first appearance; its
    /// item is the text.
    pub fn of_observations(batch: &CreditBatch) -> Self {
        Self::number(batch, batch.texts.len(), |row| batch.observations[row])
    }

    /// One node for each row; its item is the row.
    pub fn of_rows(batch: &CreditBatch) -> Self {
        Self::number(batch, batch.rows(), |row| row as u32)
    }

    /// Numbers the distinct `items` (each below `bound`) of every group.
    fn number(batch: &CreditBatch, bound: usize, item_of: impl Fn(usize) -> u32) -> Self {
        let mut nodes =
            Self { offsets: vec![0], items: Vec::new(), of_row: Vec::with_capacity(batch.rows()) };
        // The node that last stood for an item; of an earlier group if below the group's first.
        let mut latest = vec![u32::MAX; bound];
        for group in 0..batch.groups() {
            let first = nodes.items.len() as u32;
            for row in batch.group_rows(group) {
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

    /// How many nodes there are in all groups together.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// How many rows each node has.
    pub fn counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.len()];
        self.of_row.iter().for_each(|&node| counts[node as usize] += 1);
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_observations_share_a_node_within_their_group_only() {
        let batch = CreditBatch {
            group_offsets: &[0, 1, 1, 2],
            episode_offsets: &[0, 3, 5],
            rewards: &[0.0; 5],
            success: &[false; 2],
            valid: &[true; 5],
            observations: &[2, 0, 2, 2, 1],
            texts: &["a", "b", "c"],
            final_observations: None,
            embeddings: None,
        };
        let nodes = Nodes::of_observations(&batch);
        assert_eq!(nodes.offsets, [0, 2, 2, 4]);
        assert_eq!(nodes.items, [2, 0, 2, 1]);
        assert_eq!(nodes.of_row, [0, 1, 0, 2, 3]);
        assert_eq!(nodes.counts(), [2, 1, 1, 1]);
        assert_eq!(Nodes::of_rows(&batch).of_row, [0, 1, 2, 3, 4]);
    }
}
