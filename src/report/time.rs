//! Where the time of a run went.

use std::fmt::Write;

use super::html::{Row, named, table};
use super::statistics::mean;
use super::variants::Variant;
use crate::train::IterationMetrics;

/// What time goes into.
const PARTS: [&str; 5] = ["rollout", "credit", "update", "evaluation", "the rest"];

/// Seconds that a run spent on each of [`PARTS`].
fn spent(metrics: &[IterationMetrics]) -> [f64; 5] {
    let mut spent = [0.0; 5];
    let mut before = 0.0;
    for line in metrics {
        let seconds = &line.seconds;
        let known = [seconds.rollout, seconds.credit, seconds.update];
        spent.iter_mut().zip(known).for_each(|(sum, part)| *sum += part);
        // What the clock says beyond them was the evaluation where there was one.
        let rest = (seconds.elapsed - before - known.iter().sum::<f64>()).max(0.0);
        spent[if line.evaluation.is_some() { 3 } else { 4 }] += rest;
        before = seconds.elapsed;
    }
    spent
}

/// The section with a bar and a row for each variant.
pub fn time_section(page: &mut String, variants: &[Variant]) {
    page.push_str(
        "<h2>Where time went</h2>\n<p class=\"note\">Minutes a run, in the mean over a variant's \
         runs. The rest is checkpoints and what was written.</p>\n",
    );
    let swatch =
        |(number, part): (usize, &&str)| format!("<span class=\"swatch t{number}\"></span> {part}");
    let mut heads = vec!["variant".to_string()];
    heads.extend(PARTS.iter().enumerate().map(swatch));
    heads.extend(["in all", ""].map(String::from));
    let row = |(number, variant): (usize, &Variant)| {
        let runs: Vec<[f64; 5]> = variant.runs.iter().map(|run| spent(&run.metrics)).collect();
        let part = |part: usize| {
            mean(&runs.iter().map(|run| run[part]).collect::<Vec<_>>()).unwrap_or(0.0)
        };
        let parts: [f64; 5] = std::array::from_fn(part);
        let total: f64 = parts.iter().sum();
        let mut cells = vec![named(&variant.name)];
        cells.extend(parts.iter().chain([&total]).map(|seconds| format!("{:.1}", seconds / 60.0)));
        cells.push(bar(&parts, total));
        Row { variant: Some(number), cells }
    };
    let rows: Vec<Row> = variants.iter().enumerate().map(row).collect();
    table(page, &heads, &rows, true);
}

fn bar(parts: &[f64; 5], total: f64) -> String {
    let mut bar = String::from("<div class=\"bar\">");
    for (number, seconds) in parts.iter().enumerate() {
        let share = if total > 0.0 { 100.0 * seconds / total } else { 0.0 };
        let _ = write!(bar, "<span class=\"t{number}\" style=\"width:{share:.1}%\"></span>");
    }
    bar.push_str("</div>");
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{EvaluationMetrics, Seconds};

    #[test]
    fn what_the_clock_says_beyond_the_parts_was_evaluation_or_the_rest() {
        let line = |elapsed, judged: bool, parts: [f64; 3]| IterationMetrics {
            seconds: Seconds { rollout: parts[0], credit: parts[1], update: parts[2], elapsed },
            evaluation: judged.then(EvaluationMetrics::default),
            ..Default::default()
        };
        let metrics = [
            line(5.0, true, [0.0; 3]),
            line(12.0, false, [2.0, 1.0, 3.0]),
            line(20.0, true, [2.0, 0.5, 2.5]),
            // Resumed from a checkpoint of less time than the line before it.
            line(19.0, false, [1.0, 0.0, 0.0]),
        ];
        assert_eq!(spent(&metrics), [5.0, 1.5, 5.5, 8.0, 1.0]);
        assert_eq!(spent(&[]), [0.0; 5]);
    }
}
