//! `proxmo report`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::table::{outcomes, speeds};
use super::terminal::say;
use crate::error::{Error, Result};
use crate::files::write_atomic;
use crate::report::{
    Variant, bootstrap_for, figure_svg, find_runs, group, page, read_run, summarise,
};

/// Report on runs, finished or under way: curves, tables, settings, as one HTML file.
///
/// Runs that differ by their seed alone count as one variant, told with its mean and a 95 % bootstrap
/// interval over seeds.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Folders of runs, or folders that hold runs (as `proxmo compare` makes them).
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// File to write [default: report.html in RUN if there is one, else in the working directory].
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the learning curves on held-out tasks as a picture (SVG) too.
    #[arg(long, value_name = "FILE")]
    figure: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  proxmo report runs/household-1
  proxmo report runs/compare-1
  proxmo report runs/first runs/second --output both.html
  proxmo report runs/compare-1 --figure curves.svg";

pub fn run(arguments: &Arguments) -> Result<()> {
    let output = match (&arguments.output, arguments.runs.as_slice()) {
        (Some(output), _) => output.clone(),
        (None, [only]) => only.join("report.html"),
        (None, _) => PathBuf::from("report.html"),
    };
    let variants = report(&arguments.runs, &output)?;
    if let Some(path) = &arguments.figure {
        let figure = figure_svg(&variants, &bootstrap_for(&variants))?;
        write_atomic(path, figure.as_bytes())?;
    }
    Ok(())
}

/// Writes the report on runs, prints its tables, and says what was reported on.
pub(super) fn report(paths: &[PathBuf], output: &Path) -> Result<Vec<Variant>> {
    let runs: Vec<_> = find_runs(paths)?.iter().map(|run| read_run(run)).collect::<Result<_>>()?;
    if runs.iter().all(|run| run.metrics.is_empty()) {
        let folder = paths.first().map_or(Path::new("."), PathBuf::as_path);
        return Err(Error::file(folder, "no run there has a line in its metrics.jsonl yet"));
    }
    let variants = group(runs);
    let summaries = summarise(&variants, &bootstrap_for(&variants));
    write_atomic(output, page(&variants).as_bytes())?;
    say!("Success on held-out tasks at the end, its 95 % interval over seeds, and by kind:");
    say!("{}", outcomes(&summaries));
    say!("\nEnvironment steps and minutes until held-out success reached a level:");
    say!("{}", speeds(&summaries));
    say!("\nReport: {}", output.display());
    Ok(variants)
}
