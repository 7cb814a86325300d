//! `proxmo report`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::table::{final_results, paired_differences, times_to_levels};
use super::terminal::say;
use crate::error::{Error, Result};
use crate::files::write_atomic;
use crate::report::{
    Gallery, Quantity, bootstrap_for, csv_table, find_runs, group_by_variant, page, read_run,
    summarise, variants_image,
};

/// Report on finished or running runs: curves, tables and settings in one HTML file.
///
/// Runs that differ by their seed alone form one variant, shown as its mean over seeds with a 95 %
/// bootstrap interval, or with the values of fewer than five seeds.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Run folders, or folders that contain run folders (as written by `proxmo compare`).
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// File to write [default: report.html in RUN, or in the working directory for several RUNs].
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Also write every number of every iteration to a CSV file: a row an iteration, a column a number.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Also write the learning curves on held-out tasks to an SVG file.
    #[arg(long, value_name = "FILE")]
    figure: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  proxmo report runs/household-1
  proxmo report runs/compare-1
  proxmo report runs/first runs/second --output both.html
  proxmo report runs/compare-1 --figure curves.svg
  proxmo report runs/compare-1 --csv metrics.csv";

pub fn run(arguments: &Arguments) -> Result<()> {
    let output = match (&arguments.output, arguments.runs.as_slice()) {
        (Some(output), _) => output.clone(),
        (None, [only]) => only.join("report.html"),
        (None, _) => PathBuf::from("report.html"),
    };
    report(&arguments.runs, &output, arguments.figure.as_deref(), arguments.csv.as_deref())
}

/// Writes the report on the runs that `paths` name, and its learning curves to `figure`, its numbers to
/// `csv`, and prints its tables.
pub(super) fn report(
    paths: &[PathBuf],
    output: &Path,
    figure: Option<&Path>,
    csv: Option<&Path>,
) -> Result<()> {
    let folders = find_runs(paths)?;
    let runs: Vec<_> = folders.iter().map(|run| read_run(run)).collect::<Result<_>>()?;
    if runs.iter().all(|run| run.metrics.is_empty()) {
        let folder = paths.first().map_or(Path::new("."), PathBuf::as_path);
        return Err(Error::file(folder, "no run there has metrics (metrics.jsonl) yet"));
    }
    if let Some(path) = csv {
        write_atomic(path, csv_table(&runs).as_bytes())?;
    }
    // Episodes are shown of a single run.
    let gallery = match (&folders[..], &runs[..]) {
        ([folder], [run]) => Gallery::read(folder, &run.config)?,
        _ => None,
    };
    let variants = group_by_variant(runs);
    let bootstrap = bootstrap_for(&variants);
    let summary = summarise(&variants, &bootstrap);
    write_atomic(output, page(&variants, gallery.as_ref()).as_bytes())?;
    if let Some(path) = figure {
        write_atomic(path, variants_image(&variants, &bootstrap).as_bytes())?;
    }
    say!(
        "Final results on held-out tasks, with 95 % intervals over seeds (below five seeds: the values), \
         and by kind of task:"
    );
    say!("{}", final_results(&summary));
    if let Some(table) = paired_differences(&summary) {
        say!("\nThe best variant minus each other one, over the same seeds:");
        say!("{table}");
    }
    if summary.quantities[0] == Quantity::Success {
        say!("\nEnvironment steps and minutes until held-out success first reached a level:");
        say!("{}", times_to_levels(&summary));
    }
    say!("\nReport: {}", output.display());
    Ok(())
}
