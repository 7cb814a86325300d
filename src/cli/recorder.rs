//! The recorder that writes a run's report.

use crate::error::Result;
use crate::report;
use crate::runs::{Recorder, RunSummary};

/// Writes `curve.svg` and `report.html` at the end of a run.
pub struct ReportWriter;

impl Recorder for ReportWriter {
    fn finished(&mut self, summary: &RunSummary) -> Result<()> {
        report::write(&summary.folder)
    }
}
