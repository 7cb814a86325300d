//! A table of all runs.

use maud::{Markup, html};

use super::elements::{Row, Table, name, text};
use crate::report::chart::short_count;
use crate::report::quantity::Quantity;
use crate::report::recorded_run::RecordedRun;
use crate::report::variant_runs::VariantRuns;

/// A row for every run.
pub fn runs_section(variants: &[VariantRuns]) -> Markup {
    let heads = ["run", "seed", "iterations", "steps", "minutes", "held out", "state"];
    let mut rows = Vec::new();
    for (number, variant) in variants.iter().enumerate() {
        rows.extend(variant.runs.iter().map(|run| row(number, run)));
    }
    html! {
        h2 { "Runs" }
        details {
            summary { "All runs" }
            (Table { heads: heads.map(text).to_vec(), rows, numeric: true })
        }
    }
}

fn row(variant: usize, run: &RecordedRun) -> Row {
    let last = run.metrics.last().cloned().unwrap_or_default();
    let evaluation = run.metrics.iter().rev().find_map(|line| line.evaluation.as_ref());
    let quantity = Quantity::of_metrics(&run.metrics)[0];
    let result = evaluation.and_then(|one| quantity.held_out(one));
    let success = result.map_or("–".into(), |value| quantity.show(value));
    let cells = vec![
        name(&run.name),
        text(run.config.run.seed.to_string()),
        text(last.iteration.to_string()),
        text(short_count(last.steps as f64)),
        text(format!("{:.1}", last.seconds.elapsed / 60.0)),
        text(success),
        text(if run.is_finished() { "finished" } else { "not finished" }),
    ];
    Row { variant: Some(variant), cells }
}
