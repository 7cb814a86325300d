//! Elements that the sections of the page share.

use maud::{Markup, Render, html};

use crate::report::chart::{Chart, Curve, CurveStyle, VerticalScale, inline_chart};
use crate::report::curves::CurvePoint;
use crate::report::statistics::MeanInterval;
use crate::report::variant_runs::VariantRuns;

/// A table whose first column heads its rows. It scrolls sideways where the screen is narrow.
pub struct Table {
    /// The heads of the columns.
    pub heads: Vec<Markup>,
    /// The rows.
    pub rows: Vec<Row>,
    /// Whether the columns after the first are numbers.
    pub numeric: bool,
}

/// A row of a table.
pub struct Row {
    /// The number of the variant that the row belongs to, if any.
    pub variant: Option<usize>,
    /// The cells.
    pub cells: Vec<Markup>,
}

impl Render for Table {
    fn render(&self) -> Markup {
        let number = |place: usize| (place > 0 && self.numeric).then_some("number");
        html! {
            div.wide {
                table {
                    thead {
                        tr {
                            @for (place, head) in self.heads.iter().enumerate() {
                                th class=[number(place)] { (head) }
                            }
                        }
                    }
                    tbody {
                        @for row in &self.rows {
                            tr class=[row.variant.map(|number| format!("v{number}"))] {
                                @for (place, cell) in row.cells.iter().enumerate() {
                                    @if place == 0 { th { (cell) } }
                                    @else { td class=[number(place)] { (cell) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Text as the content of a cell.
pub fn text(text: impl AsRef<str>) -> Markup {
    html! { (text.as_ref()) }
}

/// A name behind a square of its variant's colour.
pub fn name(name: &str) -> Markup {
    html! { span.swatch {} " " (name) }
}

/// A mean above its interval, or above its values if they are few, all as `show` writes them; `unit` follows the mean.
pub fn mean_cell(
    estimate: Option<&MeanInterval>,
    show: &dyn Fn(f64) -> String,
    unit: &str,
) -> Markup {
    html! {
        @match estimate {
            None => "–",
            Some(estimate) => {
                (show(estimate.mean)) (unit)
                @if let Some((low, high)) = estimate.interval {
                    small { (show(low)) " – " (show(high)) }
                }
                @if !estimate.values().is_empty() {
                    small { (estimate.values().iter().map(|&one| show(one)).collect::<Vec<_>>().join(", ")) }
                }
            }
        }
    }
}

/// A chart of one curve per variant below its title; nothing if no variant has points.
pub fn figure(
    title: &str,
    quantity: &str,
    scale: VerticalScale,
    variants: &[VariantRuns],
    points: &dyn Fn(&VariantRuns) -> Vec<CurvePoint>,
) -> Markup {
    let curves = variants.iter().enumerate().map(|(number, variant)| Curve {
        name: &variant.name,
        number,
        style: CurveStyle::Line,
        points: points(variant),
    });
    let curves: Vec<Curve> = curves.filter(|curve| !curve.points.is_empty()).collect();
    html! {
        @if !curves.is_empty() {
            figure {
                figcaption { (title) }
                (inline_chart(&Chart { title, quantity, scale, curves }))
            }
        }
    }
}
