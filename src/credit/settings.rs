//! Settings that are a word or something more: `"auto"` or a number, `"off"` or a table.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::modulation::Curve;

/// Whether the episode part is modulated by the group's success rate.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Modulation {
    /// As the estimator's publication does: on for ProxMO with its published shape, off for others.
    #[default]
    Auto,
    /// Every episode counts the same.
    Off,
    /// On, with this shape.
    On(Curve),
}

/// The bandwidth of the proximity kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Temperature {
    /// This one.
    Fixed(f64),
    /// The one that best predicts returns from neighbours, smoothed over iterations.
    Auto,
}

/// What is believed about a group's success rate before its episodes are counted.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum SuccessPrior {
    /// Nothing: the rate is the share of successes.
    #[default]
    None,
    /// A Beta distribution worth this many episodes.
    Beta(Beta),
    /// A Beta distribution fitted to the groups of the batch.
    Fitted,
}

/// A Beta distribution, as numbers of episodes seen beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beta {
    /// Pseudo-episodes that succeeded, at least 0.
    pub successes: f64,
    /// Pseudo-episodes that failed, at least 0.
    pub failures: f64,
}

impl Serialize for Modulation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Off => serializer.serialize_str("off"),
            Self::On(curve) => curve.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Modulation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> Visitor<'de> for Words {
            type Value = Modulation;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("\"auto\", \"off\" or a table of `steepness` and `range`")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Modulation, E> {
                match word {
                    "auto" => Ok(Modulation::Auto),
                    "off" => Ok(Modulation::Off),
                    "on" => Ok(Modulation::On(Curve::default())),
                    _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
                }
            }

            fn visit_bool<E: de::Error>(self, on: bool) -> Result<Modulation, E> {
                Ok(if on { Modulation::On(Curve::default()) } else { Modulation::Off })
            }

            fn visit_unit<E: de::Error>(self) -> Result<Modulation, E> {
                Ok(Modulation::Off)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Modulation, A::Error> {
                Curve::deserialize(MapAccessDeserializer::new(map)).map(Modulation::On)
            }
        }
        deserializer.deserialize_any(Words)
    }
}

impl Serialize for Temperature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Fixed(temperature) => serializer.serialize_f64(*temperature),
            Self::Auto => serializer.serialize_str("auto"),
        }
    }
}

impl<'de> Deserialize<'de> for Temperature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl Visitor<'_> for Words {
            type Value = Temperature;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a number above 0 or \"auto\"")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Temperature, E> {
                match word {
                    "auto" => Ok(Temperature::Auto),
                    _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
                }
            }

            fn visit_f64<E: de::Error>(self, temperature: f64) -> Result<Temperature, E> {
                Ok(Temperature::Fixed(temperature))
            }

            fn visit_i64<E: de::Error>(self, temperature: i64) -> Result<Temperature, E> {
                Ok(Temperature::Fixed(temperature as f64))
            }

            fn visit_u64<E: de::Error>(self, temperature: u64) -> Result<Temperature, E> {
                Ok(Temperature::Fixed(temperature as f64))
            }
        }
        deserializer.deserialize_any(Words)
    }
}

impl Serialize for SuccessPrior {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_str("none"),
            Self::Fitted => serializer.serialize_str("fitted"),
            Self::Beta(beta) => beta.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for SuccessPrior {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> Visitor<'de> for Words {
            type Value = SuccessPrior;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("\"none\", \"fitted\" or a table of `successes` and `failures`")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<SuccessPrior, E> {
                match word {
                    "none" => Ok(SuccessPrior::None),
                    "fitted" => Ok(SuccessPrior::Fitted),
                    _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
                }
            }

            fn visit_unit<E: de::Error>(self) -> Result<SuccessPrior, E> {
                Ok(SuccessPrior::None)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SuccessPrior, A::Error> {
                Beta::deserialize(MapAccessDeserializer::new(map)).map(SuccessPrior::Beta)
            }
        }
        deserializer.deserialize_any(Words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_str, to_string};

    #[test]
    fn words_and_tables_come_back_as_they_went_in() {
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
    fn other_ways_of_saying_it_are_understood() {
        assert_eq!(from_str::<Modulation>("null").unwrap(), Modulation::Off);
        assert_eq!(from_str::<Modulation>("false").unwrap(), Modulation::Off);
        let on = Modulation::On(Curve::default());
        assert_eq!(from_str::<Modulation>("true").unwrap(), on);
        assert_eq!(from_str::<Modulation>("{\"range\": 0.05}").unwrap(), on);
        assert_eq!(from_str::<Temperature>("1").unwrap(), Temperature::Fixed(1.0));
        assert_eq!(from_str::<SuccessPrior>("null").unwrap(), SuccessPrior::None);
    }

    #[test]
    fn what_is_not_understood_says_what_would_be() {
        for (text, expected) in [
            (from_str::<Modulation>("\"of\"").unwrap_err(), "\"auto\", \"off\" or a table"),
            (from_str::<Modulation>("{\"rnge\": 1}").unwrap_err(), "unknown field `rnge`"),
            (from_str::<Temperature>("\"hot\"").unwrap_err(), "a number above 0 or \"auto\""),
            (from_str::<SuccessPrior>("{\"successes\": 1}").unwrap_err(), "missing field"),
        ] {
            assert!(text.to_string().contains(expected), "{text} should contain {expected}");
        }
    }
}
