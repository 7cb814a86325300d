//! Line charts as inline SVG. Colours come from the page's style, so that they suit light and dark.

use std::fmt::Write;

use super::series::Point;

/// Size of a chart, in its own units. Small, so that text stays readable on a narrow screen.
const SIZE: (f64, f64) = (460.0, 270.0);
/// Room for the labels: left, right, top, bottom.
const MARGIN: (f64, f64, f64, f64) = (46.0, 14.0, 10.0, 40.0);
/// How far a line may stand out over the frame, so that one along its edge is seen whole.
const OVER: f64 = 3.0;
/// About how many labels an axis has.
const LABELS: f64 = 5.0;

/// What a vertical axis shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// Shares as per cent, all from 0 to 100.
    Percent,
    /// Shares as per cent, those that there are.
    Share,
    /// Whatever values there are, with 0 among them, but nothing below this.
    From(f64),
}

/// A curve and the number of its variant, which its colour goes by.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// The variant's number.
    pub variant: usize,
    /// Its points, by ascending x.
    pub points: Vec<Point>,
}

/// Draws curves over environment steps, each with its interval as a band. `label` is for those who
/// cannot see it, and must not need escaping.
pub fn chart(label: &str, scale: Scale, curves: &[Curve]) -> String {
    let x = Axis::up_to(curves.iter().filter_map(|curve| Some(curve.points.last()?.x)));
    let y = vertical(scale, curves);
    let (width, height) = (SIZE.0 - MARGIN.0 - MARGIN.1, SIZE.1 - MARGIN.2 - MARGIN.3);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{label}\">\n",
        SIZE.0, SIZE.1
    );
    let percent = matches!(scale, Scale::Percent | Scale::Share);
    frame(&mut svg, &x, &y, percent, (width, height));
    // A nested drawing cuts off what lies outside of it.
    let (left, top, wide, high) =
        (MARGIN.0 - OVER, MARGIN.2 - OVER, width + 2.0 * OVER, height + 2.0 * OVER);
    let _ = writeln!(
        svg,
        "<svg x=\"{left}\" y=\"{top}\" width=\"{wide}\" height=\"{high}\" \
         viewBox=\"-{OVER} -{OVER} {wide} {high}\">"
    );
    let place = |at: f64, value: f64| {
        format!("{:.1},{:.1}", width * x.share(at), height * (1.0 - y.share(value)))
    };
    for curve in curves {
        draw(&mut svg, curve, &place);
    }
    svg.push_str("</svg>\n</svg>\n");
    svg
}

fn vertical(scale: Scale, curves: &[Curve]) -> Axis {
    let least = match scale {
        Scale::Percent => return Axis { low: 0.0, high: 1.0, step: 0.25 },
        Scale::Share => 0.0,
        Scale::From(least) => least,
    };
    let points = curves.iter().flat_map(|curve| &curve.points);
    let reach = points.flat_map(|point| {
        let (low, high) = point.y.interval.unwrap_or((point.y.mean, point.y.mean));
        [low.max(least), high.max(least)]
    });
    Axis::over(0.0, reach)
}

/// The grid, the labels of the axes and the name of the horizontal one.
fn frame(svg: &mut String, x: &Axis, y: &Axis, percent: bool, (width, height): (f64, f64)) {
    let (left, _, top, _) = MARGIN;
    for value in y.labels() {
        let at = top + height * (1.0 - y.share(value));
        let text = if percent { y.percent(value) } else { y.text(value) };
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{left} {at:.1}h{width}\"/><text x=\"{}\" y=\"{:.1}\" \
             text-anchor=\"end\">{text}</text>",
            left - 6.0,
            at + 4.0
        );
    }
    for value in x.labels() {
        let at = left + width * x.share(value);
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{at:.1} {top}v{height}\"/><text x=\"{at:.1}\" y=\"{}\" \
             text-anchor=\"middle\">{}</text>",
            top + height + 16.0,
            count(value)
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">environment steps</text>",
        left + width / 2.0,
        SIZE.1 - 5.0
    );
}

fn draw(svg: &mut String, curve: &Curve, place: &dyn Fn(f64, f64) -> String) {
    let ends = |upper: bool| {
        move |point: &Point| {
            let (low, high) = point.y.interval.unwrap_or((point.y.mean, point.y.mean));
            (point.x, if upper { high } else { low })
        }
    };
    let _ = writeln!(svg, "<g class=\"v{}\">", curve.variant);
    if curve.points.iter().any(|point| point.y.interval.is_some()) {
        let there = curve.points.iter().map(ends(true));
        let back = curve.points.iter().rev().map(ends(false));
        let band: Vec<String> = there.chain(back).map(|(x, y)| place(x, y)).collect();
        let _ = writeln!(svg, "<polygon class=\"band\" points=\"{}\"/>", band.join(" "));
    }
    let line: Vec<String> = curve.points.iter().map(|point| place(point.x, point.y.mean)).collect();
    let _ = match line.as_slice() {
        // A line of one point would not be seen.
        [only] => {
            let (x, y) = only.split_once(',').unwrap_or_default();
            writeln!(svg, "<circle class=\"dot\" cx=\"{x}\" cy=\"{y}\" r=\"3\"/>")
        }
        _ => writeln!(svg, "<polyline class=\"line\" points=\"{}\"/>", line.join(" ")),
    };
    svg.push_str("</g>\n");
}

