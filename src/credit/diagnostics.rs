//! Statistics of credit assignment for monitoring.

use serde::Serialize;

use super::modulation::GroupModulation;
use super::nodes::Nodes;
use super::parts::StepPart;
use super::temperature::variance;
use crate::episodes::Batch;

/// Statistics of one batch's credit. Those that an estimator does not have are absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct CreditDiagnostics {
    /// The number of rows.
    pub rows: usize,
    /// The number of distinct observations, counted within each group.
    pub states: usize,
    /// The share of rows, from 0 to 1, whose observation is unique in their group. Exact matching
    /// cannot compare them.
    pub lone_rows: f64,
    /// The effective number of rows behind a baseline, `(Σ w)² / Σ w²`, averaged over rows.
    pub neighbours: Option<f64>,
    /// The share of the returns' variance that the baselines explain: at most 1, and negative if
    /// baselines are worse than a constant.
    pub explained_variance: Option<f64>,
    /// The mean squared leave-one-out error of the baselines: each row's return is predicted from the
    /// other rows.
    pub leave_one_out_error: Option<f64>,
    /// The temperature used.
    pub temperature: Option<f64>,
    /// Each group's success rate and modulation weights; empty without modulation: `[groups]`.
    pub modulation: Vec<GroupModulation>,
}

impl CreditDiagnostics {
    /// The statistics of a batch, from each row's return and step part.
    pub(crate) fn of(
        batch: &Batch,
        returns: &[f64],
        step: &StepPart,
        modulation: Vec<GroupModulation>,
    ) -> Self {
        let nodes = Nodes::of_observations(batch);
        let single = nodes.counts().iter().filter(|&&count| count == 1).count();
        Self {
            rows: batch.rows(),
            states: nodes.len(),
            lone_rows: single as f64 / batch.rows().max(1) as f64,
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

/// The share of the variance of `returns` that `baselines` explain. `None` if it is 0, or if there are no
/// baselines.
pub(crate) fn explained(returns: &[f64], baselines: &[f64]) -> Option<f64> {
    let rest: Vec<f64> =
        returns.iter().zip(baselines).map(|(value, baseline)| value - baseline).collect();
    let all = variance(returns);
    (all > 0.0 && rest.len() == returns.len()).then(|| 1.0 - variance(&rest) / all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explained_variance_is_one_for_exact_baselines_and_may_be_negative() {
        let returns = [0.0, 1.0, 2.0];
        assert_eq!(explained(&returns, &[0.0, 1.0, 2.0]), Some(1.0));
        assert_eq!(explained(&returns, &[1.0; 3]), Some(0.0));
        assert_eq!(explained(&returns, &[2.0, 1.0, 0.0]), Some(-3.0));
        assert_eq!(explained(&[1.0; 3], &[1.0; 3]), None);
        assert_eq!(explained(&returns, &[]), None);
    }
}
