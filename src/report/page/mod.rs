//! `report.html`: one file that loads nothing else. Its script draws curves from data in the page.

mod diagnostics;
mod document;
mod elements;
mod explorer;
mod gallery;
mod learning;
mod results;
mod runs;
mod settings;
mod time;

pub use document::page;
