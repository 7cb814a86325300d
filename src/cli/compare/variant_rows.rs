//! A line for each variant of a comparison: how many of its seeds are done, and how good they are.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::plan::{PlannedRun, Progress};
use crate::cli::table::in_short;
use crate::cli::terminal::printable;
use crate::report::read_run;
use crate::train::KindResult;

/// Maximum number of lines. A sweep of many trials would fill the window.
const MAX_ROWS: usize = 12;

/// Maximum number of characters of a variant's name.
const MAX_NAME: usize = 24;

/// The lines of a comparison's variants.
#[derive(Default)]
pub(super) struct VariantRows(Vec<Row>);

/// The line of a variant.
struct Row {
    variant: String,
    bar: ProgressBar,
    runs: Vec<SeedState>,
}

/// The run of a variant with one seed.
struct SeedState {
    name: String,
    stage: Stage,
    /// Its newest evaluation on held-out tasks.
    result: Option<KindResult>,
}

/// What becomes of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Waiting,
    Running,
    Finished,
    Failed,
}

impl VariantRows {
    /// Lines for the variants of a plan, above `below`. None if there are too many.
    pub(super) fn new(plan: &[PlannedRun], bars: &MultiProgress, below: &ProgressBar) -> Self {
        let mut rows: Vec<Row> = Vec::new();
        for run in plan {
            let row = match rows.iter().position(|row| row.variant == run.variant) {
                Some(row) => &mut rows[row],
                None => {
                    rows.push(Row {
                        variant: run.variant.clone(),
                        bar: ProgressBar::hidden(),
                        runs: Vec::new(),
                    });
                    let last = rows.len() - 1;
                    &mut rows[last]
                }
            };
            let is_finished = run.progress == Progress::Finished;
            let stage = if is_finished { Stage::Finished } else { Stage::Waiting };
            row.runs.push(SeedState { name: run.name.clone(), stage, result: None });
        }
        if rows.len() > MAX_ROWS {
            return Self::default();
        }
        let names: Vec<&str> = rows.iter().map(|row| row.variant.as_str()).collect();
        for (row, label) in labels(&names).into_iter().enumerate() {
            let bar = bars.insert_before(below, ProgressBar::new(1));
            let style = ProgressStyle::with_template("  {prefix} {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(label);
            rows[row].bar = bar;
        }
        let mut rows = Self(rows);
        for run in plan.iter().filter(|run| run.progress != Progress::New) {
            // What cannot be read is not shown.
            let metrics = read_run(&run.folder).map(|run| run.metrics).unwrap_or_default();
            let last = metrics.iter().rev().find_map(|line| line.evaluation.as_ref());
            rows.change(run, |state| state.result = last.map(|last| last.overall()));
        }
        rows.0.iter().for_each(Row::show);
        rows
    }

    /// Shows what becomes of a run.
    pub(super) fn enter(&mut self, run: &PlannedRun, stage: Stage) {
        self.change(run, |state| state.stage = stage);
    }

    /// Shows the result of a run's evaluation.
    pub(super) fn evaluated(&mut self, run: &PlannedRun, result: KindResult) {
        self.change(run, |state| state.result = Some(result));
    }

    /// Removes the lines.
    pub(super) fn clear(&self) {
        self.0.iter().for_each(|row| row.bar.finish_and_clear());
    }

    fn change(&mut self, run: &PlannedRun, change: impl FnOnce(&mut SeedState)) {
        let Some(row) = self.0.iter_mut().find(|row| row.variant == run.variant) else { return };
        if let Some(state) = row.runs.iter_mut().find(|state| state.name == run.name) {
            change(state);
            row.show();
        }
    }
}

impl Row {
    fn show(&self) {
        self.bar.set_message(describe(&self.runs));
    }
}

/// Names of the same width, cut where they are long.
fn labels(names: &[&str]) -> Vec<String> {
    let shown = |name: &&str| {
        let name = printable(name).into_owned();
        match name.chars().count() > MAX_NAME {
            true => name.chars().take(MAX_NAME - 1).chain(['…']).collect(),
            false => name,
        }
    };
    let shown: Vec<String> = names.iter().map(shown).collect();
    let width = shown.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    shown.into_iter().map(|name| format!("{name:width$}")).collect()
}

/// The seeds of a variant in words. The result is the mean over the finished ones; before the first one is
/// finished, it is the mean of the newest evaluations.
fn describe(runs: &[SeedState]) -> String {
    let count = |stage| runs.iter().filter(|run| run.stage == stage).count();
    let finished = count(Stage::Finished);
    let mut text = format!("{finished} of {} seeds done", runs.len());
    for (stage, word) in [(Stage::Running, "running"), (Stage::Failed, "failed")] {
        if count(stage) > 0 {
            text += &format!(", {} {word}", count(stage));
        }
    }
    let counts = |run: &&SeedState| finished == 0 || run.stage == Stage::Finished;
    let results: Vec<&KindResult> =
        runs.iter().filter(counts).filter_map(|run| run.result.as_ref()).collect();
    match (mean(&results), finished) {
        (None, _) => text,
        (Some(mean), 0) => format!("{text}, held out so far {}", in_short(&mean)),
        (Some(mean), _) => format!("{text}, held out {}", in_short(&mean)),
    }
}

/// The mean over seeds. A number that not every seed has is absent.
fn mean(results: &[&KindResult]) -> Option<KindResult> {
    let first = *results.first()?;
    let over = |number: fn(&KindResult) -> Option<f64>| {
        let numbers: Option<Vec<f64>> = results.iter().map(|result| number(result)).collect();
        numbers.map(|numbers| numbers.iter().sum::<f64>() / numbers.len() as f64)
    };
    Some(KindResult {
        success: over(|result| result.success),
        score: over(|result| result.score),
        mean_return: over(|result| result.mean_return),
        ..first.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(stage: Stage, success: Option<f64>) -> SeedState {
        let result = success.map(|success| KindResult {
            success: Some(success),
            mean_return: Some(success),
            ..KindResult::default()
        });
        SeedState { name: String::new(), stage, result }
    }

    #[test]
    fn a_variant_tells_its_seeds_and_the_mean_of_the_finished_ones() {
        let waiting = || seed(Stage::Waiting, None);
        assert_eq!(describe(&[waiting(), waiting()]), "0 of 2 seeds done");
        let running = seed(Stage::Running, Some(0.25));
        let begun = describe(&[running, waiting()]);
        assert_eq!(begun, "0 of 2 seeds done, 1 running, held out so far 25.0 %");
        let seeds = [
            seed(Stage::Finished, Some(0.5)),
            seed(Stage::Finished, Some(0.75)),
            seed(Stage::Running, Some(0.125)),
            seed(Stage::Failed, None),
        ];
        let text = describe(&seeds);
        assert_eq!(text, "2 of 4 seeds done, 1 running, 1 failed, held out 62.5 %");
    }

    #[test]
    fn lines_fit_into_80_columns() {
        let long = "proxmo-with-a-name-that-does-not-end";
        let labels = labels(&["grpo", long]);
        assert_eq!(labels[0].chars().count(), MAX_NAME);
        assert_eq!(labels[1], "proxmo-with-a-name-that…");
        let seeds: Vec<SeedState> = (0..20)
            .map(|number| seed([Stage::Finished, Stage::Running][number % 2], Some(1.0)))
            .collect();
        let line = format!("  {} {}", labels[1], describe(&seeds));
        assert!(line.chars().count() <= 80, "{line}");
    }
}
