//! The learning curve of a run, as SVG.

use plotters::prelude::*;

use crate::error::{Error, Result};
use crate::train::IterationMetrics;

const SIZE: (u32, u32) = (760, 380);
const TRAINING: RGBColor = RGBColor(170, 187, 204);
const HELD_OUT: RGBColor = RGBColor(200, 70, 40);

/// Success over environment steps: each iteration's episodes in pale, held-out tasks in bold.
///
/// # Errors
/// Where drawing fails.
pub fn curve_svg(metrics: &[IterationMetrics]) -> Result<String> {
    let mut svg = String::new();
    draw(&mut svg, metrics).map_err(|error| Error::Run(format!("cannot draw: {error}")))?;
    Ok(svg)
}

fn draw(svg: &mut String, metrics: &[IterationMetrics]) -> Result<(), Box<dyn std::error::Error>> {
    let training: Vec<(f64, f64)> = metrics
        .iter()
        .filter(|line| line.iteration > 0)
        .map(|line| (line.steps as f64, 100.0 * line.success))
        .collect();
    let held_out: Vec<(f64, f64)> = metrics
        .iter()
        .filter_map(|line| Some((line.steps as f64, 100.0 * line.evaluation.as_ref()?.success)))
        .collect();
    let most = metrics.last().map_or(0, |line| line.steps).max(1) as f64;

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
        .x_label_formatter(&|steps| thousands(*steps))
        .y_label_formatter(&|percent| format!("{percent:.0}"))
        .draw()?;
    chart
        .draw_series(LineSeries::new(training, TRAINING.stroke_width(1)))?
        .label("training tasks, sampled")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], TRAINING.stroke_width(2)));
    chart
        .draw_series(LineSeries::new(held_out.clone(), HELD_OUT.stroke_width(2)))?
        .label("held-out tasks")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], HELD_OUT.stroke_width(2)));
    chart.draw_series(held_out.iter().map(|&point| Circle::new(point, 3, HELD_OUT.filled())))?;
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

/// A number of steps, short.
pub(super) fn thousands(steps: f64) -> String {
    match steps {
        steps if steps >= 1e6 => format!("{:.1}M", steps / 1e6),
        steps if steps >= 1e3 => format!("{:.0}k", steps / 1e3),
        steps => format!("{steps:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
