//! Learning curves as SVG pictures: of one run, and of several variants.

use plotters::prelude::*;

use super::series::{Point, of_evaluations};
use super::statistics::Bootstrap;
use super::svg::count;
use super::variants::Variant;
use crate::error::{Error, Result};
use crate::train::IterationMetrics;

const SIZE: (u32, u32) = (760, 400);
const TRAINING: RGBColor = RGBColor(170, 187, 204);
const HELD_OUT: RGBColor = RGBColor(200, 70, 40);

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

/// A curve: steps and per cent.
struct Curve<'a> {
    name: &'a str,
    colour: RGBColor,
    width: u32,
    line: Vec<(f64, f64)>,
    /// The outline of its intervals, empty if it has none.
    band: Vec<(f64, f64)>,
    dots: bool,
}

/// A run's success over environment steps: each iteration's episodes in pale, held-out tasks in bold.
///
/// # Errors
/// Where drawing fails.
pub fn curve_svg(metrics: &[IterationMetrics]) -> Result<String> {
    let training = metrics.iter().filter(|line| line.iteration > 0);
    let training = training.map(|line| (line.steps as f64, 100.0 * line.success)).collect();
    let held_out = metrics
        .iter()
        .filter_map(|line| Some((line.steps as f64, 100.0 * line.evaluation.as_ref()?.success)))
        .collect();
    let curve = |name, colour, width, line, dots| Curve {
        name,
        colour,
        width,
        line,
        band: Vec::new(),
        dots,
    };
    picture(&[
        curve("training tasks, sampled", TRAINING, 1, training, false),
        curve("held-out tasks", HELD_OUT, 2, held_out, true),
    ])
}

/// Success on held-out tasks over environment steps, variant by variant: means over seeds, with
/// intervals as bands.
///
/// # Errors
/// Where drawing fails.
pub fn figure_svg(variants: &[Variant], bootstrap: &Bootstrap) -> Result<String> {
    let curves = variants.iter().enumerate().map(|(number, variant)| {
        let points = of_evaluations(variant, bootstrap);
        Curve {
            name: &variant.name,
            colour: COLOURS[number % COLOURS.len()],
            width: 2,
            line: points.iter().map(|point| (point.x, 100.0 * point.y.mean)).collect(),
            band: band(&points),
            dots: false,
        }
    });
    picture(&curves.collect::<Vec<_>>())
}

/// The outline of a curve's intervals, nothing if it has none.
fn band(points: &[Point]) -> Vec<(f64, f64)> {
    if points.iter().all(|point| point.y.interval.is_none()) {
        return Vec::new();
    }
    let end = |point: &Point, upper: bool| {
        let (low, high) = point.y.interval.unwrap_or((point.y.mean, point.y.mean));
        (point.x, 100.0 * if upper { high } else { low })
    };
    let there = points.iter().map(|point| end(point, true));
    there.chain(points.iter().rev().map(|point| end(point, false))).collect()
}

fn picture(curves: &[Curve]) -> Result<String> {
    let mut svg = String::new();
    draw(&mut svg, curves).map_err(|error| Error::Run(format!("cannot draw: {error}")))?;
    Ok(svg)
}

fn draw(svg: &mut String, curves: &[Curve]) -> Result<(), Box<dyn std::error::Error>> {
    let ends = curves.iter().filter_map(|curve| Some(curve.line.last()?.0));
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
        .y_desc("success (%)")
        .x_label_formatter(&|steps| count(*steps))
        .y_label_formatter(&|percent| format!("{percent:.0}"))
        .draw()?;
    for Curve { name, colour, width, line, band, dots } in curves {
        let colour = *colour;
        if !band.is_empty() {
            chart.draw_series([Polygon::new(band.clone(), colour.mix(0.12))])?;
        }
        chart
            .draw_series(LineSeries::new(line.clone(), colour.stroke_width(*width)))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        if *dots {
            chart.draw_series(line.iter().map(|&point| Circle::new(point, 3, colour.filled())))?;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::statistics::Estimate;

    #[test]
    fn a_curve_is_drawn_even_of_nothing() {
        assert!(curve_svg(&[]).unwrap().contains("</svg>"));
        let line = |iteration, success| IterationMetrics {
            iteration,
            steps: iteration * 1000,
            success,
            ..Default::default()
        };
        let svg = curve_svg(&[line(0, 0.0), line(1, 0.5), line(2, 1.0)]).unwrap();
        assert!(svg.contains("polyline") && svg.contains("environment steps"));
    }

    #[test]
    fn names_mean_themselves() {
        let hostile = Variant { name: "<script>".into(), runs: Vec::new() };
        let svg = figure_svg(&[hostile], &Bootstrap::new(1)).unwrap();
        assert!(svg.contains("&lt;script&gt;") && !svg.contains("<script>"));
    }

    #[test]
    fn a_band_runs_round_its_curve() {
        let point = |x, interval| Point { x, y: Estimate { mean: 0.5, interval, runs: 2 } };
        let points = [point(0.0, None), point(1.0, Some((0.25, 0.75)))];
        assert_eq!(band(&points), [(0.0, 50.0), (1.0, 75.0), (1.0, 25.0), (0.0, 50.0)]);
        assert!(band(&points[..1]).is_empty());
    }
}
