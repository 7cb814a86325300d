//! `report.html`: one file that loads nothing else and runs no script.

mod diagnostics;
mod document;
mod elements;
mod learning;
mod results;
mod runs;
mod settings;
mod time;

pub use document::page;
