//! How far numbers are off, and whether that is too far.

use std::fmt::Display;

/// How many failures a test tells in words.
const TOLD: usize = 10;

/// What comparisons came to.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// The error of the comparison that came nearest to its bound, or went furthest past it.
    pub error: f64,
    /// The bound of that comparison.
    pub bound: f64,
    /// How many comparisons were made.
    pub compared: usize,
    /// How many went past their bounds.
    pub failed: usize,
    /// The first of those, in words.
    pub failures: Vec<String>,
}

impl Tally {
    /// Notes one comparison. An error that is NaN fails.
    pub fn note(&mut self, what: impl Display, error: f64, bound: f64) {
        self.look(error, bound);
        if error.is_nan() || error >= bound {
            self.fail(format!("{what} is off by {error:.1e}, expected less than {bound:.1e}"));
        }
    }

    /// Compares numbers, as [`distance`] does.
    pub fn numbers(&mut self, what: impl Display, found: &[f32], expected: &[f64], bound: f64) {
        match distance(found, expected) {
            Ok(error) => self.note(what, error, bound),
            Err(message) => {
                self.look(f64::INFINITY, bound);
                self.fail(format!("{what}{message}"));
            }
        }
    }

    /// Notes something that either holds or does not.
    pub fn holds(&mut self, what: impl Display, it_does: bool) {
        if it_does {
            self.compared += 1;
        } else {
            self.look(f64::INFINITY, f64::MIN_POSITIVE);
            self.fail(what.to_string());
        }
    }

    fn look(&mut self, error: f64, bound: f64) {
        let nearest = self.bound == 0.0 || error / bound > self.error / self.bound;
        if nearest || error.is_nan() {
            (self.error, self.bound) = (error, bound);
        }
        self.compared += 1;
    }

    fn fail(&mut self, failure: String) {
        self.failed += 1;
        if self.failures.len() < TOLD {
            self.failures.push(failure);
        }
    }
}

/// The largest distance from what was expected, as a share of the largest number expected. A NaN must
/// be where one is expected, and only there. Where devices may flush to zero, below the least normal
/// number, there is no distance.
///
/// # Errors
/// Says which number is a NaN or infinite where it should not be, or the other way round.
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
    fn the_worst_is_what_came_nearest_to_its_bound() {
        let mut tally = Tally::default();
        tally.note("a", 1e-6, 1e-3);
        tally.note("b", 1e-7, 1e-5);
        assert_eq!((tally.error, tally.bound, tally.compared, tally.failed), (1e-7, 1e-5, 2, 0));
        tally.note("c", f64::NAN, 1.0);
        tally.numbers("d", &[f32::NAN], &[0.0], 1.0);
        tally.holds("e does not hold", false);
        assert_eq!((tally.compared, tally.failed), (5, 3));
        assert_eq!(tally.failures[1], "d[0]: is NaN, expected 0e0");
    }
}
