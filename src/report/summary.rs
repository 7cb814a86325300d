//! Summarises variants: final success, and time to reach levels of success.

use super::curves::evaluation_points;
use super::paired::{PairedDifference, paired_differences};
use super::quantity::Quantity;
use super::statistics::{Bootstrap, MeanInterval, first_crossing};
use super::variant_runs::VariantRuns;
use crate::train::EvaluationMetrics;

/// The levels of success on held-out tasks whose first crossing is timed.
pub const LEVELS: [f64; 4] = [0.25, 0.5, 0.75, 0.9];

/// The results of one variant.
#[derive(Debug, Clone, PartialEq)]
pub struct VariantSummary {
    /// The variant's name.
    pub name: String,
    /// The number of runs.
    pub runs: usize,
    /// The number of finished runs. If there are any, final results are theirs alone.
    pub finished: usize,
    /// Final results on held-out tasks, in the order of [`StudySummary::quantities`].
    pub results: Vec<Option<MeanInterval>>,
    /// Final mean steps of an episode on held-out tasks.
    pub length: Option<MeanInterval>,
    /// Final results by kind of task, in the first of [`StudySummary::quantities`], in the order of [`StudySummary::kinds`].
    pub kinds: Vec<Option<MeanInterval>>,
    /// The time to reach each of [`LEVELS`] of success.
    pub levels: Vec<TimeToLevel>,
}

/// The time until held-out success first reached a level.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeToLevel {
    /// Environment steps, over the runs that reached it.
    pub steps: Option<MeanInterval>,
    /// Minutes, over the same runs.
    pub minutes: Option<MeanInterval>,
    /// The number of runs that reached it.
    pub reached: usize,
}

/// The results of all variants.
#[derive(Debug, Clone, PartialEq)]
pub struct StudySummary {
    /// The numbers that results are given in.
    pub quantities: Vec<Quantity>,
    /// The kinds of task, in order of first appearance.
    pub kinds: Vec<String>,
    /// One entry per variant.
    pub variants: Vec<VariantSummary>,
    /// Differences between the best variant and the others, over the same seeds.
    pub paired: Vec<PairedDifference>,
}

/// Bootstrap draws for the variant with the most runs.
pub fn bootstrap_for(variants: &[VariantRuns]) -> Bootstrap {
    Bootstrap::new(variants.iter().map(|variant| variant.runs.len()).max().unwrap_or(0))
}

/// Summarises variants.
pub fn summarise(variants: &[VariantRuns], bootstrap: &Bootstrap) -> StudySummary {
    let mut kinds: Vec<String> = Vec::new();
    for result in variants.iter().flat_map(last_evaluations).flat_map(|one| &one.kinds) {
        if !kinds.contains(&result.kind) {
            kinds.push(result.kind.clone());
        }
    }
    let quantities = Quantity::of_runs(variants);
    let summary = |variant| summarise_variant(variant, &quantities, &kinds, bootstrap);
    let paired = paired_differences(variants, quantities[0], bootstrap);
    let variants = variants.iter().map(summary).collect();
    StudySummary { quantities, kinds, variants, paired }
}

/// The last evaluation of every run that counts for the variant's results.
fn last_evaluations(variant: &VariantRuns) -> Vec<&EvaluationMetrics> {
    let runs = variant.runs_with_results().into_iter();
    runs.filter_map(|run| run.metrics.iter().rev().find_map(|line| line.evaluation.as_ref()))
        .collect()
}

fn summarise_variant(
    variant: &VariantRuns,
    quantities: &[Quantity],
    kinds: &[String],
    bootstrap: &Bootstrap,
) -> VariantSummary {
    let ends = last_evaluations(variant);
    let over_runs = |value: &dyn Fn(&EvaluationMetrics) -> Option<f64>| {
        let values: Vec<f64> = ends.iter().filter_map(|end| value(end)).collect();
        bootstrap.estimate(&values)
    };
    let of_kind = |kind: &String| {
        over_runs(&|end| quantities[0].of_kind(end.kinds.iter().find(|one| one.kind == *kind)?))
    };
    let result = |quantity: &Quantity| over_runs(&|end| quantity.held_out(end));
    VariantSummary {
        name: variant.name.clone(),
        runs: variant.runs.len(),
        finished: variant.finished(),
        results: quantities.iter().map(result).collect(),
        length: over_runs(&|end| Some(end.length)),
        kinds: kinds.iter().map(of_kind).collect(),
        levels: LEVELS.iter().map(|&level| time_to_level(variant, level, bootstrap)).collect(),
    }
}

