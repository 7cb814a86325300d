//! Final results, and the time to reach levels of success.

use maud::{Markup, html};

use super::elements::{Row, Table, mean_cell, name, text};
use crate::report::chart::short_count;
use crate::report::paired::PairedDifference;
use crate::report::quantity::Quantity;
use crate::report::statistics::MeanInterval;
use crate::report::summary::{LEVELS, StudySummary, TimeToLevel, VariantSummary};

/// Final results on held-out tasks, over all tasks and by kind.
pub fn results_section(summary: &StudySummary) -> Markup {
    let quantities = &summary.quantities;
    let mut heads = ["variant", "runs"].map(text).to_vec();
    heads.extend(quantities.iter().map(|quantity| text(quantity.name())));
    heads.extend(summary.kinds.iter().map(text));
    heads.push(text("mean steps"));
    let row = |(number, variant): (usize, &VariantSummary)| {
        let mut cells = vec![name(&variant.name), runs(variant)];
        let results = quantities.iter().zip(&variant.results);
        cells.extend(results.map(|(&quantity, result)| estimate(quantity, result.as_ref())));
        cells.extend(variant.kinds.iter().map(|kind| estimate(quantities[0], kind.as_ref())));
        cells.push(mean_cell(variant.length.as_ref(), &one_digit, ""));
        Row { variant: Some(number), cells }
    };
    let rows = summary.variants.iter().enumerate().map(row).collect();
    html! {
        h2 { "Final results on held-out tasks" }
        p.note {
            "Means over seeds above their 95 % bootstrap intervals, or with fewer than five seeds above \
             their values. If a variant has finished runs, only those count. Results by kind of task are " (quantities[0].name()) "."
        }
        (Table { heads, rows, numeric: true })
        @if !summary.paired.is_empty() { (differences(summary)) }
    }
}

/// Differences between the best variant and the others.
fn differences(summary: &StudySummary) -> Markup {
    let quantity = summary.quantities[0];
    let name_of = |variant: usize| summary.variants[variant].name.as_str();
    let row = |one: &PairedDifference| {
        let won = format!("{} of {}", one.won, one.difference.runs);
        let difference = estimate(quantity, Some(&one.difference));
        Row {
            variant: Some(one.other),
            cells: vec![name(name_of(one.other)), difference, text(won)],
        }
    };
    let better = name_of(summary.paired[0].better);
    html! {
        h3 { (better) " minus each other variant, over the same seeds" }
        p.note {
            "Means of the differences between runs of one seed in final " (quantity.name()) ", above their \
             95 % bootstrap intervals, or with fewer than five seeds above their values. An interval \
             without 0 tells the variants apart."
        }
        (Table {
            heads: vec![text("variant"), text("difference"), text("seeds won")],
            rows: summary.paired.iter().map(row).collect(),
            numeric: true,
        })
    }
}

fn runs(variant: &VariantSummary) -> Markup {
    html! {
        @if variant.finished == variant.runs { (variant.runs) }
        @else { (variant.finished) " of " (variant.runs) small { "finished" } }
    }
}

fn estimate(quantity: Quantity, estimate: Option<&MeanInterval>) -> Markup {
    match quantity {
        Quantity::Success | Quantity::Score => {
            mean_cell(estimate, &|share| one_digit(100.0 * share), " %")
        }
        Quantity::Return => mean_cell(estimate, &|value| format!("{value:.3}"), ""),
    }
}

fn one_digit(value: f64) -> String {
    format!("{value:.1}")
}

/// Environment steps and minutes until held-out success first reached each of [`LEVELS`].
pub fn speed_section(summary: &StudySummary) -> Markup {
    let steps = |level: &TimeToLevel| mean_cell(level.steps.as_ref(), &short_count, "");
    let minutes = |level: &TimeToLevel| mean_cell(level.minutes.as_ref(), &one_digit, "");
    html! {
        h2 { "Time to reach a level of success" }
        p.note {
            "Environment steps and minutes until held-out success first reached a level, by linear \
             interpolation between evaluations: means over the runs that reached it; their number is \
             given if not all did. Minutes are a run's own wall-clock time, with evaluations; parallel \
             runs slow each other down."
        }
        div.charts {
            div { h3 { "Environment steps" } (levels(summary, &steps)) }
            div { h3 { "Minutes" } (levels(summary, &minutes)) }
        }
    }
}

fn levels(summary: &StudySummary, cell: &dyn Fn(&TimeToLevel) -> Markup) -> Table {
    let mut heads = vec![text("variant")];
    heads.extend(LEVELS.iter().map(|level| text(format!("{:.0} %", 100.0 * level))));
    let row = |(number, variant): (usize, &VariantSummary)| {
        let with_count = |level: &TimeToLevel| {
            let some = level.reached > 0 && level.reached < variant.runs;
            html! {
                (cell(level))
                @if some { small { (level.reached) " of " (variant.runs) } }
            }
        };
        let mut cells = vec![name(&variant.name)];
        cells.extend(variant.levels.iter().map(with_count));
        Row { variant: Some(number), cells }
    };
    let rows = summary.variants.iter().enumerate().map(row).collect();
    Table { heads, rows, numeric: true }
}
