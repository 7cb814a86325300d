//! What comes of each variant, in numbers: success at the end, and how soon levels were reached.

use super::series::evaluations;
use super::statistics::{Bootstrap, Estimate, first_reach};
use super::variants::Variant;
use crate::train::EvaluationMetrics;

/// The success levels whose reaching is timed.
pub const LEVELS: [f64; 4] = [0.25, 0.5, 0.75, 0.9];

/// What came of one variant.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The variant's name.
    pub name: String,
    /// How many runs there are.
    pub runs: usize,
    /// How many of them are over. If any is, those alone count for the end.
    pub over: usize,
    /// Success on held-out tasks at the end.
    pub success: Option<Estimate>,
    /// Mean steps of a held-out episode at the end.
    pub length: Option<Estimate>,
    /// Success by kind of task, in the order of [`Summaries::kinds`].
    pub kinds: Vec<Option<Estimate>>,
    /// How soon each of [`LEVELS`] was reached.
    pub levels: Vec<Level>,
}

/// How soon a success level was reached on held-out tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// Environment steps, over the runs that reached it.
    pub steps: Option<Estimate>,
    /// Minutes, over the same runs.
    pub minutes: Option<Estimate>,
    /// How many runs reached it.
    pub reached: usize,
}

/// What came of all variants.
#[derive(Debug, Clone, PartialEq)]
pub struct Summaries {
    /// The kinds of task, in the order in which they were found.
    pub kinds: Vec<String>,
    /// One a variant.
    pub variants: Vec<Summary>,
}

/// Draws for the largest of the variants.
pub fn bootstrap_for(variants: &[Variant]) -> Bootstrap {
    Bootstrap::new(variants.iter().map(|variant| variant.runs.len()).max().unwrap_or(0))
}

/// Sums up all variants.
pub fn summarise(variants: &[Variant], bootstrap: &Bootstrap) -> Summaries {
    let mut kinds: Vec<String> = Vec::new();
    for result in variants.iter().flat_map(last_evaluations).flat_map(|one| &one.kinds) {
        if !kinds.contains(&result.kind) {
            kinds.push(result.kind.clone());
        }
    }
    let variants = variants.iter().map(|variant| sum_up(variant, &kinds, bootstrap)).collect();
    Summaries { kinds, variants }
}

/// The last evaluation of every run that speaks for the variant's end.
fn last_evaluations(variant: &Variant) -> Vec<&EvaluationMetrics> {
    let judged = variant.judged().into_iter();
    judged
        .filter_map(|run| run.metrics.iter().rev().find_map(|line| line.evaluation.as_ref()))
        .collect()
}

fn sum_up(variant: &Variant, kinds: &[String], bootstrap: &Bootstrap) -> Summary {
    let ends = last_evaluations(variant);
    let over_runs = |value: &dyn Fn(&EvaluationMetrics) -> Option<f64>| {
        let values: Vec<f64> = ends.iter().filter_map(|end| value(end)).collect();
        bootstrap.estimate(&values)
    };
    let of_kind = |kind: &String| {
        over_runs(&|end| Some(end.kinds.iter().find(|one| one.kind == *kind)?.success))
    };
    Summary {
        name: variant.name.clone(),
        runs: variant.runs.len(),
        over: variant.over(),
        success: over_runs(&|end| Some(end.success)),
        length: over_runs(&|end| Some(end.length)),
        kinds: kinds.iter().map(of_kind).collect(),
        levels: LEVELS.iter().map(|&level| reach(variant, level, bootstrap)).collect(),
    }
}

fn reach(variant: &Variant, level: f64, bootstrap: &Bootstrap) -> Level {
    let (mut steps, mut minutes) = (Vec::new(), Vec::new());
    for run in &variant.runs {
        steps.extend(first_reach(&evaluations(&run.metrics), level));
        let lines = run.metrics.iter();
        let timed = lines.filter_map(|line| {
            Some((line.seconds.elapsed / 60.0, line.evaluation.as_ref()?.success))
        });
        minutes.extend(first_reach(&timed.collect::<Vec<_>>(), level));
    }
    Level {
        steps: bootstrap.estimate(&steps),
        minutes: bootstrap.estimate(&minutes),
        reached: steps.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::RecordedRun;
    use crate::train::{Config, IterationMetrics, KindResult, Seconds};

    /// A line of an iteration of 100 steps and half a minute, judged on two kinds.
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
                success: (pick + heat) / 2.0,
                length: 10.0,
                kinds: vec![kind("Pick", pick), kind("Heat", heat)],
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
    fn ends_and_levels_are_those_reckoned_by_hand() {
        let runs = vec![
            run(0, vec![line(0, 0.0, 0.0), line(2, 0.6, 0.2), line(4, 1.0, 0.8)]),
            run(1, vec![line(0, 0.0, 0.0), line(4, 0.5, 0.5)]),
            run(2, vec![line(0, 0.0, 0.0), line(1, 0.0, 0.5)]),
        ];
        let variants = super::super::group(runs);
        let all = summarise(&variants, &bootstrap_for(&variants));
        assert_eq!(all.kinds, ["Pick", "Heat"]);
        let summary = &all.variants[0];
        assert_eq!((summary.runs, summary.over), (3, 2));
        let near = |estimate: Option<Estimate>, mean: f64, runs: usize| {
            let estimate = estimate.unwrap();
            assert!((estimate.mean - mean).abs() < 1e-9, "{estimate:?}");
            assert_eq!(estimate.runs, runs);
        };
        // The third is under way and says nothing of the end.
        near(summary.success, (0.9 + 0.5) / 2.0, 2);
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
    fn what_nobody_judged_has_no_success() {
        let variants = super::super::group(vec![run(0, Vec::new())]);
        let all = summarise(&variants, &bootstrap_for(&variants));
        assert_eq!((all.variants[0].success, all.variants[0].over), (None, 0));
        assert_eq!(all.variants[0].levels[0].reached, 0);
    }
}
