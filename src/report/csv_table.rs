//! The numbers of runs as a table in CSV.

use std::borrow::Cow;
use std::collections::HashMap;
use std::iter;

use super::recorded_run::RecordedRun;

/// A row for each iteration of each run, with the name of the run and every number of its metrics. The
/// first row names the columns, in the order in which they first occur; a number that an iteration does not
/// have is empty.
pub fn csv_table(runs: &[RecordedRun]) -> String {
    let mut names: Vec<String> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut rows: Vec<(&str, Vec<(usize, f64)>)> = Vec::new();
    for (run, line) in runs.iter().flat_map(|run| run.metrics.iter().map(move |line| (run, line))) {
        let numbers = line.scalars().into_iter().map(|(name, number)| {
            let place = *places.entry(name).or_insert_with_key(|name| {
                names.push(name.clone());
                names.len() - 1
            });
            (place, number)
        });
        rows.push((&run.name, numbers.collect()));
    }
    let mut table = csv_row(iter::once("run").chain(names.iter().map(String::as_str)));
    for (run, numbers) in rows {
        let mut cells = vec![String::new(); names.len()];
        for (place, number) in numbers {
            cells[place] = number.to_string();
        }
        table += &csv_row(iter::once(run).chain(cells.iter().map(String::as_str)));
    }
    table
}

/// A row, with quotes where a cell needs them (RFC 4180).
fn csv_row<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let quoted = |cell: &'a str| match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")).into(),
        false => Cow::from(cell),
    };
    let cells: Vec<Cow<str>> = cells.map(quoted).collect();
    cells.join(",") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{Config, EvaluationMetrics, IterationMetrics};

    #[test]
    fn every_number_has_its_column_and_names_are_quoted() {
        let line = |iteration, evaluation| IterationMetrics {
            iteration,
            loss: 0.1 + 0.2,
            evaluation,
            ..IterationMetrics::default()
        };
        let evaluation = EvaluationMetrics { success: Some(0.25), ..EvaluationMetrics::default() };
        let metrics = vec![line(0, None), line(1, Some(evaluation))];
        let run = RecordedRun { name: "a, \"b\"".into(), config: Config::default(), metrics };
        let table = csv_table(&[run]);
        let rows: Vec<Vec<&str>> = table
            .lines()
            .map(|row| row.strip_prefix("\"a, \"\"b\"\"\"").unwrap_or(row).split(',').collect())
            .collect();
        let of = |row: usize, name: &str| {
            rows[row][rows[0].iter().position(|known| *known == name).unwrap()]
        };
        assert_eq!((rows.len(), rows[0][0], of(1, "run"), of(2, "iteration")), (3, "run", "", "1"));
        assert_eq!(of(1, "loss").parse::<f64>().unwrap(), 0.1 + 0.2);
        assert_eq!((of(1, "evaluation/success"), of(2, "evaluation/success")), ("", "0.25"));
    }
}
