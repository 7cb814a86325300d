//! The settings of credit assignment, `[credit]` in `config.toml`.

use std::fmt;
use std::str::FromStr;

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::modulation::Curve;
use super::settings::{Modulation, SuccessPrior, Temperature};
use crate::error::{Error, Result};
use crate::settings::{above_zero, check};

/// Credit assignment. The default is ProxMO as published.
///
/// An estimator ignores the settings that it does not use: GRPO has no temperature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct CreditConfig {
    /// Estimator of advantages.
    #[garde(skip)]
    pub estimator: Estimator,
    /// Discount factor γ of a step.
    ///
    /// 0.95 in the ProxMO, GiGPO, HGPO and G2PO papers; GraphGPO discounts by distance to the goal
    /// and takes a smaller one.
    #[garde(range(min = 0.0, max = 1.0))]
    pub gamma: f64,
    /// Weight ω of the step part in the advantage. 1 in all the papers.
    #[garde(range(min = 0.0, max = 1e6))]
    pub step_weight: f64,
    /// Weight of the episode part in the advantage. 1 in all the papers.
    #[garde(range(min = 0.0, max = 1e6))]
    pub episode_weight: f64,
    /// Normalization of advantages: subtract the mean, or also divide by a standard deviation.
    #[garde(custom(divisor_fits(self.estimator)))]
    pub normalize: Normalize,
    /// Unit that counts once in a group's mean reward and success rate.
    #[garde(skip)]
    pub statistics: Statistics,
    /// Success-rate-aware modulation of the episode part. auto is on for ProxMO and off for the other
    /// estimators; a table sets the shape.
    #[garde(dive)]
    #[schemars(extend("x-switches" = {"no-modulation": "off"}))]
    pub modulation: Modulation,
    /// Prior on a group's success rate: none (as published), fitted to the groups of the batch, or a
    /// table of pseudo-episodes.
    #[garde(dive)]
    pub success_prior: SuccessPrior,
    /// Engine that assigns credit in training: the host in 64 bits, the policy's device, or auto: the
    /// device if embeddings are there, the kernels can express the settings, and they are not slower.
    #[garde(skip)]
    pub engine: Engine,
    /// Embedding of observations.
    #[garde(skip)]
    pub embedding: Embedding,
    /// Number of terms that tf-idf keeps. 1,024 in the published code.
    #[garde(range(min = 1, max = u32::MAX as usize))]
    pub max_features: usize,
    /// Number of columns of hashed embeddings.
    ///
    /// A few times the number of different words and pairs of words keeps collisions rare.
    #[garde(range(min = 1, max = 1_048_576))]
    pub hash_features: usize,
    /// Temperature τ of the proximity kernel in units of cosine. 0.1 in the paper; auto takes the one
    /// that best predicts each row's return from its neighbours (leave-one-out).
    #[garde(dive)]
    #[schemars(extend("x-flag" = "proximity-temperature", "x-former-flags" = ["temperature"]))]
    pub temperature: Temperature,
    /// Include a row's own return in its baseline, as the published code does, or exclude it.
    #[garde(skip)]
    pub self_weight: Inclusion,
    /// Include the rows of a row's own episode in its baseline, as the published code does, or exclude
    /// them. exclude also excludes the row itself.
    #[garde(skip)]
    pub same_episode: Inclusion,
    /// GiGPO: similarity ratio (Python's difflib.SequenceMatcher) from which two observations are the
    /// same state. Unset, as in the paper, they must be equal.
    #[garde(range(max = 1.0), custom(above_zero))]
    #[schemars(extend("exclusiveMinimum" = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<f64>,
    /// HGPO: maximum number of observations in a history before the current one. 2 in the paper's
    /// shorter setting, 4 in its longer one.
    #[garde(range(max = 1000))]
    pub history: usize,
    /// HGPO: exponent α of a history's length in its weight. 1 in the paper.
    #[garde(range(min = 0.0, max = 16.0))]
    pub length_weight: f64,
    /// HGPO: include the episode advantage as a history of length zero. Off in the paper.
    #[garde(skip)]
    pub base_group: bool,
    /// G2PO and GraphGPO: reward of a success. 10 in their codes. Unset, it is the mean reward of the
    /// successes in the batch.
    #[garde(range(max = 1e6), custom(above_zero))]
    #[schemars(extend("exclusiveMinimum" = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_value: Option<f64>,
    /// G2PO: penalty on the value of a state that an inadmissible action led to. 0.1 in the published
    /// code.
    #[garde(range(min = 0.0, max = 1e6))]
    #[schemars(extend("x-flag" = "credit-invalid-action-penalty"))]
    pub invalid_action_penalty: f64,
    /// GraphGPO: quantity that a step is rewarded for.
    #[garde(skip)]
    pub distance: Distance,
    /// ProxMO and GiGPO: weight v of a learned value of the state in the step baseline,
    /// (1 - v) · baseline + v · value. 0 as published. Above 0, the policy has a value head, and
    /// advantages are not divided (`normalize` is `mean`).
    #[garde(range(min = 0.0, max = 1.0), custom(blend_fits(self.estimator, self.normalize)))]
    pub value_weight: f64,
    /// PPO: weight λ of later steps in the generalized advantage estimate. 0 trusts the value of the next
    /// state, 1 the rewards of the rest of the episode.
    #[garde(range(min = 0.0, max = 1.0))]
    pub gae_lambda: f64,
}

