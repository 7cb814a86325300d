//! Reports on runs: learning curves, tables, `report.html`.
//!
//! [`read_run`] reads a run's folder and [`group_by_variant`] groups runs that differ by their seed
//! alone. [`summarise`] gives numbers, [`page`] a web page, [`variants_image`] a picture; [`write()`] does
//! it for a single run.

mod chart;
mod csv_table;
mod curves;
mod gallery;
mod page;
mod paired;
mod quantity;
mod recorded_run;
mod statistics;
mod summary;
mod variant_runs;
mod write;

pub use chart::{VerticalScale, run_image, short_count, variants_image};
pub use csv_table::csv_table;
pub use gallery::{Gallery, ShownEpisode};
pub use page::page;
pub use paired::PairedDifference;
pub use quantity::Quantity;
pub use recorded_run::{RecordedRun, find_runs, read_run};
pub use statistics::{Bootstrap, MIN_INTERVAL_RUNS, MeanInterval};
pub use summary::{LEVELS, StudySummary, TimeToLevel, VariantSummary, bootstrap_for, summarise};
pub use variant_runs::{VariantRuns, group_by_variant, seed_suffix};
pub use write::write;
