//! Writes a run's report into its folder.

use std::path::Path;

use super::chart::run_image;
use super::gallery::Gallery;
use super::page::page;
use super::recorded_run::read_run;
use super::variant_runs::group_by_variant;
use crate::error::Result;
use crate::files::write_atomic;

/// Writes `curve.svg` and `report.html` into a run's folder, from the settings and metrics there.
///
/// # Errors
/// Fails if the settings or metrics cannot be read, or a file cannot be written.
pub fn write(run: &Path) -> Result<()> {
    let recorded = read_run(run)?;
    write_atomic(&run.join("curve.svg"), run_image(&recorded.metrics).as_bytes())?;
    let gallery = Gallery::read(run, &recorded.config)?;
    let page = page(&group_by_variant(vec![recorded]), gallery.as_ref());
    write_atomic(&run.join("report.html"), page.as_bytes())
}
