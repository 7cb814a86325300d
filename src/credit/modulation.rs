//! Success-rate-aware modulation: the weight of an episode's advantage.
//!
//! With `p` the group's success rate, `α` the steepness and `σ` the logistic function, an episode's
//! advantage is multiplied by
//!
//! ```text
//! w = 1 + β · f        f = σ((1 − p)^α) − ½   for a success        β = range / (σ(1) − ½)
//!                      f = σ(−p^α) − ½        for a failure
//! ```
//!
//! A rare success is weighted up to `1 + range`, a rare failure down to `1 − range`. The weight of an
//! episode whose outcome is the common one in its group stays near 1.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::above_zero;

/// The shape of the modulation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Curve {
    /// Modulation: steepness α of the weight towards the rare outcome. 4 in the paper.
    #[garde(custom(above_zero))]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub steepness: f64,
    /// Modulation: maximum change of an episode's weight. 0.05 in the published code.
    #[garde(range(min = 0.0, max = 1.0))]
    pub range: f64,
}

impl Default for Curve {
    fn default() -> Self {
        Self { steepness: 4.0, range: 0.05 }
    }
}

impl Curve {
    /// The weight of an episode that succeeded or failed, in a group with success rate `rate`.
    pub fn weight(&self, rate: f64, success: bool) -> f64 {
        let rate = rate.clamp(0.0, 1.0);
        let beta = self.range / (logistic(1.0) - 0.5);
        let signal = if success {
            logistic((1.0 - rate).powf(self.steepness)) - 0.5
        } else {
            logistic(-rate.powf(self.steepness)) - 0.5
        };
        1.0 + beta * signal
    }
}

/// The modulation weights of a group's episodes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct GroupModulation {
    /// The group's success rate, after the prior.
    pub success_rate: f64,
    /// The weight of an episode that succeeded.
    pub on_success: f64,
    /// The weight of an episode that failed.
    pub on_failure: f64,
}

impl GroupModulation {
    /// The weights at a success rate.
    pub(crate) fn of(curve: &Curve, success_rate: f64) -> Self {
        Self {
            success_rate,
            on_success: curve.weight(success_rate, true),
            on_failure: curve.weight(success_rate, false),
        }
    }
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_outcomes_reach_the_range_and_common_ones_weigh_one() {
        let curve = Curve { steepness: 2.0, range: 0.2 };
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(near(curve.weight(0.0, true), 1.2) && near(curve.weight(1.0, false), 0.8));
        assert!(near(curve.weight(1.0, true), 1.0) && near(curve.weight(0.0, false), 1.0));
        let half = 0.2 * (logistic(0.25) - 0.5) / (logistic(1.0) - 0.5);
        assert!(near(curve.weight(0.5, true), 1.0 + half));
        assert!(near(curve.weight(0.5, false), 1.0 - half));
    }

    #[test]
    fn a_rate_out_of_range_is_clamped() {
        let curve = Curve::default();
        assert_eq!(curve.weight(10.0, true), curve.weight(1.0, true));
        assert_eq!(curve.weight(-1.0, false), curve.weight(0.0, false));
    }
}