/// A custom rule: Dr. GRPO and RLOO are defined without a division.
fn divisor_fits(estimator: Estimator) -> impl FnOnce(&Normalize, &()) -> garde::Result {
    move |&normalize, _| match (estimator, normalize) {
        (Estimator::DrGrpo | Estimator::Rloo, Normalize::MeanStd) => {
            let message = format!("is 'mean-std', but estimator '{estimator}' divides by nothing");
            Err(garde::Error::new(message))
        }
        _ => Ok(()),
    }
}

/// A custom rule: a baseline that is mixed with values leaves returns that agree with a difference, which a
/// division by their deviation of 0 would magnify without bound.
fn blend_fits(
    estimator: Estimator,
    normalize: Normalize,
) -> impl FnOnce(&f64, &()) -> garde::Result {
    move |&weight, _| {
        let config =
            CreditConfig { estimator, normalize, value_weight: weight, ..CreditConfig::default() };
        match config.blends_values() && config.resolved().normalize == Normalize::MeanStd {
            true => Err(garde::Error::new(format!(
                "is {weight}, but estimator '{estimator}' divides by a deviation, expected 0, or \
                 credit.normalize = 'mean'"
            ))),
            false => Ok(()),
        }
    }
}

impl Default for CreditConfig {
    fn default() -> Self {
        Self {
            estimator: Estimator::Proxmo,
            gamma: 0.95,
            step_weight: 1.0,
            episode_weight: 1.0,
            normalize: Normalize::Auto,
            statistics: Statistics::Episode,
            modulation: Modulation::Auto,
            success_prior: SuccessPrior::None,
            engine: Engine::Auto,
            embedding: Embedding::Tfidf,
            max_features: 1024,
            hash_features: 8192,
            temperature: Temperature::Fixed(0.1),
            self_weight: Inclusion::Include,
            same_episode: Inclusion::Include,
            similarity: None,
            history: 2,
            length_weight: 1.0,
            base_group: false,
            success_value: None,
            invalid_action_penalty: 0.1,
            distance: Distance::Absolute,
            value_weight: 0.0,
            gae_lambda: 0.95,
        }
    }
}

impl CreditConfig {
    /// The defaults with another estimator.
    pub fn of(estimator: Estimator) -> Self {
        Self { estimator, ..Self::default() }
    }

    /// The same settings with every `auto` that depends on the estimator resolved.
    pub fn resolved(&self) -> Self {
        let mut config = self.clone();
        if config.normalize == Normalize::Auto {
            config.normalize = self.estimator.normalize();
        }
        if config.modulation == Modulation::Auto {
            config.modulation = match self.estimator {
                Estimator::Proxmo => Modulation::On(Curve::default()),
                _ => Modulation::Off,
            };
        }
        config
    }

    /// Whether step baselines are mixed with learned values.
    pub(crate) fn blends_values(&self) -> bool {
        self.value_weight > 0.0 && matches!(self.estimator, Estimator::Proxmo | Estimator::Gigpo)
    }

    /// Whether credit needs the values of states, which a policy with a value head estimates.
    pub fn needs_values(&self) -> bool {
        self.estimator == Estimator::Ppo || self.blends_values()
    }

    /// The error of the setting that needs values, where there are none.
    pub(crate) fn lacks_values(&self, reason: &str) -> Error {
        let (key, value) = match self.estimator {
            Estimator::Ppo => ("credit.estimator", "'ppo'".to_string()),
            _ => ("credit.value_weight", self.value_weight.to_string()),
        };
        Error::setting(key, format!("is {value}, which needs the value of every state; {reason}"))
    }

