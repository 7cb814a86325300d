//! Means over runs with bootstrap intervals; smoothing and interpolation of curves.

use rand::RngCore;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The number of resamples behind an interval.
const RESAMPLES: usize = 2000;
/// The share of resampled means below a 95 % interval, and above it.
const TAIL: f64 = 0.025;

/// The fewest runs that have an interval. A bootstrap of fewer says little: of two values it is just
/// the range between them.
pub const MIN_INTERVAL_RUNS: usize = 5;

/// A mean over runs, with its interval, or with the values themselves if they are few.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanInterval {
    /// The mean.
    pub mean: f64,
    /// The 95 % percentile bootstrap interval, from [`MIN_INTERVAL_RUNS`] runs on.
    pub interval: Option<(f64, f64)>,
    /// The number of runs.
    pub runs: usize,
    pub(crate) few: [f64; MIN_INTERVAL_RUNS - 1],
}

impl MeanInterval {
    /// The value of a single run.
    pub fn single(value: f64) -> Self {
        Self { mean: value, interval: None, runs: 1, few: [value; MIN_INTERVAL_RUNS - 1] }
    }

    /// The values, in the order of the runs, if there are several but too few for an interval.
    pub fn values(&self) -> &[f64] {
        if (2..MIN_INTERVAL_RUNS).contains(&self.runs) { &self.few[..self.runs] } else { &[] }
    }
}

/// Random draws for percentile bootstrap intervals (Efron and Tibshirani 1993, chapter 13). The draws
/// are always the same, so that the same runs give the same intervals and the intervals of neighbouring
/// points of a curve vary smoothly.
#[derive(Debug)]
pub struct Bootstrap {
    max_values: usize,
    draws: Vec<u32>,
}

impl Bootstrap {
    /// Draws for up to `max_values` values.
    pub fn new(max_values: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let draws = (0..RESAMPLES * max_values).map(|_| rng.next_u32()).collect();
        Self { max_values, draws }
    }

    /// The mean of up to `max_values` values and its interval; `None` without values.
    pub fn estimate(&self, values: &[f64]) -> Option<MeanInterval> {
        let runs = values.len();
        let mean = mean(values)?;
        let known = runs >= MIN_INTERVAL_RUNS && runs <= self.max_values;
        let interval = known.then(|| self.interval(values));
        let mut few = [0.0; MIN_INTERVAL_RUNS - 1];
        few.iter_mut().zip(values).for_each(|(few, &value)| *few = value);
        Some(MeanInterval { mean, interval, runs, few })
    }

    fn interval(&self, values: &[f64]) -> (f64, f64) {
        let count = values.len();
        let pick = |&draw: &u32| values[((u64::from(draw) * count as u64) >> 32) as usize];
        let mut means: Vec<f64> = self
            .draws
            .chunks_exact(self.max_values)
            .map(|draws| draws[..count].iter().map(pick).sum::<f64>() / count as f64)
            .collect();
        let last = (means.len() - 1) as f64;
        let (low, high) = ((TAIL * last).floor() as usize, ((1.0 - TAIL) * last).ceil() as usize);
        let low = *means.select_nth_unstable_by(low, f64::total_cmp).1;
        let high = *means.select_nth_unstable_by(high, f64::total_cmp).1;
        (low, high)
    }
}

/// The mean; `None` without values.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// A moving average: each value's mean with up to `reach` neighbours to either side.
pub fn smooth(points: &[(f64, f64)], reach: usize) -> Vec<(f64, f64)> {
    let average = |place: usize| {
        let window = place.saturating_sub(reach)..(place + reach + 1).min(points.len());
        let count = window.len() as f64;
        (points[place].0, points[window].iter().map(|point| point.1).sum::<f64>() / count)
    };
    (0..points.len()).map(average).collect()
}

/// The linear interpolation at `x` between points of ascending x; `None` outside of them.
pub fn interpolate(points: &[(f64, f64)], x: f64) -> Option<f64> {
    let next = points.partition_point(|point| point.0 < x);
    let &(x1, y1) = points.get(next)?;
    if x1 == x {
        return Some(y1);
    }
    let &(x0, y0) = points.get(next.checked_sub(1)?)?;
    Some(y0 + (y1 - y0) * (x - x0) / (x1 - x0))
}

