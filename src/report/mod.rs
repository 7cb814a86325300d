//! Pictures of a run.

mod curve;

pub use curve::{curve_svg, write_curve};
