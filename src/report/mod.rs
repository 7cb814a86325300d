//! Reports on runs: pictures, tables, `report.html`.
//!
//! [`read_run`] reads a run's folder, [`group`] puts runs that differ by their seed alone into
//! variants, [`summarise`] and [`page`] tell what came of them.

mod curve;
mod diagnostics;
mod html;
mod read;
mod series;
mod settings;
mod settings_table;
mod statistics;
mod summary;
mod svg;
mod time;
mod variants;

use std::path::Path;

pub use curve::{curve_svg, figure_svg};
pub use html::page;
pub use read::{RecordedRun, find_runs, read_run};
pub use settings::differences;
pub use statistics::{Bootstrap, Estimate};
pub use summary::{LEVELS, Level, Summaries, Summary, bootstrap_for, summarise};
pub use svg::count;
pub use variants::{Variant, group, seed_ending};

use crate::error::Result;
use crate::files::write_atomic;

/// Writes `curve.svg` and `report.html` in a run's folder from what stands there.
///
/// # Errors
/// Where the metrics cannot be read or a file not be written.
pub fn write(run: &Path) -> Result<()> {
    let recorded = read_run(run)?;
    write_atomic(&run.join("curve.svg"), curve_svg(&recorded.metrics)?.as_bytes())?;
    write_atomic(&run.join("report.html"), page(&group(vec![recorded])).as_bytes())
}
