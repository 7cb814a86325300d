//! GiGPO (arXiv 2505.10978): steps of a group are compared if they have the same observation.
//!
//! ```text
//! A_{i,t} = A^E_i + ω · A^S_{i,t}
//!
//! A^E_i     = (R_i − mean_group(R)) / (std_group(R) + ε)
//! A^S_{i,t} = (G_{i,t} − mean_cluster(G)) / (std_cluster(G) + ε)     0 for a single row
//! ```
//!
//! with `G` the discounted return of a step, and its cluster the group's rows with the same
//! observation. The divisions are those of `normalize = "mean-std"`.
//!
//! With the setting `similarity`, a row joins the first cluster whose first row has an observation
//! of at least that similarity, and starts a new cluster if there is none.

use super::config::CreditConfig;
use super::nodes::Nodes;
use super::parts::{Parts, Task};
use super::similarity::{Alphabet, Buffers, Pattern};
use super::{episode, returns};
use crate::episodes::Batch;
use crate::error::Result;
use crate::parallel::par_map;

pub(super) fn assign(task: &mut Task) -> Result<Parts> {
    let Task { batch, config, .. } = *task;
    let returns = returns::discounted(batch, config.gamma);

    let mut episode = episode::group_relative(batch, config);
    let modulation = episode::modulate(batch, config, &mut episode);

    let nodes = clusters(batch, config);
    let step = super::clusters::step_part(&returns, &nodes.of_row, nodes.len(), config.normalize);

    Ok(Parts { returns, episode, step, modulation })
}

/// The cluster of every row: equal observations of a group, or similar ones.
pub(crate) fn clusters(batch: &Batch, config: &CreditConfig) -> Nodes {
    let mut nodes = Nodes::of_observations(batch);
    if let Some(threshold) = config.similarity {
        join_similar(batch, &mut nodes, threshold);
    }
    nodes
}

/// Moves the rows of every node to the first similar node of its group.
///
/// Nodes are in the order of their first rows, and equal observations join the same cluster, so
/// visiting nodes in order is equivalent to visiting rows in order.
fn join_similar(batch: &Batch, nodes: &mut Nodes, threshold: f64) {
    let joined = par_map(batch.groups(), |group| {
        let mut alphabet = Alphabet::default();
        let mut buffers = Buffers::default();
        let mut leaders: Vec<(u32, Pattern)> = Vec::new();
        let members = nodes.offsets[group]..nodes.offsets[group + 1];
        let join = |node: usize| {
            let text = alphabet.encode(&batch.texts()[nodes.items[node] as usize]);
            let similar =
                |(_, first): &&(u32, Pattern)| first.is_similar(&text, threshold, &mut buffers);
            if let Some(&(cluster, _)) = leaders.iter().find(similar) {
                return cluster;
            }
            leaders.push((node as u32, Pattern::new(text)));
            node as u32
        };
        members.map(join).collect::<Vec<u32>>()
    });
    let cluster_of: Vec<u32> = joined.into_iter().flatten().collect();
    nodes.of_row.iter_mut().for_each(|node| *node = cluster_of[*node as usize]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::episodes::{Episode, Step};

    #[test]
    fn rows_join_the_first_cluster_they_resemble_within_their_group() {
        const TEXTS: [&str; 4] =
            ["shelf 1 is empty", "a lamp", "shelf 2 is empty", "shelf 21 is empty"];
        let episode = |texts: &[usize]| {
            Episode::new().steps(texts.iter().map(|&text| Step::new(TEXTS[text], 0.0)))
        };
        let first = episode(&[0, 1, 2, 3, 1]);
        let batch = Batch::builder().group([first]).group([episode(&[2])]).build().unwrap();
        let mut nodes = Nodes::of_observations(&batch);
        join_similar(&batch, &mut nodes, 0.9);
        assert_eq!(nodes.of_row, [0, 1, 0, 0, 1, 4]);
        let mut nodes = Nodes::of_observations(&batch);
        join_similar(&batch, &mut nodes, 1.0);
        assert_eq!(nodes.of_row, [0, 1, 2, 3, 1, 4]);
    }
}