/// The x at which the linear interpolation first reaches `level`; `None` if it never does.
pub fn first_crossing(points: &[(f64, f64)], level: f64) -> Option<f64> {
    let at = points.iter().position(|point| point.1 >= level)?;
    let (x1, y1) = points[at];
    let Some((x0, y0)) = at.checked_sub(1).map(|before| points[before]) else {
        return Some(x1);
    };
    Some(x0 + (x1 - x0) * (level - y0) / (y1 - y0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(values: &[f64]) -> (f64, f64) {
        Bootstrap::new(8).interval(values)
    }

    #[test]
    fn intervals_match_values_computed_by_hand() {
        // The mean of two draws is 0, 1/2 or 1 with chances 1/4, 1/2, 1/4.
        assert_eq!(interval(&[0.0, 1.0]), (0.0, 1.0));
        // Of five draws, X are the 4: P(X ≤ 2) = 94.2 %, P(X ≤ 3) = 99.3 %, P(X = 0) = 32.8 %.
        let (low, high) = interval(&[0.0, 0.0, 0.0, 0.0, 4.0]);
        assert_eq!(low, 0.0);
        assert!((high - 12.0 / 5.0).abs() < 1e-12, "{high}");
        // Of six draws, X are the 1: P(X ≤ 0) = 1.6 %, P(X ≤ 1) = 10.9 %, and the same from above.
        assert_eq!(interval(&[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]), (1.0 / 6.0, 5.0 / 6.0));
        assert_eq!(interval(&[0.5; 4]), (0.5, 0.5));
    }

    #[test]
    fn fewer_than_five_values_are_given_instead_of_an_interval() {
        let bootstrap = Bootstrap::new(5);
        assert_eq!(bootstrap.estimate(&[]), None);
        let one = bootstrap.estimate(&[0.25]).unwrap();
        assert_eq!((one.mean, one.interval, one.values()), (0.25, None, &[][..]));
        let three = bootstrap.estimate(&[1.0, 6.0, 2.0]).unwrap();
        assert_eq!((three.mean, three.interval), (3.0, None));
        assert_eq!(three.values(), [1.0, 6.0, 2.0]);
        let five = bootstrap.estimate(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert!(five.interval.is_some() && five.values().is_empty());
    }

    #[test]
    fn intervals_are_deterministic() {
        let values = [0.1, 0.7, 0.4, 0.9, 0.3];
        assert_eq!(Bootstrap::new(5).estimate(&values), Bootstrap::new(5).estimate(&values));
        let (low, high) = interval(&values);
        assert!(0.1 < low && low < 0.48 && 0.48 < high && high < 0.9, "{low} {high}");
    }

    #[test]
    fn smoothing_averages_fewer_neighbours_at_the_ends() {
        let points = [(1.0, 0.0), (2.0, 3.0), (3.0, 6.0), (4.0, 0.0)];
        assert_eq!(smooth(&points, 1), [(1.0, 1.5), (2.0, 3.0), (3.0, 3.0), (4.0, 3.0)]);
        assert_eq!(smooth(&points, 0), points);
        assert_eq!(smooth(&[], 2), []);
    }

    #[test]
    fn interpolation_is_linear_and_ends_at_the_outer_points() {
        let points = [(10.0, 0.0), (20.0, 0.5), (40.0, 1.0)];
        assert_eq!(interpolate(&points, 10.0), Some(0.0));
        assert_eq!(interpolate(&points, 15.0), Some(0.25));
        assert_eq!(interpolate(&points, 30.0), Some(0.75));
        assert_eq!(interpolate(&points, 40.0), Some(1.0));
        assert_eq!(interpolate(&points, 9.0), None);
        assert_eq!(interpolate(&points, 41.0), None);
    }

    #[test]
    fn a_level_is_crossed_between_two_points_or_never() {
        let points = [(0.0, 0.0), (100.0, 0.4), (200.0, 0.2), (300.0, 1.0)];
        assert_eq!(first_crossing(&points, 0.2), Some(50.0));
        assert!((first_crossing(&points, 0.6).unwrap() - 250.0).abs() < 1e-9);
        assert_eq!(first_crossing(&points, 0.0), Some(0.0));
        assert_eq!(first_crossing(&points[..3], 0.5), None);
        assert_eq!(first_crossing(&[], 0.5), None);
    }
}
