//! Tables for the terminal.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::terminal::printable;
use crate::report::{
    LEVELS, MIN_INTERVAL_RUNS, MeanInterval, PairedDifference, Quantity, StudySummary,
    VariantSummary, short_count,
};
use crate::train::KindResult;

/// A table with the columns in `numbers` aligned to the right. Control characters are escaped.
pub fn table(header: &[&str], rows: Vec<Vec<String>>, numbers: &[usize]) -> Table {
    let escape = |row: Vec<String>| row.iter().map(|cell| printable(cell).into_owned()).collect();
    let rows = rows.into_iter().map(escape).collect::<Vec<Vec<String>>>();
    let header = header.iter().map(|head| printable(head).into_owned());
    let mut table = Table::new();
    table
        .load_style(presets::ASCII_MARKDOWN)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header)
        .add_rows(rows);
    // Launchers of processes give them a terminal that has no width.
    if table.width() == Some(0) {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    for &column in numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Results by kind of task and over all tasks, with those of an earlier policy, which is named, if they
/// are known. A number that the environment does not report has no column.
pub fn results(
    kinds: &[KindResult],
    overall: &KindResult,
    before: Option<(&'static str, &[KindResult])>,
) -> Table {
    let quantity = Quantity::of_result(overall);
    let mut header = vec!["kind", "tasks"];
    if overall.success.is_some() {
        header.extend(["won", "success"]);
    }
    if overall.score.is_some() {
        header.push("score");
    }
    header.extend(["return", "mean steps"]);
    header.extend(overall.metrics.keys().map(String::as_str));
    if let Some((name, _)) = before {
        header.push(name);
    }
    let row = |result: &KindResult| {
        let mut row = vec![result.kind.clone(), result.tasks.to_string()];
        if overall.success.is_some() {
            row.extend([result.won.to_string(), share(result.success)]);
        }
        if overall.score.is_some() {
            row.push(share(result.score));
        }
        row.push(number(result.mean_return));
        row.push(format!("{:.1}", result.length));
        row.extend(overall.metrics.keys().map(|name| number(result.metrics.get(name).copied())));
        if let Some((_, before)) = before {
            let one = before.iter().find(|one| one.kind == result.kind);
            row.push(one.map_or_else(String::new, |one| {
                quantity.of_kind(one).map_or("-".into(), |value| quantity.show(value))
            }));
        }
        row
    };
    let rows = kinds.iter().chain([overall]).map(row).collect();
    table(&header, rows, &(1..header.len()).collect::<Vec<_>>())
}

/// A result in a word: `98.0 %`, `score 81.2 %` or `return 3.42`; success and score if both are known.
pub fn in_short(result: &KindResult) -> String {
    let score = result.score.map(|score| format!("score {}", percent(score)));
    match (result.success, score) {
        (Some(success), Some(score)) => format!("{}, {score}", percent(success)),
        (Some(success), None) => percent(success),
        (None, Some(score)) => score,
        (None, None) => format!("return {}", number(result.mean_return)),
    }
}

fn share(share: Option<f64>) -> String {
    share.map_or("-".into(), percent)
}

fn number(number: Option<f64>) -> String {
    number.map_or("-".into(), |number| format!("{number:.3}"))
}

/// A share as per cent.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// Final results of each variant over all tasks, with their intervals, and by kind of task.
pub fn final_results(summary: &StudySummary) -> Table {
    let mut header = vec!["variant", "runs"];
    let of_few = summary.variants.iter().all(|one| one.runs < MIN_INTERVAL_RUNS);
    let spread = if of_few { "values" } else { "95 %" };
    header.extend(summary.quantities.iter().flat_map(|quantity| [quantity.name(), spread]));
    header.extend(summary.kinds.iter().map(String::as_str));
    let mean = |quantity: Quantity, estimate: &Option<MeanInterval>| {
        estimate.map_or("-".into(), |one| quantity.show(one.mean))
    };
    let row = |one: &VariantSummary| {
        let mut row = vec![one.name.clone(), runs(one)];
        for (&quantity, result) in summary.quantities.iter().zip(&one.results) {
            row.extend([mean(quantity, result), spread_of(quantity, result.as_ref())]);
        }
        row.extend(one.kinds.iter().map(|kind| mean(summary.quantities[0], kind)));
        row
    };
    let rows = summary.variants.iter().map(row).collect();
    table(&header, rows, &(1..header.len()).collect::<Vec<_>>())
}

/// The differences between the best variant and each other one, over the same seeds; `None` if there are
/// none.
pub fn paired_differences(summary: &StudySummary) -> Option<Table> {
    let first = summary.paired.first()?;
    let (quantity, name) =
        (summary.quantities[0], |variant: usize| summary.variants[variant].name.clone());
    let of_few = summary.paired.iter().all(|one| one.difference.runs < MIN_INTERVAL_RUNS);
    let spread = if of_few { "values" } else { "95 %" };
    let head = format!("{} minus", name(first.better));
    let header = [&*head, quantity.name(), spread, "seeds won"];
    let row = |one: &PairedDifference| {
        let sign = if one.difference.mean > 0.0 { "+" } else { "" };
        vec![
            name(one.other),
            format!("{sign}{}", quantity.show(one.difference.mean)),
            spread_of(quantity, Some(&one.difference)),
            format!("{} of {}", one.won, one.difference.runs),
        ]
    };
    Some(table(&header, summary.paired.iter().map(row).collect(), &[1, 2, 3]))
}

/// The interval of a result, or its values if they are few.
fn spread_of(quantity: Quantity, estimate: Option<&MeanInterval>) -> String {
    let Some(estimate) = estimate else { return "-".into() };
    let show = |value: f64| match quantity {
        Quantity::Success | Quantity::Score => format!("{:.1}", 100.0 * value),
        Quantity::Return => format!("{value:.3}"),
    };
    match (estimate.interval, estimate.values()) {
        (Some((low, high)), _) if low < 0.0 => format!("{} to {}", show(low), show(high)),
        (Some((low, high)), _) => format!("{}-{}", show(low), show(high)),
        (None, []) => "-".into(),
        (None, values) => values.iter().map(|&value| show(value)).collect::<Vec<_>>().join(", "),
    }
}

/// The number of runs, and the number of finished ones if not all are.
fn runs(one: &VariantSummary) -> String {
    if one.finished == one.runs {
        return one.runs.to_string();
    }
    format!("{}/{} done", one.finished, one.runs)
}

/// The levels that the terminal shows. The report shows all.
const SHOWN: [f64; 2] = [0.5, 0.9];

/// Environment steps and minutes until each variant first reached a level of success.
pub fn times_to_levels(summary: &StudySummary) -> Table {
    let shown: Vec<usize> =
        (0..LEVELS.len()).filter(|&level| SHOWN.contains(&LEVELS[level])).collect();
    let mut header = vec!["variant".to_string()];
    for &level in &shown {
        let level = format!("{:.0} %", 100.0 * LEVELS[level]);
        header.extend([format!("steps to {level}"), format!("minutes to {level}")]);
    }
    let cell = |estimate: &Option<MeanInterval>, runs: usize, show: &dyn Fn(f64) -> String| {
        let Some(one) = estimate else {
            return "-".to_string();
        };
        let some = if one.runs < runs { format!(" ({}/{runs})", one.runs) } else { String::new() };
        show(one.mean) + &some
    };
    let row = |one: &VariantSummary| {
        let mut row = vec![one.name.clone()];
        for level in shown.iter().filter_map(|&level| one.levels.get(level)) {
            row.push(cell(&level.steps, one.runs, &short_count));
            row.push(cell(&level.minutes, one.runs, &|minutes| format!("{minutes:.1}")));
        }
        row
    };
    let rows = summary.variants.iter().map(row).collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    table(&header, rows, &(1..header.len()).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::TimeToLevel;

    fn estimate(mean: f64, interval: Option<(f64, f64)>, runs: usize) -> Option<MeanInterval> {
        Some(MeanInterval { interval, runs, ..MeanInterval::single(mean) })
    }

    #[test]
    fn each_variant_has_a_row_with_the_known_results() {
        let level = |steps, reached| TimeToLevel { steps, minutes: None, reached };
        let nothing = || level(None, 0);
        let summary = |name: &str, finished, success, half| VariantSummary {
            name: name.into(),
            runs: 5,
            finished,
            results: vec![success],
            length: None,
            kinds: vec![None, success],
            levels: vec![nothing(), half, nothing(), nothing()],
        };
        let half = level(estimate(51_200.0, Some((1.0, 2.0)), 2), 2);
        let summaries = StudySummary {
            quantities: vec![Quantity::Success],
            kinds: vec!["Pick".into(), "Heat".into()],
            variants: vec![
                summary("a", 5, estimate(0.865, Some((0.801, 0.923)), 5), half),
                summary("b", 1, estimate(0.5, None, 1), nothing()),
            ],
            paired: vec![PairedDifference {
                better: 0,
                other: 1,
                difference: estimate(0.365, Some((-0.01, 0.5)), 5).unwrap(),
                won: 4,
            }],
        };
        let rows = |table: Table| -> Vec<String> {
            let squeeze = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            table.to_string().lines().map(squeeze).collect()
        };
        let lines = rows(final_results(&summaries));
        assert_eq!(lines[0], "| variant | runs | success | 95 % | Pick | Heat |");
        assert_eq!(lines[2], "| a | 5 | 86.5 % | 80.1-92.3 | - | 86.5 % |");
        assert_eq!(lines[3], "| b | 1/5 done | 50.0 % | - | - | 50.0 % |");
        let lines = rows(times_to_levels(&summaries));
        assert!(
            lines[0].starts_with("| variant | steps to 50 % | minutes to 50 % | steps to 90 %")
        );
        assert_eq!(lines[2], "| a | 51.2k (2/5) | - | - | - |");
        let lines = rows(paired_differences(&summaries).unwrap());
        assert_eq!(lines[0], "| a minus | success | 95 % | seeds won |");
        assert_eq!(lines[2], "| b | +36.5 % | -1.0 to 50.0 | 4 of 5 |");
    }
}