fn time_to_level(variant: &VariantRuns, level: f64, bootstrap: &Bootstrap) -> TimeToLevel {
    let (mut steps, mut minutes) = (Vec::new(), Vec::new());
    for run in &variant.runs {
        steps.extend(first_crossing(&evaluation_points(&run.metrics, Quantity::Success), level));
        let lines = run.metrics.iter();
        let timed = lines.filter_map(|line| {
            Some((line.seconds.elapsed / 60.0, line.evaluation.as_ref()?.success?))
        });
        minutes.extend(first_crossing(&timed.collect::<Vec<_>>(), level));
    }
    TimeToLevel {
        steps: bootstrap.estimate(&steps),
        minutes: bootstrap.estimate(&minutes),
        reached: steps.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::recorded_run::RecordedRun;
    use crate::report::variant_runs::group_by_variant;
    use crate::train::{Config, IterationMetrics, KindResult, Seconds};

    /// A line of an iteration of 100 steps and half a minute, evaluated on two kinds.
    fn line(iteration: u64, pick: f64, heat: f64) -> IterationMetrics {
        let kind = |kind: &str, success| KindResult {
            kind: kind.into(),
            success,
            ..KindResult::default()
        };
        IterationMetrics {
            iteration,
            steps: 100 * iteration,
            seconds: Seconds { elapsed: 30.0 * iteration as f64, ..Seconds::default() },
            evaluation: Some(EvaluationMetrics {
                success: Some((pick + heat) / 2.0),
                length: 10.0,
                kinds: vec![kind("Pick", Some(pick)), kind("Heat", Some(heat))],
                ..EvaluationMetrics::default()
            }),
            ..IterationMetrics::default()
        }
    }

    fn run(seed: u64, metrics: Vec<IterationMetrics>) -> RecordedRun {
        let mut config = Config::default();
        (config.run.seed, config.run.iterations) = (seed, 4);
        RecordedRun { name: format!("a-s{seed}"), config, metrics }
    }

    #[test]
    fn results_and_levels_match_values_computed_by_hand() {
        let runs = vec![
            run(0, vec![line(0, 0.0, 0.0), line(2, 0.6, 0.2), line(4, 1.0, 0.8)]),
            run(1, vec![line(0, 0.0, 0.0), line(4, 0.5, 0.5)]),
            run(2, vec![line(0, 0.0, 0.0), line(1, 0.0, 0.5)]),
        ];
        let variants = group_by_variant(runs);
        let all = summarise(&variants, &bootstrap_for(&variants));
        assert_eq!(all.kinds, ["Pick", "Heat"]);
        let summary = &all.variants[0];
        assert_eq!((summary.runs, summary.finished), (3, 2));
        let near = |estimate: Option<MeanInterval>, mean: f64, runs: usize| {
            let estimate = estimate.unwrap();
            assert!((estimate.mean - mean).abs() < 1e-9, "{estimate:?}");
            assert_eq!(estimate.runs, runs);
        };
        // The third run is unfinished and does not count for final results.
        near(summary.results[0], (0.9 + 0.5) / 2.0, 2);
        near(summary.kinds[0], (1.0 + 0.5) / 2.0, 2);
        near(summary.kinds[1], (0.8 + 0.5) / 2.0, 2);
        near(summary.length, 10.0, 2);
        // 25 %: on the way to 40 % at 200 steps, to 50 % at 400, to 25 % at 100.
        near(summary.levels[0].steps, (125.0 + 200.0 + 100.0) / 3.0, 3);
        near(summary.levels[0].minutes, (0.625 + 1.0 + 0.5) / 3.0, 3);
        // 50 %: a fifth of the way from 200 to 400 steps, and at 400.
        near(summary.levels[1].steps, (240.0 + 400.0) / 2.0, 2);
        near(summary.levels[3].steps, 400.0, 1);
        assert_eq!(summary.levels.iter().map(|one| one.reached).collect::<Vec<_>>(), [3, 2, 1, 1]);
    }

    #[test]
    fn without_an_evaluation_there_is_no_success() {
        let variants = group_by_variant(vec![run(0, Vec::new())]);
        let all = summarise(&variants, &bootstrap_for(&variants));
        assert_eq!((all.variants[0].results[0], all.variants[0].finished), (None, 0));
        assert_eq!(all.variants[0].levels[0].reached, 0);
    }
}
