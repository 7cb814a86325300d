//! Differences between variants over the same seeds.

use super::quantity::Quantity;
use super::recorded_run::RecordedRun;
use super::statistics::{Bootstrap, MeanInterval};
use super::variant_runs::VariantRuns;

/// The difference between two variants in their final results on held-out tasks, over the seeds that both
/// have. What a seed does to both of them, such as the tasks that it draws, does not count.
#[derive(Debug, Clone, PartialEq)]
pub struct PairedDifference {
    /// The variant with the better mean.
    pub better: usize,
    /// The other one.
    pub other: usize,
    /// The first one's result minus the other one's.
    pub difference: MeanInterval,
    /// Seeds for which the first one is better.
    pub won: usize,
}

/// The differences between the best variant and each other one. The best has the highest mean result of
/// those with a result. Variants without a common seed are left out.
pub fn paired_differences(
    variants: &[VariantRuns],
    quantity: Quantity,
    bootstrap: &Bootstrap,
) -> Vec<PairedDifference> {
    let results: Vec<Vec<(u64, f64)>> =
        variants.iter().map(|variant| results(variant, quantity)).collect();
    let mean = |of: &Vec<(u64, f64)>| {
        of.iter().map(|(_, value)| value).sum::<f64>() / of.len().max(1) as f64
    };
    let known = (0..results.len()).filter(|&variant| !results[variant].is_empty());
    // Of equal ones the first.
    let best = known.rev().max_by(|&a, &b| mean(&results[a]).total_cmp(&mean(&results[b])));
    let Some(better) = best else { return Vec::new() };
    let with = |other: usize| {
        let differences: Vec<f64> = results[better]
            .iter()
            .filter_map(|(seed, value)| {
                let (_, other) = results[other].iter().find(|(known, _)| known == seed)?;
                Some(value - other)
            })
            .collect();
        let difference = bootstrap.estimate(&differences)?;
        let won = differences.iter().filter(|&&one| one > 0.0).count();
        Some(PairedDifference { better, other, difference, won })
    };
    (0..variants.len()).filter(|&other| other != better).filter_map(with).collect()
}

/// Seed and final result of every run that counts for a variant's results.
fn results(variant: &VariantRuns, quantity: Quantity) -> Vec<(u64, f64)> {
    let result = |run: &&RecordedRun| {
        let last = run.metrics.iter().rev().find_map(|line| line.evaluation.as_ref())?;
        Some((run.config.run.seed, quantity.held_out(last)?))
    };
    variant.runs_with_results().iter().filter_map(result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{Config, EvaluationMetrics, IterationMetrics};

    fn variant(name: &str, results: &[(u64, f64)]) -> VariantRuns {
        let run = |&(seed, success): &(u64, f64)| {
            let mut config = Config::default();
            config.run.seed = seed;
            let evaluation =
                EvaluationMetrics { success: Some(success), ..EvaluationMetrics::default() };
            let line = IterationMetrics { evaluation: Some(evaluation), ..Default::default() };
            RecordedRun { name: format!("{name}-s{seed}"), config, metrics: vec![line] }
        };
        VariantRuns { name: name.into(), runs: results.iter().map(run).collect() }
    }

    #[test]
    fn differences_are_those_of_common_seeds() {
        let variants = [
            variant("a", &[(0, 0.5), (1, 0.25), (2, 0.75)]),
            variant("b", &[(1, 0.5), (2, 1.0), (0, 0.25), (3, 1.0)]),
            variant("c", &[(9, 0.0)]),
        ];
        let found = paired_differences(&variants, Quantity::Success, &Bootstrap::new(4));
        assert_eq!(found.len(), 1, "no seed is common to b and c: {found:?}");
        let PairedDifference { better, other, difference, won } = &found[0];
        assert_eq!((*better, *other, *won, difference.runs), (1, 0, 2, 3));
        assert!((difference.mean - 0.25 / 3.0).abs() < 1e-12, "{difference:?}");
        assert_eq!(difference.values(), [0.25, 0.25, -0.25]);
    }

    #[test]
    fn a_difference_that_all_seeds_share_has_a_narrow_interval() {
        // The seeds differ far more than the variants.
        let values = |shift: f64| -> Vec<(u64, f64)> {
            (0..8).map(|seed| (seed, 0.125 * seed as f64 + shift)).collect()
        };
        let variants = [variant("a", &values(0.0625)), variant("b", &values(0.0))];
        let found = paired_differences(&variants, Quantity::Success, &Bootstrap::new(8));
        assert_eq!(found[0].difference.interval, Some((0.0625, 0.0625)));
    }

    #[test]
    fn without_results_there_are_no_differences() {
        let empty = || VariantRuns { name: "a".into(), runs: Vec::new() };
        let bootstrap = Bootstrap::new(1);
        assert_eq!(paired_differences(&[empty(), empty()], Quantity::Success, &bootstrap), []);
        assert_eq!(paired_differences(&[], Quantity::Success, &bootstrap), []);
    }
}