/// An axis from `low` to `high` with a label every `step`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    /// An axis from 0 to the largest of `values`.
    fn up_to(values: impl Iterator<Item = f64>) -> Self {
        let high = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
        let high = if high > 0.0 { high } else { 1.0 };
        Self { low: 0.0, high, step: round_step(high / LABELS) }
    }

    /// An axis that has `origin` and all of `values` on it, from round number to round number.
    fn over(origin: f64, values: impl Iterator<Item = f64>) -> Self {
        let values = values.filter(|value| value.is_finite());
        let (low, high) =
            values.fold((origin, origin), |(low, high), one| (low.min(one), high.max(one)));
        let high = if high > low { high } else { low + 1.0 };
        let step = round_step((high - low) / LABELS);
        Self { low: (low / step).floor() * step, high: (high / step).ceil() * step, step }
    }

    fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    fn labels(&self) -> impl Iterator<Item = f64> {
        // An end that rounding put a hair's breadth off its label still has it.
        let first = (self.low / self.step - 1e-9).ceil();
        let last = (self.high / self.step + 1e-9).floor();
        (first as i64..=last as i64).map(|number| number as f64 * self.step)
    }

    fn percent(&self, value: f64) -> String {
        let digits = digits(100.0 * self.step);
        format!("{:.digits$} %", 100.0 * value)
    }

    fn text(&self, value: f64) -> String {
        let digits = digits(self.step);
        let value = if value == 0.0 { 0.0 } else { value };
        if self.high >= 10_000.0 { count(value) } else { format!("{value:.digits$}") }
    }
}

/// As many digits after the point as labels need to differ that are so far apart.
fn digits(step: f64) -> usize {
    (-step.log10().floor()).clamp(0.0, 12.0) as usize
}

/// 1, 2 or 5 times a power of ten, at least `least`.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= least);
    factor.unwrap_or(10.0) * power
}

/// A number of steps, short.
pub fn count(value: f64) -> String {
    let short = |value: f64, unit: &str| {
        let text = if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.1}") };
        format!("{}{unit}", text.trim_end_matches(".0"))
    };
    match value {
        // What would be rounded to 1000k is said in millions.
        value if value >= 999_500.0 => short(value / 1e6, "M"),
        value if value >= 1000.0 => short(value / 1e3, "k"),
        value => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::statistics::Estimate;

    #[test]
    fn axes_run_from_round_number_to_round_number() {
        let axis = Axis::over(0.0, [23_000.0, 46_000.0].into_iter());
        assert_eq!(axis, Axis { low: 0.0, high: 50_000.0, step: 10_000.0 });
        assert_eq!(axis.labels().count(), 6);
        let axis = Axis::over(0.0, [-0.7, 0.9].into_iter());
        assert_eq!((axis.low, axis.high, axis.step), (-1.0, 1.0, 0.5));
        let labels: Vec<_> = axis.labels().map(|label| axis.text(label)).collect();
        assert_eq!(labels, ["-1.0", "-0.5", "0.0", "0.5", "1.0"]);
        let axis = Axis::up_to([620_000.0, 5.0].into_iter());
        assert_eq!((axis.high, axis.step, axis.labels().count()), (620_000.0, 200_000.0, 4));
        let shares = Axis::over(0.0, [0.012].into_iter());
        let labels: Vec<_> = shares.labels().map(|label| shares.percent(label)).collect();
        assert_eq!(labels, ["0.0 %", "0.5 %", "1.0 %", "1.5 %"]);
        let nothing = Axis::over(0.0, [f64::NAN].into_iter());
        assert_eq!((nothing.low, nothing.high), (0.0, 1.0));
    }

    #[test]
    fn counts_are_short() {
        let counts = [0.0, 999.0, 1000.0, 25_600.0, 999_499.0, 999_900.0, 2_500_000.0];
        assert_eq!(counts.map(count), ["0", "999", "1k", "25.6k", "999k", "1M", "2.5M"]);
    }

    fn point(x: f64, mean: f64, interval: Option<(f64, f64)>) -> Point {
        Point { x, y: Estimate { mean, interval, runs: 2 } }
    }

    #[test]
    fn points_lie_where_they_should() {
        let points = vec![point(0.0, 0.0, Some((0.0, 0.0))), point(100.0, 0.5, Some((0.25, 1.0)))];
        let svg = chart("a", Scale::Percent, &[Curve { variant: 3, points }]);
        // 400 by 220 units lie between the margins.
        assert!(svg.contains("<g class=\"v3\">"), "{svg}");
        assert!(svg.contains("class=\"line\" points=\"0.0,220.0 400.0,110.0\""), "{svg}");
        assert!(svg.contains("points=\"0.0,220.0 400.0,0.0 400.0,165.0 0.0,220.0\""), "{svg}");
    }

    #[test]
    fn a_run_alone_has_no_band_and_a_point_alone_a_dot() {
        let curve = |points| [Curve { variant: 0, points }];
        let line = vec![point(0.0, 0.0, None), point(1.0, 0.0, None)];
        let svg = chart("a", Scale::From(0.0), &curve(line));
        assert!(svg.contains("class=\"line\"") && !svg.contains("class=\"band\""), "{svg}");
        let svg = chart("a", Scale::Percent, &curve(vec![point(7.0, 0.5, None)]));
        assert!(svg.contains("<circle") && !svg.contains("polyline"), "{svg}");
        assert!(chart("a", Scale::Percent, &[]).contains("environment steps"));
    }
}
