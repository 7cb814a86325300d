//! ProxMO (arXiv 2602.19225): a modulated episode part and soft step baselines.
//!
//! For step `t` of episode `i` in a group of task `x`,
//!
//! ```text
//! A_{i,t} = A^E_i + ω · A^S_{i,t}
//!
//! A^E_i     = w(R_i, p) · (R_i − mean_group(R))         modulation by the success rate p
//! A^S_{i,t} = G_{i,t} − Σ_j softmax_j(cos(e_{i,t}, e_j)/τ) · G_j     over the group's steps j
//! ```
//!
//! with `G` the discounted return of a step and `e` the embedding of its observation. With modulation
//! off, soft aggregation remains; [`gigpo`](super::gigpo) with modulation on is the other ablation.

use super::parts::{Parts, Task};
use super::proximity::Proximity;
use super::settings::Temperature;
use super::states::States;
use super::{episode, returns, temperature};
use crate::error::Result;

pub(super) fn assign(task: &mut Task) -> Result<Parts> {
    let Task { batch, config, .. } = *task;
    let returns = returns::discounted(batch, config.gamma);

    let mut episode = episode::group_relative(batch, config);
    let modulation = episode::modulate(batch, config, &mut episode);

    let mut first = vec![0.0; batch.rows()];
    for rows in batch.layout().group_rows().filter(|rows| !rows.is_empty()) {
        let value = returns[rows.start];
        first[rows].fill(value);
    }
    let beyond: Vec<f64> = returns.iter().zip(&first).map(|(value, first)| value - first).collect();

    let states = States::of(batch, config)?;
    let proximity =
        Proximity { batch, nodes: &states.nodes, matrix: &states.matrix, returns: &beyond, config };
    let temperature = match config.temperature {
        Temperature::Fixed(temperature) => temperature,
        Temperature::Auto => temperature::choose(&returns, task.state, |temperatures| {
            Ok(proximity.prediction_errors(temperatures))
        })?,
    };
    let mut step = proximity.step_part(temperature);
    step.baselines.iter_mut().zip(&first).for_each(|(baseline, first)| *baseline += first);

    Ok(Parts { returns, episode, step, modulation })
}
