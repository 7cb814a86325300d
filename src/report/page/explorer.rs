//! The curves of all metrics, which a script draws from data in the page.

use maud::{Markup, PreEscaped, html};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeMap;

use crate::report::recorded_run::RecordedRun;
use crate::report::variant_runs::VariantRuns;
use crate::train::IterationMetrics;

const SCRIPT: &str = include_str!("explorer.js");

/// Number of values of all runs in the page, from which the number of a run's iterations follows.
const MAX_VALUES: usize = 500_000;

/// Maximum number of iterations of a run. Evaluated iterations are kept besides.
const MAX_ITERATIONS: usize = 600;

/// A run's numbers, a list for each metric with a value or null for each iteration.
#[derive(Serialize)]
struct Curves<'a> {
    name: &'a str,
    variant: usize,
    iterations: Vec<u64>,
    steps: Vec<u64>,
    minutes: Vec<Box<RawValue>>,
    values: BTreeMap<String, Vec<Option<Box<RawValue>>>>,
}

/// A curve of every number of the metrics, with values on hover; nothing if there are none.
pub fn explorer_section(variants: &[VariantRuns]) -> Markup {
    let runs: Vec<(usize, &RecordedRun)> = variants
        .iter()
        .enumerate()
        .flat_map(|(number, variant)| variant.runs.iter().map(move |run| (number, run)))
        .filter(|(_, run)| !run.metrics.is_empty())
        .collect();
    let widths = runs.iter().map(|(_, run)| run.metrics.iter().map(width).max().unwrap_or(0));
    let width: usize = widths.sum();
    let iterations = (MAX_VALUES / width.max(1)).clamp(50, MAX_ITERATIONS);
    let data: Vec<Curves> =
        runs.iter().map(|&(variant, run)| curves(variant, run, iterations)).collect();
    // A structure of numbers and texts has a JSON form. No text can end the element that holds it.
    let data = serde_json::to_string(&data).unwrap_or_default().replace('<', "\\u003c");
    html! {
        @if !runs.is_empty() {
            section id="explorer" hidden {
                h2 { "All metrics" }
                p.note {
                    "Every number of metrics.jsonl. Point at a curve to read its values. Of long runs, \
                     some iterations are left out here."
                }
                div.controls {
                    label { "Axis " select name="axis" {
                        option value="steps" { "steps" }
                        option value="iterations" { "iterations" }
                        option value="minutes" { "wall clock" }
                    } }
                    label { "Smoothing " input name="smoothing" type="range" min="0" max="0.98" step="0.02" value="0.5"; }
                    label { "Names with " input name="filter" type="search" placeholder="loss"; }
                }
                div hidden { @for number in 0..variants.len() { span class={ "v" (number) } {} } }
                div.charts.small {}
            }
            // A script and data of this crate; texts of runs are inside of JSON strings.
            script id="explorer-data" type="application/json" { (PreEscaped(data)) }
            script { (PreEscaped(SCRIPT)) }
        }
    }
}

/// Number of values of an iteration.
fn width(line: &IterationMetrics) -> usize {
    line.scalars().len()
}

/// The curves of a run, of about `iterations` iterations.
fn curves(variant: usize, run: &RecordedRun, iterations: usize) -> Curves<'_> {
    let stride = run.metrics.len().div_ceil(iterations).max(1);
    let last = run.metrics.len() - 1;
    let lines: Vec<&IterationMetrics> = run
        .metrics
        .iter()
        .enumerate()
        .filter(|(at, line)| at % stride == 0 || *at == last || line.evaluation.is_some())
        .map(|(_, line)| line)
        .collect();
    let mut values: BTreeMap<String, Vec<Option<Box<RawValue>>>> = BTreeMap::new();
    for (at, line) in lines.iter().enumerate() {
        let trained = line.iteration > 0;
        // The line of the untrained policy has an evaluation alone.
        let numbers = line.scalars().into_iter().filter(|(name, _)| {
            !matches!(&**name, "iteration" | "steps")
                && (trained || name.starts_with("evaluation") || name == "seconds/elapsed")
        });
        for (name, number) in numbers {
            let curve = values.entry(name).or_default();
            curve.resize_with(at, || None);
            curve.push(short(number));
        }
    }
    values.values_mut().for_each(|curve| curve.resize_with(lines.len(), || None));
    Curves {
        name: &run.name,
        variant,
        iterations: lines.iter().map(|line| line.iteration).collect(),
        steps: lines.iter().map(|line| line.steps).collect(),
        minutes: lines.iter().filter_map(|line| short(line.seconds.elapsed / 60.0)).collect(),
        values,
    }
}

/// A number with five significant digits.
fn short(number: f64) -> Option<Box<RawValue>> {
    let rounded: f64 = format!("{number:.4e}").parse().ok()?;
    // A whole number needs no fraction.
    let is_whole = rounded.fract() == 0.0 && rounded.abs() < 1e15;
    if is_whole { to_raw_value(&(rounded as i64)).ok() } else { to_raw_value(&rounded).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::variant_runs::group_by_variant;
    use crate::train::{Config, EvaluationMetrics};

    /// The data in the page.
    fn data(metrics: Vec<IterationMetrics>) -> serde_json::Value {
        let run = RecordedRun { name: "</script>".into(), config: Config::default(), metrics };
        let page = explorer_section(&group_by_variant(vec![run])).into_string();
        let (_, rest) = page.split_once("application/json\">").unwrap();
        serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
    }

    #[test]
    fn long_runs_keep_their_evaluations_and_their_end() {
        let line = |iteration: u64| IterationMetrics {
            iteration,
            steps: 10 * iteration,
            loss: 1.0 / 3.0,
            evaluation: (iteration == 1001).then(EvaluationMetrics::default),
            ..IterationMetrics::default()
        };
        let data = data((0..5000).map(line).collect());
        let run = &data[0];
        assert_eq!(run["name"], "</script>");
        let iterations: Vec<u64> = serde_json::from_value(run["iterations"].clone()).unwrap();
        assert!(iterations.len() <= MAX_ITERATIONS + 2, "{}", iterations.len());
        assert!(iterations.contains(&1001) && iterations.last() == Some(&4999));
        let loss = run["values"]["loss"].as_array().unwrap();
        assert_eq!(
            (loss.len(), &loss[0], loss[1].as_f64()),
            (iterations.len(), &serde_json::Value::Null, Some(0.33333))
        );
        let length = run["values"]["evaluation/length"].as_array().unwrap();
        assert_eq!(length.iter().filter(|one| !one.is_null()).count(), 1);
    }

    #[test]
    fn without_metrics_there_is_no_section() {
        assert_eq!(explorer_section(&[]).into_string(), "");
    }
}
