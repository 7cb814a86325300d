//! The learning curves of several variants, as one SVG picture.

use plotters::prelude::*;

use super::curve::thousands;
use super::series::{Point, of_evaluations};
use super::statistics::Bootstrap;
use super::variants::Variant;
use crate::error::{Error, Result};

const SIZE: (u32, u32) = (860, 460);

/// A colour a variant, as in the report.
const COLOURS: [RGBColor; 10] = [
    RGBColor(0, 103, 176),
    RGBColor(209, 82, 11),
    RGBColor(18, 130, 76),
    RGBColor(176, 64, 143),
    RGBColor(138, 106, 0),
    RGBColor(15, 143, 163),
    RGBColor(106, 75, 196),
    RGBColor(86, 96, 110),
    RGBColor(163, 22, 44),
    RGBColor(92, 138, 30),
];

/// Success on held-out tasks over environment steps: means over seeds, with intervals as bands.
///
/// # Errors
/// Where drawing fails.
pub fn figure_svg(variants: &[Variant], bootstrap: &Bootstrap) -> Result<String> {
    let curves: Vec<Vec<Point>> =
        variants.iter().map(|variant| of_evaluations(variant, bootstrap)).collect();
    let mut svg = String::new();
    draw(&mut svg, variants, &curves)
        .map_err(|error| Error::Run(format!("cannot draw: {error}")))?;
    Ok(svg)
}

fn draw(
    svg: &mut String,
    variants: &[Variant],
    curves: &[Vec<Point>],
) -> Result<(), Box<dyn std::error::Error>> {
    let ends = curves.iter().filter_map(|points| Some(points.last()?.x));
    let most = ends.fold(1.0, f64::max);
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..most, 0.0..100.0)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("environment steps")
        .y_desc("success on held-out tasks (%)")
        .x_label_formatter(&|steps| thousands(*steps))
        .y_label_formatter(&|percent| format!("{percent:.0}"))
        .draw()?;
    for (number, (variant, points)) in variants.iter().zip(curves).enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        chart.draw_series(band(points).map(|outline| Polygon::new(outline, colour.mix(0.12))))?;
        let line = points.iter().map(|point| (point.x, 100.0 * point.y.mean));
        chart
            .draw_series(LineSeries::new(line, colour.stroke_width(2)))?
            .label(&variant.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    root.present()?;
    drop(chart);
    drop(root);
    Ok(())
}

/// The outline of a curve's intervals, if it has any.
fn band(points: &[Point]) -> impl Iterator<Item = Vec<(f64, f64)>> {
    let ends = |upper: bool| {
        move |point: &Point| {
            let (low, high) = point.y.interval.unwrap_or((point.y.mean, point.y.mean));
            (point.x, 100.0 * if upper { high } else { low })
        }
    };
    let any = points.iter().any(|point| point.y.interval.is_some());
    let outline = points.iter().map(ends(true)).chain(points.iter().rev().map(ends(false)));
    any.then(|| outline.collect()).into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::statistics::Estimate;

    #[test]
    fn a_picture_is_drawn_of_nothing_and_a_band_runs_round_its_curve() {
        let empty = figure_svg(&[], &Bootstrap::new(1)).unwrap();
        assert!(empty.contains("environment steps"));
        let hostile = Variant { name: "<script>".into(), runs: Vec::new() };
        let escaped = figure_svg(&[hostile], &Bootstrap::new(1)).unwrap();
        assert!(escaped.contains("&lt;script&gt;") && !escaped.contains("<script>"));
        let point = |x, interval| Point { x, y: Estimate { mean: 0.5, interval, runs: 2 } };
        let points = [point(0.0, None), point(1.0, Some((0.25, 0.75)))];
        let outline = band(&points).next().unwrap();
        assert_eq!(outline, [(0.0, 50.0), (1.0, 75.0), (1.0, 25.0), (0.0, 50.0)]);
        assert_eq!(band(&points[..1]).count(), 0);
    }
}
