//! Settings that are a word or a value: `"auto"` or a number, `"off"` or a table.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::modulation::Curve;

/// Modulation of the episode part by the group's success rate.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(rename_all = "lowercase", from = "ModulationForm")]
pub enum Modulation {
    /// As in the estimator's publication: on for ProxMO with its published shape, off for others.
    #[default]
    Auto,
    /// All episodes have the same weight.
    Off,
    /// On, with this shape.
    #[serde(untagged)]
    On(#[garde(dive)] Curve),
}

/// The forms in which [`Modulation`] is written.
#[derive(Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected auto, off, on, true, false or a table of `steepness` and `range`"
)]
enum ModulationForm {
    Word(ModulationWord),
    Switch(bool),
    Shape(Curve),
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ModulationWord {
    Auto,
    Off,
    On,
}

impl From<ModulationForm> for Modulation {
    fn from(form: ModulationForm) -> Self {
        match form {
            ModulationForm::Word(ModulationWord::Auto) => Self::Auto,
            ModulationForm::Word(ModulationWord::Off) | ModulationForm::Switch(false) => Self::Off,
            ModulationForm::Word(ModulationWord::On) | ModulationForm::Switch(true) => {
                Self::On(Curve::default())
            }
            ModulationForm::Shape(curve) => Self::On(curve),
        }
    }
}

/// The temperature of the proximity kernel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(rename_all = "lowercase", expecting = "expected auto or a number above 0")]
pub enum Temperature {
    /// The one that best predicts returns from neighbours, smoothed over iterations.
    Auto,
    /// This one.
    #[serde(untagged)]
    Fixed(#[garde(range(min = 1e-6, max = 1e6))] f64),
}

/// The prior on a group's success rate.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(
    rename_all = "lowercase",
    expecting = "expected none, fitted or a table of `successes` and `failures`"
)]
pub enum SuccessPrior {
    /// No prior: the rate is the share of successes.
    #[default]
    None,
    /// A Beta distribution fitted to the groups of the batch.
    Fitted,
    /// A Beta distribution of this many pseudo-episodes.
    #[serde(untagged)]
    Beta(#[garde(dive)] Beta),
}

/// A Beta distribution, as numbers of pseudo-episodes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct Beta {
    /// Pseudo-episodes that succeeded.
    #[garde(range(min = 0.0, max = 1e6))]
    pub successes: f64,
    /// Pseudo-episodes that failed.
    #[garde(range(min = 0.0, max = 1e6))]
    pub failures: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_str, to_string};

    #[test]
    fn words_and_tables_round_trip() {
        let curve = Curve { steepness: 2.0, range: 0.2 };
        for setting in [Modulation::Auto, Modulation::Off, Modulation::On(curve)] {
            assert_eq!(from_str::<Modulation>(&to_string(&setting).unwrap()).unwrap(), setting);
        }
        for setting in [Temperature::Auto, Temperature::Fixed(0.25)] {
            assert_eq!(from_str::<Temperature>(&to_string(&setting).unwrap()).unwrap(), setting);
        }
        let beta = SuccessPrior::Beta(Beta { successes: 1.0, failures: 2.0 });
        for setting in [SuccessPrior::None, SuccessPrior::Fitted, beta] {
            assert_eq!(from_str::<SuccessPrior>(&to_string(&setting).unwrap()).unwrap(), setting);
        }
    }

    #[test]
    fn other_forms_are_accepted() {
        assert_eq!(from_str::<Modulation>("false").unwrap(), Modulation::Off);
        let on = Modulation::On(Curve::default());
        assert_eq!(from_str::<Modulation>("true").unwrap(), on);
        assert_eq!(from_str::<Modulation>("\"on\"").unwrap(), on);
        assert_eq!(from_str::<Modulation>("{\"range\": 0.05}").unwrap(), on);
        assert_eq!(from_str::<Temperature>("1").unwrap(), Temperature::Fixed(1.0));
    }

    #[test]
    fn a_value_that_does_not_fit_is_refused_with_the_expected_forms() {
        for (text, expected) in [
            (from_str::<Modulation>("\"of\"").unwrap_err(), "expected auto, off, on"),
            (from_str::<Modulation>("{\"rnge\": 1}").unwrap_err(), "`steepness` and `range`"),
            (from_str::<Temperature>("\"hot\"").unwrap_err(), "auto or a number above 0"),
            (from_str::<SuccessPrior>("{\"successes\": 1}").unwrap_err(), "and `failures`"),
        ] {
            assert!(text.to_string().contains(expected), "{text} should contain {expected}");
        }
    }
}
