//! Errors of numbers, and whether they are within their bounds.

use std::fmt::Display;

/// The maximum number of failures that a test describes.
const MAX_FAILURES: usize = 10;

/// The outcome of a test's comparisons.
#[derive(Debug, Clone, Default)]
pub struct Comparisons {
    /// The error that is largest relative to its bound.
    pub error: f64,
    /// The bound of that error.
    pub bound: f64,
    /// How many comparisons were made.
    pub compared: usize,
    /// How many exceeded their bounds.
    pub failed: usize,
    /// Descriptions of the first failures.
    pub failures: Vec<String>,
}

impl Comparisons {
    /// Records an error. An error that is NaN fails.
    pub fn record(&mut self, what: impl Display, error: f64, bound: f64) {
        self.count(error, bound);
        if error.is_nan() || error >= bound {
            self.fail(format!("{what} is off by {error:.1e}, expected less than {bound:.1e}"));
        }
    }

    /// Compares numbers by their [`distance`].
    pub fn compare(&mut self, what: impl Display, found: &[f32], expected: &[f64], bound: f64) {
        match distance(found, expected) {
            Ok(error) => self.record(what, error, bound),
            Err(message) => {
                self.count(f64::INFINITY, bound);
                self.fail(format!("{what}{message}"));
            }
        }
    }

    /// Records a condition; `what` describes its failure.
    pub fn expect(&mut self, what: impl Display, holds: bool) {
        if holds {
            self.compared += 1;
        } else {
            self.count(f64::INFINITY, f64::MIN_POSITIVE);
            self.fail(what.to_string());
        }
    }

    fn count(&mut self, error: f64, bound: f64) {
        let nearest = self.bound == 0.0 || error / bound > self.error / self.bound;
        if nearest || error.is_nan() {
            (self.error, self.bound) = (error, bound);
        }
        self.compared += 1;
    }

    fn fail(&mut self, failure: String) {
        self.failed += 1;
        if self.failures.len() < MAX_FAILURES {
            self.failures.push(failure);
        }
    }
}

/// The largest distance from the expected numbers, as a share of the largest of them. A NaN must be
/// found where one is expected, and nowhere else. A distance below the smallest normal number counts as
/// 0, because devices may flush to zero.
///
/// # Errors
/// Names the first number that is NaN or infinite and should not be, or the reverse.
pub fn distance(found: &[f32], expected: &[f64]) -> Result<f64, String> {
    if found.len() != expected.len() {
        return Err(format!(": has {} numbers, expected {}", found.len(), expected.len()));
    }
    let least = f64::from(f32::MIN_POSITIVE);
    let finite = expected.iter().filter(|value| value.is_finite());
    let magnitude = finite.fold(least, |most, value| most.max(value.abs()));
    let mut worst = 0f64;
    for (at, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let off = (f64::from(found) - expected).abs();
        if found.is_nan() != expected.is_nan() || off.is_infinite() {
            return Err(format!("[{at}]: is {found}, expected {expected:e}"));
        }
        if !expected.is_nan() && off > least {
            worst = worst.max(off / magnitude);
        }
    }
    Ok(worst)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_shares_of_the_largest_number() {
        assert_eq!(distance(&[1.0, 3.5], &[1.0, 4.0]), Ok(0.125));
        assert_eq!(distance(&[f32::NAN, 0.0], &[f64::NAN, 1e-39]), Ok(0.0));
        assert!(distance(&[f32::NAN], &[1.0]).unwrap_err().contains("[0]: is NaN"));
        assert!(distance(&[1.0], &[f64::NAN]).is_err() && distance(&[1.0], &[]).is_err());
        assert!(distance(&[f32::INFINITY], &[1.0]).is_err());
    }

    #[test]
    fn the_worst_error_is_the_largest_relative_to_its_bound() {
        let mut comparisons = Comparisons::default();
        comparisons.record("a", 1e-6, 1e-3);
        comparisons.record("b", 1e-7, 1e-5);
        assert_eq!(
            (comparisons.error, comparisons.bound, comparisons.compared, comparisons.failed),
            (1e-7, 1e-5, 2, 0)
        );
        comparisons.record("c", f64::NAN, 1.0);
        comparisons.compare("d", &[f32::NAN], &[0.0], 1.0);
        comparisons.expect("e does not hold", false);
        assert_eq!((comparisons.compared, comparisons.failed), (5, 3));
        assert_eq!(comparisons.failures[1], "d[0]: is NaN, expected 0e0");
    }
}
