//! Learning curves as SVG files: of one run, and of several variants.

use maud::{PreEscaped, html};

use super::palette::colour_rules;
use super::plot::{CHART_STYLE, Chart, Curve, CurveStyle, Layout, plot, shown_name};
use crate::report::curves::{CurvePoint, evaluation_curve, evaluation_points};
use crate::report::quantity::Quantity;
use crate::report::statistics::{Bootstrap, MeanInterval};
use crate::report::variant_runs::VariantRuns;
use crate::train::IterationMetrics;

/// About the width of a character of a name.
const CHARACTER: f64 = 7.2;

/// Text and ground, on light and on dark.
const GROUND: &str = "\
.chart { color: #1c2430; }
.ground { fill: #ffffff; }
@media (prefers-color-scheme: dark) { .chart { color: #e4e9f0; } .ground { fill: #12161c; } }
";

/// A run's success (or score, or return) over environment steps: on the episodes of each iteration, and on held-out tasks.
pub fn run_image(metrics: &[IterationMetrics]) -> String {
    let single = |(x, mean)| CurvePoint { x, y: MeanInterval::single(mean) };
    let training = metrics.iter().filter(|line| line.iteration > 0);
    let quantity = Quantity::of_metrics(metrics)[0];
    let point = |line: &IterationMetrics| Some((line.steps as f64, quantity.training(line)?));
    let training = training.filter_map(point).map(single).collect();
    let held_out = evaluation_points(metrics, quantity).into_iter().map(single).collect();
    let curve = |name, number, style, points| Curve { name, number, style, points };
    let title = match quantity {
        Quantity::Success => "Success over environment steps",
        Quantity::Score => "Score over environment steps",
        Quantity::Return => "Return over environment steps",
    };
    image(
        title,
        quantity,
        quantity.name(),
        vec![
            curve("training tasks, sampled", 0, CurveStyle::Faint, training),
            curve("held-out tasks", 1, CurveStyle::Dots, held_out),
        ],
    )
}

/// Success (or score, or return) on held-out tasks over environment steps by variant: means over seeds,
/// with intervals as bands.
pub fn variants_image(variants: &[VariantRuns], bootstrap: &Bootstrap) -> String {
    let quantity = Quantity::of_runs(variants)[0];
    let curves = variants.iter().enumerate().map(|(number, variant)| Curve {
        name: &variant.name,
        number,
        style: CurveStyle::Line,
        points: evaluation_curve(variant, quantity, bootstrap),
    });
    let name = format!("{} on held-out tasks", quantity.name());
    let title = match quantity {
        Quantity::Success => "Success on held-out tasks over environment steps",
        Quantity::Score => "Score on held-out tasks over environment steps",
        Quantity::Return => "Return on held-out tasks over environment steps",
    };
    image(title, quantity, &name, curves.collect())
}

fn image(title: &str, quantity: Quantity, name: &str, curves: Vec<Curve>) -> String {
    let longest = curves.iter().map(|curve| shown_name(curve.name).chars().count()).max();
    let layout = Layout {
        width: 820.0,
        height: 420.0,
        left: 50.0,
        right: 24.0 + CHARACTER * longest.unwrap_or(0) as f64,
        top: 28.0,
        bottom: 42.0,
        named: true,
    };
    let colours = colour_rules(curves.len());
    let chart = Chart { title, quantity: name, scale: quantity.scale(), curves };
    let drawing = html! {
        svg.chart xmlns="http://www.w3.org/2000/svg" width=(layout.width) height=(layout.height)
            viewBox={ "0 0 " (layout.width) " " (layout.height) } role="img" aria-label=(title) {
            // Style sheets of this crate, without any text from a file.
            style { (PreEscaped(CHART_STYLE)) (PreEscaped(GROUND)) (PreEscaped(colours)) }
            rect.ground width="100%" height="100%" {}
            (plot(&chart, &layout))
        }
    };
    drawing.into_string() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_drawn_even_without_metrics() {
        assert!(run_image(&[]).contains("</svg>"));
        let line = |iteration, success| IterationMetrics {
            iteration,
            steps: iteration * 1000,
            success: Some(success),
            ..Default::default()
        };
        let svg = run_image(&[line(0, 0.0), line(1, 0.5), line(2, 1.0)]);
        assert!(svg.contains("polyline") && svg.contains("environment steps"), "{svg}");
        assert!(svg.contains("training tasks, sampled"), "{svg}");
    }

    #[test]
    fn names_of_variants_are_escaped() {
        let line = IterationMetrics {
            evaluation: Some(crate::train::EvaluationMetrics::default()),
            ..Default::default()
        };
        let run = crate::report::recorded_run::RecordedRun {
            name: "a".into(),
            config: crate::train::Config::default(),
            metrics: vec![line],
        };
        let hostile = VariantRuns { name: "<script>".into(), runs: vec![run] };
        let svg = variants_image(&[hostile], &Bootstrap::new(1));
        assert!(svg.contains("&lt;script&gt;") && !svg.contains("<script>"), "{svg}");
    }
}
