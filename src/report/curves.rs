//! Curves of a variant over environment steps: means over its runs, with intervals.

use super::quantity::Quantity;
use super::statistics::{Bootstrap, MeanInterval, interpolate, smooth};
use super::variant_runs::VariantRuns;
use crate::train::IterationMetrics;

/// The number of points of a curve.
const POINTS: usize = 120;

/// A point of a variant's curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// Environment steps.
    pub x: f64,
    /// The mean over runs there.
    pub y: MeanInterval,
}

/// The curve of a single run.
#[derive(Debug, Clone, PartialEq)]
struct RunCurve {
    /// Points by ascending x.
    points: Vec<(f64, f64)>,
    /// A finished run keeps its last value beyond its last point.
    finished: bool,
}

impl RunCurve {
    fn at(&self, x: f64) -> Option<f64> {
        let last = self.points.last().filter(|last| self.finished && x > last.0);
        last.map(|last| last.1).or_else(|| interpolate(&self.points, x))
    }
}

/// The number of iterations to either side over which a value is smoothed: a twentieth of the run in
/// all.
fn smoothing_reach(iterations: usize) -> usize {
    (iterations / 40).clamp(1, 50)
}

/// The curve of a `value` of every iteration, smoothed.
pub fn iteration_curve(
    variant: &VariantRuns,
    bootstrap: &Bootstrap,
    value: &dyn Fn(&IterationMetrics) -> Option<f64>,
) -> Vec<CurvePoint> {
    let curves: Vec<RunCurve> = variant
        .runs
        .iter()
        .map(|run| {
            let lines = run.metrics.iter().filter(|line| line.iteration > 0);
            let points: Vec<_> =
                lines.filter_map(|line| Some((line.steps as f64, value(line)?))).collect();
            let points = smooth(&points, smoothing_reach(points.len()));
            RunCurve { points, finished: run.is_finished() }
        })
        .collect();
    mean_curve(&curves, bootstrap)
}

/// The curve of a number on held-out tasks.
pub fn evaluation_curve(
    variant: &VariantRuns,
    quantity: Quantity,
    bootstrap: &Bootstrap,
) -> Vec<CurvePoint> {
    let curves: Vec<RunCurve> = variant
        .runs
        .iter()
        .map(|run| RunCurve {
            points: evaluation_points(&run.metrics, quantity),
            finished: run.is_finished(),
        })
        .collect();
    mean_curve(&curves, bootstrap)
}

/// Environment steps and the number of each evaluation.
pub fn evaluation_points(metrics: &[IterationMetrics], quantity: Quantity) -> Vec<(f64, f64)> {
    let point = |line: &IterationMetrics| {
        Some((line.steps as f64, quantity.held_out(line.evaluation.as_ref()?)?))
    };
    metrics.iter().filter_map(point).collect()
}

/// The mean of runs' curves at evenly spaced x, from the latest beginning to the latest end.
fn mean_curve(curves: &[RunCurve], bootstrap: &Bootstrap) -> Vec<CurvePoint> {
    let curves: Vec<&RunCurve> = curves.iter().filter(|curve| !curve.points.is_empty()).collect();
    let begin = curves.iter().map(|curve| curve.points[0].0).fold(0.0, f64::max);
    let end = curves.iter().flat_map(|curve| curve.points.last()).map(|last| last.0);
    let end = end.fold(begin, f64::max);
    let count = if end > begin { POINTS } else { 1 };
    let point = |place: usize| {
        // The last point is exact, so that rounding does not move it beyond the end of every run.
        let share = place as f64 / (count - 1).max(1) as f64;
        let x = if place + 1 == count { end } else { begin + (end - begin) * share };
        let values: Vec<f64> = curves.iter().filter_map(|curve| curve.at(x)).collect();
        Some(CurvePoint { x, y: bootstrap.estimate(&values)? })
    };
    (0..count).filter_map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: &[(f64, f64)], finished: bool) -> RunCurve {
        RunCurve { points: points.to_vec(), finished }
    }

    #[test]
    fn a_finished_run_keeps_its_last_value() {
        let curves = [
            curve(&[(0.0, 0.0), (60.0, 1.0)], true),
            curve(&[(0.0, 0.0), (119.0, 0.5)], true),
            curve(&[], false),
        ];
        let points = mean_curve(&curves, &Bootstrap::new(3));
        assert_eq!(points.len(), POINTS);
        let last = points.last().unwrap();
        assert_eq!((last.x, last.y.mean, last.y.runs), (119.0, 0.75, 2));
        assert_eq!((last.y.interval, last.y.values()), (None, &[1.0, 0.5][..]));
        assert_eq!(points[60].y.mean, (1.0 + 0.5 * 60.0 / 119.0) / 2.0);
    }

    #[test]
    fn an_unfinished_run_counts_up_to_its_last_point() {
        let curves =
            [curve(&[(0.0, 0.0), (50.0, 1.0)], false), curve(&[(19.0, 0.5), (138.0, 0.5)], true)];
        let points = mean_curve(&curves, &Bootstrap::new(2));
        assert_eq!((points[0].x, points[0].y.runs), (19.0, 2));
        let last = points.last().unwrap();
        assert_eq!((last.x, last.y.mean, last.y.runs), (138.0, 0.5, 1));
    }

    #[test]
    fn a_curve_may_have_one_point_or_none() {
        let bootstrap = Bootstrap::new(1);
        assert_eq!(mean_curve(&[], &bootstrap), []);
        let points = mean_curve(&[curve(&[(5.0, 0.5)], false)], &bootstrap);
        assert_eq!(points.len(), 1);
        assert_eq!((points[0].x, points[0].y.mean), (5.0, 0.5));
    }
}
