//! What is worth watching about credit assignment.

use serde::Serialize;

use super::batch::CreditBatch;
use super::episode::GroupModulation;
use super::nodes::Nodes;
use super::part::{StepPart, narrowed};
use super::temperature::variance;

/// How credit came about in one batch. What an estimator has no notion of is left out.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct CreditDiagnostics {
    /// How many rows there were.
    pub rows: usize,
    /// How many distinct observations, counted in each group.
    pub states: usize,
    /// The share of rows, from 0 to 1, whose observation comes once in their group: those that
    /// exact matching has nothing to compare with.
    pub lone_rows: f64,
    /// How many rows a step's baseline effectively averages, in the mean over rows.
    pub neighbours: Option<f64>,
    /// The share of the returns' variance that the baselines account for: 1 is all of it, below 0
    /// they do harm.
    pub explained_variance: Option<f64>,
    /// The mean squared error of predicting a row's return from the rows around it, without itself.
    pub leave_one_out_error: Option<f64>,
    /// The temperature used.
    pub temperature: Option<f64>,
    /// Each group's success rate and the weights of its episodes; empty without modulation.
    pub modulation: Vec<GroupModulation>,
}

impl CreditDiagnostics {
    pub(super) fn of(
        batch: &CreditBatch,
        returns: &[f32],
        step: &StepPart,
        modulation: Vec<GroupModulation>,
    ) -> Self {
        let nodes = Nodes::of_observations(batch);
        let lone = nodes.counts().iter().filter(|&&count| count == 1).count();
        Self {
            rows: batch.rows(),
            states: nodes.len(),
            lone_rows: lone as f64 / batch.rows().max(1) as f64,
            neighbours: mean(&step.neighbours),
            explained_variance: explained(returns, &step.baselines),
            leave_one_out_error: mean(&step.held_out),
            temperature: step.temperature,
            modulation,
        }
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn explained(returns: &[f32], baselines: &[f64]) -> Option<f64> {
    let rest: Vec<f32> = returns
        .iter()
        .zip(baselines)
        .map(|(&value, baseline)| narrowed(f64::from(value) - baseline))
        .collect();
    let all = variance(returns);
    (all > 0.0 && rest.len() == returns.len()).then(|| 1.0 - variance(&rest) / all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn baselines_explain_from_all_to_less_than_nothing() {
        let returns = [0.0, 1.0, 2.0];
        assert_eq!(explained(&returns, &[0.0, 1.0, 2.0]), Some(1.0));
        assert_eq!(explained(&returns, &[1.0; 3]), Some(0.0));
        assert_eq!(explained(&returns, &[2.0, 1.0, 0.0]), Some(-3.0));
        assert_eq!(explained(&[1.0; 3], &[1.0; 3]), None);
        assert_eq!(explained(&returns, &[]), None);
    }
}
