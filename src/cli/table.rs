//! Tables for the terminal.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::train::KindResult;

/// A table; the columns in `numbers` stand to the right.
pub fn table(header: &[&str], rows: Vec<Vec<String>>, numbers: &[usize]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::ASCII_MARKDOWN)
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

/// Success by kind of task and over all, beside an untrained policy's where there is one.
pub fn results(kinds: &[KindResult], overall: &KindResult, before: Option<&[KindResult]>) -> Table {
    let mut header = vec!["kind", "tasks", "won", "success", "mean steps"];
    if before.is_some() {
        header.push("untrained");
    }
    let row = |result: &KindResult| {
        let mut row = vec![
            result.kind.clone(),
            result.tasks.to_string(),
            result.won.to_string(),
            percent(result.success),
            format!("{:.1}", result.length),
        ];
        if let Some(before) = before {
            let one = before.iter().find(|one| one.kind == result.kind);
            row.push(one.map_or_else(String::new, |one| percent(one.success)));
        }
        row
    };
    let rows = kinds.iter().chain([overall]).map(row).collect();
    table(&header, rows, &[1, 2, 3, 4, 5])
}

/// A share in per cent.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
