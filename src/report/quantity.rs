//! What a report shows of episodes: success, score and return.

use super::chart::VerticalScale;
use super::variant_runs::VariantRuns;
use crate::train::{EvaluationMetrics, IterationMetrics, KindResult};

/// A number that episodes are judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// The share of episodes that reached their goal.
    Success,
    /// The mean score, from 0 to 1.
    Score,
    /// The mean sum of an episode's rewards.
    Return,
}

impl Quantity {
    /// Those that the evaluations of some runs report; the first is the one that results are given in.
    /// The return is left out where it is the success itself.
    pub fn of_runs(variants: &[VariantRuns]) -> Vec<Self> {
        let runs = variants.iter().flat_map(|variant| &variant.runs);
        let lines: Vec<&EvaluationMetrics> =
            runs.flat_map(|run| &run.metrics).filter_map(|line| line.evaluation.as_ref()).collect();
        Self::of_evaluations(&lines)
    }

    /// [`Quantity::of_runs`] for a single run.
    pub fn of_metrics(metrics: &[IterationMetrics]) -> Vec<Self> {
        let lines: Vec<_> = metrics.iter().filter_map(|line| line.evaluation.as_ref()).collect();
        Self::of_evaluations(&lines)
    }

    fn of_evaluations(lines: &[&EvaluationMetrics]) -> Vec<Self> {
        let reported = |quantity: &Self| lines.iter().any(|line| quantity.held_out(line).is_some());
        let same = |line: &&EvaluationMetrics| {
            line.mean_return.is_none() || line.mean_return == line.success
        };
        let mut found: Vec<Self> =
            [Self::Success, Self::Score, Self::Return].into_iter().filter(reported).collect();
        if lines.iter().all(same) {
            found.retain(|quantity| *quantity != Self::Return);
        }
        if found.is_empty() { vec![Self::Success] } else { found }
    }

    /// The one that a result is given in where there is room for one: success, else score, else return.
    pub fn of_result(result: &KindResult) -> Self {
        match (result.success, result.score) {
            (Some(_), _) => Self::Success,
            (None, Some(_)) => Self::Score,
            (None, None) => Self::Return,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Score => "score",
            Self::Return => "return",
        }
    }

    /// The vertical axis that it is drawn on.
    pub fn scale(self) -> VerticalScale {
        match self {
            Self::Success | Self::Score => VerticalScale::Percent,
            Self::Return => VerticalScale::Fitted { min: f64::NEG_INFINITY },
        }
    }

    /// Its value, as a text.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Success | Self::Score => format!("{:.1} %", 100.0 * value),
            Self::Return => format!("{value:.3}"),
        }
    }

    /// Its value in an evaluation.
    pub fn held_out(self, line: &EvaluationMetrics) -> Option<f64> {
        match self {
            Self::Success => line.success,
            Self::Score => line.score,
            Self::Return => line.mean_return,
        }
    }

    /// Its value over one kind of task.
    pub fn of_kind(self, kind: &KindResult) -> Option<f64> {
        match self {
            Self::Success => kind.success,
            Self::Score => kind.score,
            Self::Return => kind.mean_return,
        }
    }

    /// Its value in the episodes of an iteration.
    pub fn training(self, line: &IterationMetrics) -> Option<f64> {
        match self {
            Self::Success => line.success,
            Self::Score => line.score,
            Self::Return => Some(line.mean_return),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_given_in_the_first_number_that_is_reported() {
        let line = |success, score, mean_return| IterationMetrics {
            evaluation: Some(EvaluationMetrics {
                success,
                score,
                mean_return,
                ..EvaluationMetrics::default()
            }),
            ..IterationMetrics::default()
        };
        use Quantity::{Return, Score, Success};
        let of = |line| Quantity::of_metrics(&[line]);
        assert_eq!(of(line(Some(0.5), None, None)), [Success]);
        assert_eq!(of(line(Some(0.5), None, Some(0.5))), [Success]);
        assert_eq!(of(line(Some(0.5), Some(0.7), Some(5.0))), [Success, Score, Return]);
        assert_eq!(of(line(None, None, Some(-3.0))), [Return]);
        assert_eq!(Quantity::of_metrics(&[]), [Success]);
    }
}
