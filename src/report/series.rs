//! Curves of a variant: the mean over its runs with an interval, over environment steps.

use super::statistics::{Bootstrap, Estimate, interpolate, smooth};
use super::variants::Variant;
use crate::train::IterationMetrics;

/// How many points a curve has.
const POINTS: usize = 120;

/// A point of a curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Environment steps.
    pub x: f64,
    /// What was found there.
    pub y: Estimate,
}

/// One run's part in a curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// Points by ascending x.
    pub points: Vec<(f64, f64)>,
    /// Whether the run is over: it then keeps its last value from there on.
    pub over: bool,
}

impl Track {
    fn at(&self, x: f64) -> Option<f64> {
        let last = self.points.last().filter(|last| self.over && x > last.0);
        last.map(|last| last.1).or_else(|| interpolate(&self.points, x))
    }
}

/// How many iterations to either side a curve of a run of so many is smoothed over: a twentieth of the
/// run in all.
fn reach(iterations: usize) -> usize {
    (iterations / 40).clamp(1, 50)
}

/// What `value` finds in every iteration, smoothed.
pub fn of_iterations(
    variant: &Variant,
    bootstrap: &Bootstrap,
    value: &dyn Fn(&IterationMetrics) -> Option<f64>,
) -> Vec<Point> {
    let tracks: Vec<Track> = variant
        .runs
        .iter()
        .map(|run| {
            let lines = run.metrics.iter().filter(|line| line.iteration > 0);
            let points: Vec<_> =
                lines.filter_map(|line| Some((line.steps as f64, value(line)?))).collect();
            let points = smooth(&points, reach(points.len()));
            Track { points, over: run.is_over() }
        })
        .collect();
    merge(&tracks, bootstrap)
}

/// Success on held-out tasks.
pub fn of_evaluations(variant: &Variant, bootstrap: &Bootstrap) -> Vec<Point> {
    let tracks: Vec<Track> = variant
        .runs
        .iter()
        .map(|run| Track { points: evaluations(&run.metrics), over: run.is_over() })
        .collect();
    merge(&tracks, bootstrap)
}

/// Environment steps and success of each evaluation.
pub fn evaluations(metrics: &[IterationMetrics]) -> Vec<(f64, f64)> {
    let judged =
        |line: &IterationMetrics| Some((line.steps as f64, line.evaluation.as_ref()?.success));
    metrics.iter().filter_map(judged).collect()
}

/// The mean of tracks over evenly spaced x, from where all have begun to where the last one ends.
fn merge(tracks: &[Track], bootstrap: &Bootstrap) -> Vec<Point> {
    let tracks: Vec<&Track> = tracks.iter().filter(|track| !track.points.is_empty()).collect();
    let begin = tracks.iter().map(|track| track.points[0].0).fold(0.0, f64::max);
    let end = tracks.iter().flat_map(|track| track.points.last()).map(|last| last.0);
    let end = end.fold(begin, f64::max);
    let count = if end > begin { POINTS } else { 1 };
    let point = |place: usize| {
        // The last one exactly, so that rounding does not put it beyond the end of every run.
        let share = place as f64 / (count - 1).max(1) as f64;
        let x = if place + 1 == count { end } else { begin + (end - begin) * share };
        let values: Vec<f64> = tracks.iter().filter_map(|track| track.at(x)).collect();
        Some(Point { x, y: bootstrap.estimate(&values)? })
    };
    (0..count).filter_map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(points: &[(f64, f64)], over: bool) -> Track {
        Track { points: points.to_vec(), over }
    }

    #[test]
    fn a_run_that_is_over_keeps_its_last_value() {
        let tracks = [
            track(&[(0.0, 0.0), (60.0, 1.0)], true),
            track(&[(0.0, 0.0), (119.0, 0.5)], true),
            track(&[], false),
        ];
        let points = merge(&tracks, &Bootstrap::new(3));
        assert_eq!(points.len(), POINTS);
        let last = points.last().unwrap();
        assert_eq!((last.x, last.y.mean, last.y.runs), (119.0, 0.75, 2));
        assert_eq!(last.y.interval, Some((0.5, 1.0)));
        assert_eq!(points[60].y.mean, (1.0 + 0.5 * 60.0 / 119.0) / 2.0);
    }

    #[test]
    fn a_run_under_way_counts_as_far_as_it_has_come() {
        let tracks =
            [track(&[(0.0, 0.0), (50.0, 1.0)], false), track(&[(19.0, 0.5), (138.0, 0.5)], true)];
        let points = merge(&tracks, &Bootstrap::new(2));
        assert_eq!((points[0].x, points[0].y.runs), (19.0, 2));
        let last = points.last().unwrap();
        assert_eq!((last.x, last.y.mean, last.y.runs), (138.0, 0.5, 1));
    }

    #[test]
    fn a_single_point_and_none_are_curves_too() {
        let bootstrap = Bootstrap::new(1);
        assert_eq!(merge(&[], &bootstrap), []);
        let points = merge(&[track(&[(5.0, 0.5)], false)], &bootstrap);
        assert_eq!(points.len(), 1);
        assert_eq!((points[0].x, points[0].y.mean), (5.0, 0.5));
    }
}
