//! The kinds of policy that a configuration can name.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::kind::{PolicyKind, PolicySpec, SpecVisitor};
#[cfg(feature = "lm")]
use super::lm::{LmConfig, LmSpec};
use super::scorer::{ScorerConfig, ScorerSpec};
use crate::env::Environment;
use crate::error::Result;

/// Defines [`PolicyConfig`] and [`PolicyDescription`] from a list of kinds, the first of which is the
/// default.
macro_rules! kinds {
    (
        $(#[$first_doc:meta])* $first:ident($first_config:ident, $first_spec:ident),
        $($(#[doc = $doc:literal])* $(#[cfg($cfg:meta)])? $kind:ident($config:ident, $spec:ident),)*
    ) => {
        /// The policy that is trained: its kind and the settings of that kind.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
        #[serde(tag = "kind", rename_all = "kebab-case")]
        pub enum PolicyConfig {
            $(#[$first_doc])*
            $first(#[garde(dive)] $first_config),
            $($(#[doc = $doc])* $(#[cfg($cfg)])? $kind(#[garde(dive)] $config),)*
        }

        impl From<$first_config> for PolicyConfig {
            fn from(config: $first_config) -> Self {
                Self::$first(config)
            }
        }

        $($(#[cfg($cfg)])? impl From<$config> for PolicyConfig {
            fn from(config: $config) -> Self {
                Self::$kind(config)
            }
        })*

        impl Default for PolicyConfig {
            fn default() -> Self {
                Self::$first($first_config::default())
            }
        }

        /// Everything that defines a policy except its weights.
        #[derive(Debug, Clone, PartialEq)]
        pub enum PolicyDescription {
            $(#[$first_doc])*
            $first($first_spec),
            $($(#[doc = $doc])* $(#[cfg($cfg)])? $kind($spec),)*
        }

        impl PolicyConfig {
            /// Names of all kinds, as in `policy.kind`.
            pub const KINDS: &'static [&'static str] = &[$first_spec::KIND, $($(#[cfg($cfg)])? $spec::KIND,)*];

            /// Describes a new policy for the tasks of `environment`.
            ///
            /// # Errors
            /// Fails if the environment fails.
            pub fn describe(
                &self,
                environment: &dyn Environment,
                seed: u64,
            ) -> Result<PolicyDescription> {
                Ok(match self {
                    Self::$first(config) => {
                        PolicyDescription::$first(config.spec(environment, seed)?)
                    }
                    $($(#[cfg($cfg)])? Self::$kind(config) => {
                        PolicyDescription::$kind(config.spec(environment, seed)?)
                    })*
                })
            }
        }

        impl PolicyDescription {
            /// The kind's name.
            pub fn kind(&self) -> &'static str {
                match self {
                    Self::$first(_) => $first_spec::KIND,
                    $($(#[cfg($cfg)])? Self::$kind(_) => $spec::KIND,)*
                }
            }

            /// Runs `visitor` on the specification.
            pub fn visit<V: SpecVisitor>(&self, visitor: V) -> V::Output {
                match self {
                    Self::$first(spec) => visitor.visit(spec),
                    $($(#[cfg($cfg)])? Self::$kind(spec) => visitor.visit(spec),)*
                }
            }

            /// Whether the policy has a value head.
            pub fn estimates_values(&self) -> bool {
                match self {
                    Self::$first(spec) => spec.estimates_values(),
                    $($(#[cfg($cfg)])? Self::$kind(spec) => spec.estimates_values(),)*
                }
            }

            /// The same policy with a value head. Its other initial weights are the same.
            ///
            /// # Errors
            /// Says so if this kind of policy has none.
            pub fn with_value_head(&self) -> Result<Self, String> {
                match self {
                    Self::$first(spec) => spec.with_value_head().map(Self::$first),
                    $($(#[cfg($cfg)])? Self::$kind(spec) => {
                        spec.with_value_head().map(Self::$kind)
                    })*
                }
            }

            /// Checks that the policy fits settings.
            ///
            /// # Errors
            /// Says which setting differs.
            pub fn expect_settings(&self, config: &PolicyConfig) -> Result<(), String> {
                match (self, config) {
                    (Self::$first(spec), PolicyConfig::$first(config)) => {
                        spec.expect_settings(config)
                    }
                    $($(#[cfg($cfg)])? (Self::$kind(spec), PolicyConfig::$kind(config)) => {
                        spec.expect_settings(config)
                    })*
                    #[allow(unreachable_patterns, reason = "reachable once there are two kinds")]
                    _ => Err(format!(
                        "the saved policy is of kind '{0}', the settings name another kind; set \
                         policy.kind to '{0}'",
                        self.kind()
                    )),
                }
            }

            /// The policy with settings that a run which continues from it may change.
            ///
            /// # Errors
            /// Says which setting differs that cannot change.
            pub fn with_settings(&self, config: &PolicyConfig) -> Result<Self, String> {
                match (self, config) {
                    (Self::$first(spec), PolicyConfig::$first(config)) => {
                        spec.with_settings(config).map(Self::$first)
                    }
                    $($(#[cfg($cfg)])? (Self::$kind(spec), PolicyConfig::$kind(config)) => {
                        spec.with_settings(config).map(Self::$kind)
                    })*
                    #[allow(unreachable_patterns, reason = "reachable once there are two kinds")]
                    _ => self.expect_settings(config).map(|()| self.clone()),
                }
            }

            /// Reads the specification of a kind.
            fn from_parts(kind: &str, spec: &str) -> Result<Self, String> {
                match kind {
                    $first_spec::KIND => read_spec(spec).map(Self::$first),
                    $($(#[cfg($cfg)])? $spec::KIND => read_spec(spec).map(Self::$kind),)*
                    _ => Err(format!(
                        "policy kind '{kind}' is unknown, expected '{}'",
                        PolicyConfig::KINDS.join("' or '")
                    )),
                }
            }
        }
    };
}

kinds! {
    /// A small network that reads text and chooses among the admissible actions.
    Scorer(ScorerConfig, ScorerSpec),
    /// A language model that reads the episode as a chat and answers with its next action.
    #[cfg(feature = "lm")]
    Lm(LmConfig, LmSpec),
}

fn read_spec<S: PolicySpec>(json: &str) -> Result<S, String> {
    let spec: S = serde_json::from_str(json).map_err(|error| error.to_string())?;
    spec.validate()?;
    Ok(spec)
}

impl PolicyDescription {
    /// Reads `policy.json`. The specification is parsed without an intermediate tree, so memory stays
    /// proportional to the text.
    ///
    /// # Errors
    /// Names the part that is malformed, of an unknown kind or out of range.
    pub fn from_json(json: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File<'a> {
            kind: String,
            #[serde(borrow)]
            spec: &'a RawValue,
        }
        let file: File = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        Self::from_parts(&file.kind, file.spec.get())
    }
    /// The content of `policy.json` for a specification.
    ///
    /// # Errors
    /// Fails if the specification cannot be serialized.
    pub fn to_json<S: PolicySpec>(spec: &S) -> Result<Vec<u8>, String> {
        #[derive(Serialize)]
        struct File<'a, S> {
            kind: &'static str,
            spec: &'a S,
        }
        let file = File { kind: S::KIND, spec };
        serde_json::to_vec_pretty(&file).map_err(|error| error.to_string())
    }

    /// The content of `policy.json`.
    ///
    /// # Errors
    /// Fails if the specification cannot be serialized.
    pub fn json(&self) -> Result<Vec<u8>, String> {
        struct Json;

        impl SpecVisitor for Json {
            type Output = Result<Vec<u8>, String>;

            fn visit<S: PolicySpec>(self, spec: &S) -> Self::Output {
                PolicyDescription::to_json(spec)
            }
        }

        self.visit(Json)
    }

    /// A lower bound of the size of the policy's weights in bytes.
    pub fn min_weight_bytes(&self) -> u64 {
        struct MinWeightBytes;

        impl SpecVisitor for MinWeightBytes {
            type Output = u64;

            fn visit<S: PolicySpec>(self, spec: &S) -> u64 {
                spec.min_weight_bytes()
            }
        }

        self.visit(MinWeightBytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_the_same_name_in_settings_and_in_checkpoints() {
        let config = serde_json::to_value(PolicyConfig::default()).unwrap();
        assert_eq!(config["kind"], PolicyConfig::KINDS[0]);
        for kind in PolicyConfig::KINDS {
            let json = serde_json::json!({ "kind": kind });
            serde_json::from_value::<PolicyConfig>(json).unwrap();
        }
    }

    #[test]
    fn an_unknown_kind_and_values_out_of_range_are_refused() {
        let refuse = |json: &str| PolicyDescription::from_json(json.as_bytes()).unwrap_err();
        let message = refuse(r#"{"kind": "oracle", "spec": {}}"#);
        let expected = "policy kind 'oracle' is unknown, expected 'scorer'";
        assert!(message.starts_with(expected), "{message}");
        let spec = r#"{"size": {"embedding": 4, "hidden": 9999, "max_words": 1}, "max_steps": 5,
                       "vocabulary": {"words": [], "weights": []}}"#;
        let message = refuse(&format!(r#"{{"kind": "scorer", "spec": {spec}}}"#));
        assert!(message.contains("'size.hidden': is 9999"), "{message}");
        let valid = spec.replace("9999", "4");
        let json = format!(r#"{{"spec": {valid}, "kind": "scorer"}}"#);
        let description = PolicyDescription::from_json(json.as_bytes()).unwrap();
        let spec: ScorerSpec = serde_json::from_str(&valid).unwrap();
        let written = PolicyDescription::to_json(&spec).unwrap();
        assert_eq!(PolicyDescription::from_json(&written).unwrap(), description);
    }
}