    /// Whether an advantage comes from comparing the episodes of a group alone, so that groups of zero
    /// variance teach nothing.
    pub fn compares_groups_only(&self) -> bool {
        self.estimator != Estimator::ReinforcePp && !self.needs_values()
    }

    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range, and the range.
    pub fn validate(&self) -> Result<()> {
        check(self, "credit")
    }
}

/// The estimator of advantages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Estimator {
    /// Proximity-based multi-turn optimization: modulated episode part, soft step baselines.
    #[default]
    Proxmo,
    /// Group-in-group policy optimization: step baselines over identical observations.
    Gigpo,
    /// History-based group policy optimization: step baselines over nested clusters of shared history.
    Hgpo,
    /// Group-graph policy optimization: change of value between states.
    G2po,
    /// Graph-based: distance to the goal in the graph of the group's steps.
    Graphgpo,
    /// Group relative policy optimization: the episode part alone.
    Grpo,
    /// GRPO without division by the standard deviation.
    DrGrpo,
    /// REINFORCE leave-one-out: each episode against the mean of the others.
    Rloo,
    /// REINFORCE++: rewards normalized over the whole batch.
    ReinforcePp,
    /// REINFORCE++ with baseline: rewards minus their group's mean, normalized over the whole batch.
    ReinforcePpBaseline,
    /// Proximal policy optimization: advantages from a learned value of each state (GAE).
    Ppo,
}

impl Estimator {
    /// All of them, ProxMO first.
    pub const ALL: &[Self] = &[
        Self::Proxmo,
        Self::Gigpo,
        Self::Hgpo,
        Self::G2po,
        Self::Graphgpo,
        Self::Grpo,
        Self::DrGrpo,
        Self::Rloo,
        Self::ReinforcePp,
        Self::ReinforcePpBaseline,
        Self::Ppo,
    ];

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proxmo => "proxmo",
            Self::Gigpo => "gigpo",
            Self::Hgpo => "hgpo",
            Self::G2po => "g2po",
            Self::Graphgpo => "graphgpo",
            Self::Grpo => "grpo",
            Self::DrGrpo => "dr-grpo",
            Self::Rloo => "rloo",
            Self::ReinforcePp => "reinforce-pp",
            Self::ReinforcePpBaseline => "reinforce-pp-baseline",
            Self::Ppo => "ppo",
        }
    }

    /// The normalization of its publication.
    fn normalize(self) -> Normalize {
        match self {
            Self::Proxmo | Self::DrGrpo | Self::Rloo => Normalize::Mean,
            _ => Normalize::MeanStd,
        }
    }
}

impl fmt::Display for Estimator {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Estimator {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|estimator| estimator.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|estimator| estimator.name()).collect();
            let message = format!("is '{name}', expected one of {}", names.join(", "));
            Error::setting("credit.estimator", message)
        })
    }
}

/// The normalization of rewards and returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Normalize {
    /// As in the estimator's publication: mean for ProxMO, Dr. GRPO and RLOO, mean-std for the others.
    #[default]
    Auto,
    /// Subtract the mean.
    Mean,
    /// Subtract the mean and divide by the standard deviation + 1e-6.
    #[serde(alias = "mean_std")]
    MeanStd,
}

/// The unit of a group's statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Statistics {
    /// Each episode counts once.
    #[default]
    Episode,
    /// Each step counts once, as in the published codes: a longer episode has more weight.
    Step,
}

/// The embedding of observations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Embedding {
    /// Tf-idf, fitted to the batch, as in the paper.
    #[default]
    Tfidf,
    /// Hashed words and pairs of words: not fitted, the same in every iteration.
    Hashed,
    /// Vectors of the steps in an episode file.
    Given,
    /// The policy's own encoder, in training.
    Policy,
}

/// The engine that assigns credit in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// The device if embeddings are there, the kernels can express the settings, and they are not slower;
    /// else the host.
    #[default]
    Auto,
    /// The host, in 64 bits.
    Host,
    /// The policy's device. Settings that the kernels cannot express are refused.
    Device,
}

/// The quantity that GraphGPO rewards a step for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Distance {
    /// Distance to the goal after the step.
    #[default]
    Absolute,
    /// Change of the distance to the goal.
    Delta,
}

