//! GiGPO (arXiv 2505.10978): steps are compared where the group met the same observation.
//!
//! ```text
//! A_{i,t} = A^E_i + ω · A^S_{i,t}
//!
//! A^E_i     = (R_i − mean_group(R)) / (std_group(R) + ε)
//! A^S_{i,t} = (G_{i,t} − mean_cluster(G)) / (std_cluster(G) + ε)     0 for a lone row
//! ```
//!
//! with `G` the discounted return of a step, and its cluster the group's rows with the same
//! observation. The divisions are those of `normalize = "mean-std"`.
//!
//! With the setting `similarity` a row joins the first cluster whose first row has an observation
//! that resembles its own at least so much, and founds one where there is none.

use super::assign::{Parts, Task};
use super::batch::CreditBatch;
use super::nodes::Nodes;
use super::similarity::{Alphabet, Memory, Pattern};
use super::{clusters, episode, returns};
use crate::error::Result;
use crate::parallel::par_map;

pub(super) fn assign(task: &mut Task) -> Result<Parts> {
    let Task { batch, config, .. } = *task;
    let returns = returns::discounted(batch, config.gamma);

    let mut episode = episode::group_relative(batch, config);
    let modulation = episode::modulate(batch, config, &mut episode);

    let mut nodes = Nodes::of_observations(batch);
    if let Some(threshold) = config.similarity {
        join_similar(batch, &mut nodes, threshold);
    }
    let step = clusters::step_part(&returns, &nodes.of_row, nodes.len(), config.normalize);

    Ok(Parts { returns, episode, step, modulation })
}

/// Moves the rows of every node to the first node of its group that it resembles.
///
/// Nodes come in the order of their first rows, and equal observations fare alike, so that going
/// over nodes is going over rows.
fn join_similar(batch: &CreditBatch, nodes: &mut Nodes, threshold: f64) {
    let joined = par_map(batch.groups(), |group| {
        let mut alphabet = Alphabet::default();
        let mut memory = Memory::default();
        let mut founders: Vec<(u32, Pattern)> = Vec::new();
        let members = nodes.offsets[group]..nodes.offsets[group + 1];
        let join = |node: usize| {
            let text = alphabet.write(batch.texts[nodes.items[node] as usize]);
            let like =
                |(_, founder): &&(u32, Pattern)| founder.resembles(&text, threshold, &mut memory);
            if let Some(&(cluster, _)) = founders.iter().find(like) {
                return cluster;
            }
            founders.push((node as u32, Pattern::new(text)));
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

    #[test]
    fn rows_join_the_first_cluster_they_resemble_within_their_group() {
        let batch = CreditBatch {
            group_offsets: &[0, 1, 2],
            episode_offsets: &[0, 5, 6],
            rewards: &[0.0; 6],
            success: &[false; 2],
            valid: &[true; 6],
            observations: &[0, 1, 2, 3, 1, 2],
            texts: &["shelf 1 is empty", "a lamp", "shelf 2 is empty", "shelf 21 is empty"],
            final_observations: None,
            embeddings: None,
        };
        let mut nodes = Nodes::of_observations(&batch);
        join_similar(&batch, &mut nodes, 0.9);
        assert_eq!(nodes.of_row, [0, 1, 0, 0, 1, 4]);
        let mut nodes = Nodes::of_observations(&batch);
        join_similar(&batch, &mut nodes, 1.0);
        assert_eq!(nodes.of_row, [0, 1, 2, 3, 1, 4]);
    }
}
