//! G2PO (arXiv 2606.22995): a step is credited with the change of state value that it causes.
//!
//! Nodes are the distinct observations of a group. With `R` an episode's total reward and `T` its
//! length, a node's value is the mean over its rows of `γ^(T−t) R`. The next value `V'` of a row is
//! the value of its next row's node; after the last row it is the success value if the episode earned
//! it, else 0. With `c(·)` for centring, and division by the unbiased deviation + ε with `mean-std`,
//!
//! ```text
//! A^S = c_node(V' − penalty · [action not valid]) + c_group(V' − V)
//! A   = episode part + ω · A^S
//! ```

use super::clusters::{Moments, centred};
use super::config::CreditConfig;
use super::episode;
use super::nodes::Nodes;
use super::parts::{Parts, StepPart, Task};
use crate::episodes::Batch;
use crate::error::Result;

pub(super) fn assign(task: &mut Task) -> Result<Parts> {
    let Task { batch, config, .. } = *task;
    let mut episode = episode::group_relative(batch, config);
    let modulation = episode::modulate(batch, config, &mut episode);

    let returns = returns(batch, config.gamma);
    let nodes = Nodes::of_observations(batch);
    let value_of: Vec<f64> = {
        let moments = Moments::by_label(&returns, &nodes.of_row, nodes.len());
        nodes.of_row.iter().map(|&node| moments[node as usize].mean).collect()
    };
    let next = next_values(batch, config, &value_of);

    let penalty = |row: usize| if batch.valid()[row] { 0.0 } else { config.invalid_action_penalty };
    let arrival: Vec<f64> = (0..batch.rows()).map(|row| next[row] - penalty(row)).collect();
    let change: Vec<f64> = next.iter().zip(&value_of).map(|(next, here)| next - here).collect();
    let among_node = centred(&arrival, &nodes.of_row, nodes.len(), config.normalize);
    let among_group = centred(&change, &group_of_rows(batch), batch.groups(), config.normalize);

    let step = StepPart {
        advantages: among_node.iter().zip(&among_group).map(|(a, b)| a + b).collect(),
        baselines: value_of,
        ..StepPart::default()
    };
    Ok(Parts { returns, episode, step, modulation })
}

/// `γ^(T−t) R` of each row.
fn returns(batch: &Batch, gamma: f64) -> Vec<f64> {
    let mut returns = vec![0.0; batch.rows()];
    for episode in 0..batch.episodes() {
        let mut discounted = batch.total_reward(episode);
        for row in batch.rows_of_episode(episode).rev() {
            discounted *= gamma;
            returns[row] = discounted;
        }
    }
    returns
}

/// The value of the state after each row. Without the setting `success_value`, a success has its
/// episode's total reward as value.
fn next_values(batch: &Batch, config: &CreditConfig, value_of: &[f64]) -> Vec<f64> {
    let mut next = vec![0.0; batch.rows()];
    for episode in 0..batch.episodes() {
        let reward = batch.total_reward(episode);
        let earned = match config.success_value {
            Some(value) => reward == value,
            None => batch.success()[episode],
        };
        let rows = batch.rows_of_episode(episode);
        for row in rows.clone() {
            let last = row + 1 == rows.end;
            next[row] = match (last, earned) {
                (false, _) => value_of[row + 1],
                (true, true) => reward,
                (true, false) => 0.0,
            };
        }
    }
    next
}

fn group_of_rows(batch: &Batch) -> Vec<u32> {
    let groups = 0..batch.groups();
    groups.flat_map(|group| batch.rows_of_group(group).map(move |_| group as u32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::episodes::Episode;

    #[test]
    fn the_next_value_of_a_success_is_its_reward() {
        let batch = Batch::builder()
            .group([
                Episode::new().step("a", 0.0).step("b", 8.0).success(true),
                Episode::new().step("a", 4.0),
            ])
            .build()
            .unwrap();
        assert_eq!(returns(&batch, 0.5), [2.0, 4.0, 2.0]);
        let mut config = CreditConfig::default();
        assert_eq!(next_values(&batch, &config, &[1.0, 2.0, 3.0]), [2.0, 8.0, 0.0]);
        config.success_value = Some(4.0);
        assert_eq!(next_values(&batch, &config, &[1.0, 2.0, 3.0]), [2.0, 0.0, 4.0]);
        assert_eq!(group_of_rows(&batch), [0, 0, 0]);
    }
}
