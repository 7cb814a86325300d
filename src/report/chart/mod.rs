//! Line charts as SVG: inside of the report's page and as pictures of their own.
//!
//! Charts are styled by classes, so that one drawing suits light and dark ground and the page can hide a
//! curve.

mod axis;
mod image;
mod labels;
mod palette;
mod plot;

pub use axis::{VerticalScale, short_count};
pub use image::{run_image, variants_image};
pub use palette::colour_rules;
pub use plot::{CHART_STYLE, Chart, Curve, CurveStyle, inline_chart};