/// Whether rows are part of a baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Inclusion {
    /// Part of the baseline.
    #[default]
    Include,
    /// Not part of the baseline.
    Exclude,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credit::settings::Beta;

    #[test]
    fn the_defaults_are_the_papers_and_valid() {
        let config = CreditConfig::default();
        config.validate().unwrap();
        let resolved = config.resolved();
        assert_eq!(resolved.normalize, Normalize::Mean);
        assert_eq!(resolved.modulation, Modulation::On(Curve { steepness: 4.0, range: 0.05 }));
        let gigpo = CreditConfig::of(Estimator::Gigpo).resolved();
        assert_eq!((gigpo.normalize, gigpo.modulation), (Normalize::MeanStd, Modulation::Off));
    }

    #[test]
    fn settings_round_trip_through_toml_and_unknown_ones_are_refused() {
        let mut config = CreditConfig::of(Estimator::Gigpo);
        config.temperature = Temperature::Auto;
        config.modulation = Modulation::On(Curve { steepness: 2.0, range: 0.1 });
        config.success_prior = SuccessPrior::Beta(Beta { successes: 1.0, failures: 1.0 });
        for config in [config, CreditConfig::default(), CreditConfig::default().resolved()] {
            let text = toml::to_string(&config).unwrap();
            assert_eq!(toml::from_str::<CreditConfig>(&text).unwrap(), config, "{text}");
        }
        let error = toml::from_str::<CreditConfig>("gama = 0.9").unwrap_err();
        assert!(error.to_string().contains("unknown field `gama`"), "{error}");
        assert_eq!(toml::from_str::<CreditConfig>("").unwrap(), CreditConfig::default());
    }

    #[test]
    fn estimators_are_parsed_by_name() {
        for &estimator in Estimator::ALL {
            let word = serde_json::to_value(estimator).unwrap();
            assert_eq!(word, estimator.name());
            assert_eq!(estimator.to_string().parse::<Estimator>().unwrap(), estimator);
        }
        let error = "proximo".parse::<Estimator>().unwrap_err().to_string();
        assert!(error.contains("expected one of proxmo, gigpo, hgpo,"), "{error}");
    }

    #[test]
    fn a_value_out_of_range_is_reported_with_its_range() {
        let message = |change: fn(&mut CreditConfig)| {
            let mut config = CreditConfig::default();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        let gamma = message(|config| config.gamma = 1.5);
        assert_eq!(gamma, "setting 'credit.gamma': is 1.5, expected a number from 0 to 1");
        let temperature = message(|config| config.temperature = Temperature::Fixed(0.0));
        assert_eq!(
            temperature,
            "setting 'credit.temperature': is 0, expected auto or a number from 0.000001 to 1000000"
        );
        let weight = message(|config| config.step_weight = f64::NAN);
        assert_eq!(
            weight,
            "setting 'credit.step_weight': is NaN, expected a number from 0 to 1000000"
        );
        let similarity = message(|config| config.similarity = Some(1.1));
        assert_eq!(
            similarity,
            "setting 'credit.similarity': is 1.1, expected a number above 0 and at most 1"
        );
        let rloo =
            CreditConfig { normalize: Normalize::MeanStd, ..CreditConfig::of(Estimator::Rloo) };
        assert!(rloo.validate().unwrap_err().to_string().contains("'rloo' divides by nothing"));
        let blend = CreditConfig { value_weight: 0.5, ..CreditConfig::of(Estimator::Gigpo) };
        assert_eq!(
            blend.validate().unwrap_err().to_string(),
            "setting 'credit.value_weight': is 0.5, but estimator 'gigpo' divides by a deviation, \
             expected 0, or credit.normalize = 'mean'"
        );
        CreditConfig { normalize: Normalize::Mean, ..blend }.validate().unwrap();
        CreditConfig { value_weight: 1.0, ..CreditConfig::default() }.validate().unwrap();
        assert!(message(|config| config.max_features = 0).contains("credit.max_features"));
        let curve = Curve { steepness: -1.0, range: 0.1 };
        assert!(
            message(
                |config| config.modulation = Modulation::On(Curve { steepness: 4.0, range: 2.0 })
            )
            .contains("credit.modulation.range")
        );
        let config = CreditConfig { modulation: Modulation::On(curve), ..CreditConfig::default() };
        assert!(config.validate().unwrap_err().to_string().contains("modulation.steepness"));
    }
}
