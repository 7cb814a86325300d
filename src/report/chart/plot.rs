//! Draws a chart: grid, axes, bands, lines and names.

use maud::{Markup, html};

use super::axis::{Axis, VerticalScale, short_count};
use super::labels::spread;
use crate::report::curves::CurvePoint;

/// The style of everything that a chart consists of, apart from its colours.
pub const CHART_STYLE: &str = include_str!("chart.css");

/// The space beyond the frame in which lines are drawn, so that a line along the edge keeps its width.
const OVERHANG: f64 = 3.0;
/// The height of text above its baseline.
const TEXT: f64 = 4.0;
/// The distance of names from the frame.
const NAME_OFFSET: f64 = 12.0;
/// The longest name that a chart writes out, in characters.
const MAX_NAME: usize = 28;

/// A chart over environment steps.
#[derive(Debug)]
pub struct Chart<'a> {
    /// Its description, for screen readers.
    pub title: &'a str,
    /// The quantity on the vertical axis.
    pub quantity: &'a str,
    /// The vertical axis.
    pub scale: VerticalScale,
    /// The curves.
    pub curves: Vec<Curve<'a>>,
}

/// A curve of a chart.
#[derive(Debug)]
pub struct Curve<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its number, which decides its colour.
    pub number: usize,
    /// How it is drawn.
    pub style: CurveStyle,
    /// Its points, by ascending x.
    pub points: Vec<CurvePoint>,
}

/// How a curve is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CurveStyle {
    /// A line.
    Line,
    /// A line with a dot at every point.
    Dots,
    /// A thin, faint line, for noisy values.
    Faint,
}

/// Size and margins of a drawing, in its own units.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// The whole width.
    pub width: f64,
    /// The whole height.
    pub height: f64,
    /// The margin to the left, for the labels of the vertical axis.
    pub left: f64,
    /// The margin to the right, for the names of curves.
    pub right: f64,
    /// The margin above, for the name of the vertical axis.
    pub top: f64,
    /// The margin below, for the labels and the name of the horizontal axis.
    pub bottom: f64,
    /// Whether curves are named at their ends.
    pub named: bool,
}

/// The layout inside of a page: small, so that text stays readable on a narrow screen.
const INLINE: Layout = Layout {
    width: 460.0,
    height: 284.0,
    left: 46.0,
    right: 14.0,
    top: 24.0,
    bottom: 40.0,
    named: false,
};

/// The chart as an element of a page. The page explains the colours.
pub fn inline_chart(chart: &Chart) -> Markup {
    html! {
        svg.chart viewBox={ "0 0 " (INLINE.width) " " (INLINE.height) } role="img"
            aria-label=(chart.title) { (plot(chart, &INLINE)) }
    }
}

/// The contents of a drawing.
pub fn plot(chart: &Chart, layout: &Layout) -> Markup {
    let ends = chart.curves.iter().filter_map(|curve| Some(curve.points.last()?.x));
    let points = chart.curves.iter().flat_map(|curve| &curve.points);
    let plot = Plot {
        layout,
        x: Axis::up_to(ends),
        y: chart.scale.axis(points.flat_map(|point| [range(point).0, range(point).1])),
        width: layout.width - layout.left - layout.right,
        height: layout.height - layout.top - layout.bottom,
    };
    html! {
        (plot.axes(chart))
        // A nested drawing clips its contents.
        svg x=(layout.left - OVERHANG) y=(layout.top - OVERHANG)
            width=(plot.width + 2.0 * OVERHANG) height=(plot.height + 2.0 * OVERHANG)
            viewBox=(plot.clip()) {
            @for curve in &chart.curves { (plot.curve(curve)) }
        }
        @if layout.named { (plot.names(&chart.curves)) }
    }
}

/// The interval of a point, or its mean twice.
fn range(point: &CurvePoint) -> (f64, f64) {
    point.y.interval.unwrap_or((point.y.mean, point.y.mean))
}

/// A chart with its axes.
struct Plot<'a> {
    layout: &'a Layout,
    x: Axis,
    y: Axis,
    /// Width and height of the frame, without margins.
    width: f64,
    height: f64,
}

