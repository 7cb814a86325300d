//! Tables for the terminal.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::terminal::printable;
use crate::report::{LEVELS, MeanInterval, StudySummary, VariantSummary, short_count};
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
    for &column in numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Success by kind of task and over all tasks, with that of an earlier policy, which is named, if it is
/// known.
pub fn results(
    kinds: &[KindResult],
    overall: &KindResult,
    before: Option<(&'static str, &[KindResult])>,
) -> Table {
    let mut header = vec!["kind", "tasks", "won", "success", "mean steps"];
    if let Some((name, _)) = before {
        header.push(name);
    }
    let row = |result: &KindResult| {
        let mut row = vec![
            result.kind.clone(),
            result.tasks.to_string(),
            result.won.to_string(),
            percent(result.success),
            format!("{:.1}", result.length),
        ];
        if let Some((_, before)) = before {
            let one = before.iter().find(|one| one.kind == result.kind);
            row.push(one.map_or_else(String::new, |one| percent(one.success)));
        }
        row
    };
    let rows = kinds.iter().chain([overall]).map(row).collect();
    table(&header, rows, &[1, 2, 3, 4, 5])
}

/// A share as per cent.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// Final success of each variant over all tasks, with its interval, and by kind of task.
pub fn final_results(summary: &StudySummary) -> Table {
    let mut header = vec!["variant", "runs", "success", "95 %"];
    header.extend(summary.kinds.iter().map(String::as_str));
    let mean =
        |estimate: &Option<MeanInterval>| estimate.map_or("-".into(), |one| percent(one.mean));
    let row = |one: &VariantSummary| {
        let interval = one.success.and_then(|success| success.interval);
        let interval = interval
            .map_or("-".into(), |(low, high)| format!("{:.1}-{:.1}", 100.0 * low, 100.0 * high));
        let mut row = vec![one.name.clone(), runs(one), mean(&one.success), interval];
        row.extend(one.kinds.iter().map(mean));
        row
    };
    let rows = summary.variants.iter().map(row).collect();
    table(&header, rows, &(1..header.len()).collect::<Vec<_>>())
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
        Some(MeanInterval { mean, interval, runs })
    }

    #[test]
    fn each_variant_has_a_row_with_the_known_results() {
        let level = |steps, reached| TimeToLevel { steps, minutes: None, reached };
        let nothing = || level(None, 0);
        let summary = |name: &str, finished, success, half| VariantSummary {
            name: name.into(),
            runs: 3,
            finished,
            success,
            length: None,
            kinds: vec![None, success],
            levels: vec![nothing(), half, nothing(), nothing()],
        };
        let half = level(estimate(51_200.0, Some((1.0, 2.0)), 2), 2);
        let summaries = StudySummary {
            kinds: vec!["Pick".into(), "Heat".into()],
            variants: vec![
                summary("a", 3, estimate(0.865, Some((0.801, 0.923)), 3), half),
                summary("b", 1, estimate(0.5, None, 1), nothing()),
            ],
        };
        let rows = |table: Table| -> Vec<String> {
            let squeeze = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            table.to_string().lines().map(squeeze).collect()
        };
        let lines = rows(final_results(&summaries));
        assert_eq!(lines[0], "| variant | runs | success | 95 % | Pick | Heat |");
        assert_eq!(lines[2], "| a | 3 | 86.5 % | 80.1-92.3 | - | 86.5 % |");
        assert_eq!(lines[3], "| b | 1/3 done | 50.0 % | - | - | 50.0 % |");
        let lines = rows(times_to_levels(&summaries));
        assert!(
            lines[0].starts_with("| variant | steps to 50 % | minutes to 50 % | steps to 90 %")
        );
        assert_eq!(lines[2], "| a | 51.2k (2/3) | - | - | - |");
    }
}