impl Plot<'_> {
    fn clip(&self) -> String {
        let (width, height) = (self.width + 2.0 * OVERHANG, self.height + 2.0 * OVERHANG);
        format!("-{OVERHANG} -{OVERHANG} {width} {height}")
    }

    /// The place of a value within the frame.
    fn place(&self, x: f64, y: f64) -> (f64, f64) {
        (self.width * self.x.share(x), self.height * (1.0 - self.y.share(y)))
    }

    fn axes(&self, chart: &Chart) -> Markup {
        let Layout { left, top, height, .. } = *self.layout;
        let bottom = top + self.height;
        html! {
            @for value in self.y.labels() {
                @let y = top + self.place(0.0, value).1;
                path.grid d={ "M" (left) " " (decimal(y)) "h" (self.width) } {}
                text.axis x=(left - 6.0) y=(decimal(y + TEXT)) text-anchor="end" {
                    (chart.scale.label(&self.y, value))
                }
            }
            @for value in self.x.labels() {
                @let x = left + self.place(value, 0.0).0;
                path.grid d={ "M" (decimal(x)) " " (top) "v" (self.height) } {}
                text.axis x=(decimal(x)) y=(bottom + 16.0) text-anchor="middle" {
                    (short_count(value))
                }
            }
            text.axis x="4" y="13" { (chart.quantity) }
            text.axis x=(left + self.width / 2.0) y=(height - 5.0) text-anchor="middle" {
                "environment steps"
            }
        }
    }

    fn curve(&self, curve: &Curve) -> Markup {
        let point = |x: f64, y: f64| {
            let (x, y) = self.place(x, y);
            format!("{x:.1},{y:.1}")
        };
        let line: Vec<String> = curve.points.iter().map(|at| point(at.x, at.y.mean)).collect();
        let upper = curve.points.iter().map(|at| point(at.x, range(at).1));
        let lower = curve.points.iter().rev().map(|at| point(at.x, range(at).0));
        let band: Vec<String> = upper.chain(lower).collect();
        let has_band = curve.points.iter().any(|point| point.y.interval.is_some());
        // A line of one point would be invisible.
        let has_dots = curve.style == CurveStyle::Dots || curve.points.len() == 1;
        html! {
            g class=(class(curve)) {
                title { (curve.name) }
                @if has_band { polygon.band points=(band.join(" ")) {} }
                @if line.len() > 1 { polyline.line points=(line.join(" ")) {} }
                @if has_dots {
                    @for at in &curve.points {
                        @let (x, y) = self.place(at.x, at.y.mean);
                        circle.dot cx=(decimal(x)) cy=(decimal(y)) r="3" {}
                    }
                }
            }
        }
    }

    /// The names of curves, to the right of the frame at the heights at which they end.
    fn names(&self, curves: &[Curve]) -> Markup {
        let ends: Vec<_> = curves
            .iter()
            .filter_map(|curve| Some((curve, curve.points.last()?)))
            .map(|(curve, last)| (curve, self.place(last.x, last.y.mean)))
            .collect();
        let wanted: Vec<f64> = ends.iter().map(|(_, (_, y))| *y).collect();
        let Layout { left, top, .. } = *self.layout;
        html! {
            @for ((curve, (x, y)), place) in ends.iter().zip(spread(&wanted, self.height)) {
                @let name_x = left + self.width + NAME_OFFSET;
                g class=(class(curve)) {
                    path.leader d={
                        "M" (decimal(left + x)) " " (decimal(top + y))
                        "L" (name_x - 3.0) " " (decimal(top + place))
                    } {}
                    text.name x=(name_x) y=(decimal(top + place + TEXT)) {
                        (shown_name(curve.name))
                    }
                }
            }
        }
    }
}

fn class(curve: &Curve) -> String {
    let faint = if curve.style == CurveStyle::Faint { " faint" } else { "" };
    format!("v{}{faint}", curve.number)
}

fn decimal(value: f64) -> String {
    format!("{value:.1}")
}

/// A name as a chart writes it: a long one is truncated.
pub fn shown_name(name: &str) -> String {
    match name.char_indices().nth(MAX_NAME) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::statistics::MeanInterval;

    fn point(x: f64, mean: f64, interval: Option<(f64, f64)>) -> CurvePoint {
        CurvePoint { x, y: MeanInterval { interval, ..MeanInterval::single(mean) } }
    }

    fn draw(scale: VerticalScale, points: Vec<CurvePoint>) -> String {
        let curves = vec![Curve { name: "a", number: 3, style: CurveStyle::Line, points }];
        inline_chart(&Chart { title: "t", quantity: "q", scale, curves }).into_string()
    }

    #[test]
    fn points_are_placed_by_their_values() {
        let points = vec![point(0.0, 0.0, Some((0.0, 0.0))), point(100.0, 0.5, Some((0.25, 1.0)))];
        let svg = draw(VerticalScale::Percent, points);
        // The frame is 400 by 220 units.
        assert!(svg.contains("<g class=\"v3\">"), "{svg}");
        assert!(svg.contains("class=\"line\" points=\"0.0,220.0 400.0,110.0\""), "{svg}");
        assert!(svg.contains("points=\"0.0,220.0 400.0,0.0 400.0,165.0 0.0,220.0\""), "{svg}");
    }

    #[test]
    fn a_single_run_has_no_band_and_a_single_point_is_a_dot() {
        let scale = VerticalScale::Fitted { min: 0.0 };
        let svg = draw(scale, vec![point(0.0, 0.0, None), point(1.0, 0.0, None)]);
        assert!(svg.contains("class=\"line\"") && !svg.contains("class=\"band\""), "{svg}");
        let svg = draw(VerticalScale::Percent, vec![point(7.0, 0.5, None)]);
        assert!(svg.contains("<circle") && !svg.contains("polyline"), "{svg}");
        let empty = Chart { title: "t", quantity: "q", scale, curves: Vec::new() };
        assert!(inline_chart(&empty).into_string().contains("environment steps"));
    }

    #[test]
    fn long_names_are_truncated_between_characters() {
        assert_eq!(shown_name("proxmo"), "proxmo");
        let long = "ä".repeat(MAX_NAME + 1);
        assert_eq!(shown_name(&long), format!("{}…", "ä".repeat(MAX_NAME)));
    }
}
