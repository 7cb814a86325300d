//! The settings of credit assignment, `[credit]` in `config.toml`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::modulation::Curve;
use super::settings::{Modulation, SuccessPrior, Temperature};
use crate::error::{Error, Result};

/// How credit is assigned. The default is ProxMO as published.
///
/// Settings that an estimator has no use for are left alone: GRPO has no temperature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CreditConfig {
    /// Which estimator.
    pub estimator: Estimator,
    /// Discount `γ` of a step, from 0 to 1. 0.95 in the ProxMO, GiGPO, HGPO and G2PO papers;
    /// GraphGPO discounts by distance to the goal and takes a smaller one.
    pub gamma: f64,
    /// Weight `ω` of the step part in the advantage, from 0 to 1e6. 1 in all the papers.
    pub step_weight: f64,
    /// Weight of the episode part in the advantage, from 0 to 1e6. 1 in all the papers.
    pub episode_weight: f64,
    /// Whether advantages are also divided by a standard deviation. `auto` is what the estimator's
    /// publication does: `mean` for ProxMO, Dr. GRPO and RLOO, `mean-std` for the others.
    pub normalize: Normalize,
    /// What counts once in a group's mean reward and success rate: `episode`, or `step` as in the
    /// published codes, where a long episode weighs more.
    pub statistics: Statistics,
    /// Success-rate-aware modulation of the episode part: `auto` (on for ProxMO, off for the
    /// others), `off`, or a table of `steepness` and `range`.
    pub modulation: Modulation,
    /// What is believed about a group's success rate before its episodes are counted: `none` (as
    /// published), a table of `successes` and `failures` in pseudo-episodes, or `fitted` to the
    /// batch's groups.
    pub success_prior: SuccessPrior,
    /// Which engine computes in training: `host` in 64 bits, `device` with the kernels, or `auto`, the
    /// device if embeddings are on a GPU and the kernels can express the settings.
    pub engine: Engine,
    /// How observations become vectors. The paper's is `tfidf`.
    pub embedding: Embedding,
    /// How many terms tf-idf keeps, at least 1. 1,024 in the published code.
    pub max_features: usize,
    /// How many columns hashed embeddings have, from 1 to 1,048,576. A few times as many as there
    /// are different words and pairs of words keeps collisions rare.
    pub hash_features: usize,
    /// Bandwidth `τ` of the proximity kernel in units of cosine, from 1e-6 to 1e6, or `auto`: the
    /// one that best predicts each row's return from its neighbours. 0.1 in the paper.
    pub temperature: Temperature,
    /// Whether a row's own return is part of its baseline, as it is in the published code.
    pub self_weight: Inclusion,
    /// Whether the rows of a row's own episode are part of its baseline, as they are in the
    /// published code. `exclude` excludes the row itself too.
    pub same_episode: Inclusion,
    /// GiGPO: from which ratio of [`difflib.SequenceMatcher`] on, above 0 and up to 1, two
    /// observations are the same state. Absent as in the paper: from equality on.
    ///
    /// [`difflib.SequenceMatcher`]: https://docs.python.org/3/library/difflib.html
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<f64>,
    /// HGPO: how many observations before the current one the longest history has, up to 1000. 2 in
    /// the paper's shorter setting, 4 in its longer one.
    pub history: usize,
    /// HGPO: the exponent `α` of a history's length in its weight, from 0 to 16. 1 in the
    /// paper.
    pub length_weight: f64,
    /// HGPO: whether the episode advantage joins as a history of no observation. Off in the paper.
    pub base_group: bool,
    /// G2PO and GraphGPO: the reward of a success, above 0 and up to 1e6; 10 in their codes.
    /// Absent, it is what the successes at hand earned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_value: Option<f64>,
    /// G2PO: what an action that was not admissible takes off the value it led to, from 0 to 1e6.
    /// 0.1 in the published code.
    pub invalid_action_penalty: f64,
    /// GraphGPO: what a step is rewarded for, being near the goal or coming nearer.
    pub distance: Distance,
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
        }
    }
}

impl CreditConfig {
    /// The defaults with another estimator.
    pub fn of(estimator: Estimator) -> Self {
        Self { estimator, ..Self::default() }
    }

    /// The same settings with every `auto` that hangs on the estimator written out.
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

    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range, and the range.
    pub fn validate(&self) -> Result<()> {
        within("gamma", self.gamma, 0.0, 1.0)?;
        within("step_weight", self.step_weight, 0.0, MOST)?;
        within("episode_weight", self.episode_weight, 0.0, MOST)?;
        if let Modulation::On(curve) = self.modulation {
            above_zero("modulation.steepness", curve.steepness)?;
            within("modulation.range", curve.range, 0.0, 1.0)?;
        }
        if let SuccessPrior::Beta(beta) = self.success_prior {
            within("success_prior.successes", beta.successes, 0.0, MOST)?;
            within("success_prior.failures", beta.failures, 0.0, MOST)?;
        }
        if let Temperature::Fixed(temperature) = self.temperature {
            within("temperature", temperature, 1e-6, 1e6)?;
        }
        within("max_features", self.max_features as f64, 1.0, f64::from(u32::MAX))?;
        within("hash_features", self.hash_features as f64, 1.0, f64::from(1 << 20))?;
        if let Some(similarity) = self.similarity {
            above_zero("similarity", similarity)?;
            within("similarity", similarity, 0.0, 1.0)?;
        }
        if let Some(value) = self.success_value {
            above_zero("success_value", value)?;
            within("success_value", value, 0.0, MOST)?;
        }
        within("history", self.history as f64, 0.0, 1000.0)?;
        within("length_weight", self.length_weight, 0.0, 16.0)?;
        within("invalid_action_penalty", self.invalid_action_penalty, 0.0, MOST)?;
        self.estimator.check_normalize(self.normalize)
    }
}

/// The most that a weight may be: far beyond use, and safe from overflow.
const MOST: f64 = 1e6;

fn within(key: &str, value: f64, least: f64, most: f64) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let message = format!("is {value}, expected from {least} to {most}");
    Err(Error::setting(format!("credit.{key}"), message))
}

fn above_zero(key: &str, value: f64) -> Result<()> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::setting(format!("credit.{key}"), format!("is {value}, expected a number above 0")))
}

/// Who says what each step was worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Estimator {
    /// Proximity-based multi-turn optimization: modulated episode part, soft step baselines.
    #[default]
    Proxmo,
    /// Group-in-group policy optimization: step baselines over identical observations.
    Gigpo,
    /// History-based: step baselines over nested clusters of shared history.
    Hgpo,
    /// Group-graph: the change of value between states.
    G2po,
    /// Graph-based: the distance to the goal in the graph of the group's steps.
    Graphgpo,
    /// Group relative policy optimization: the episode part alone.
    Grpo,
    /// GRPO without dividing by the deviation.
    DrGrpo,
    /// Each episode against the mean of the others.
    Rloo,
    /// Rewards normalised over the whole batch.
    ReinforcePp,
    /// Rewards less their group's mean, normalised over the whole batch.
    ReinforcePpBaseline,
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
        }
    }

    /// What its publication divides by.
    fn normalize(self) -> Normalize {
        match self {
            Self::Proxmo | Self::DrGrpo | Self::Rloo => Normalize::Mean,
            _ => Normalize::MeanStd,
        }
    }

    /// Dr. GRPO and RLOO are defined by not dividing.
    fn check_normalize(self, normalize: Normalize) -> Result<()> {
        match (self, normalize) {
            (Self::DrGrpo | Self::Rloo, Normalize::MeanStd) => {
                let message = format!("is 'mean-std', but estimator '{self}' divides by nothing");
                Err(Error::setting("credit.normalize", message))
            }
            _ => Ok(()),
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

/// What centred rewards and returns are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalize {
    /// What the estimator's publication does.
    #[default]
    Auto,
    /// Nothing: only the mean is taken off.
    Mean,
    /// The standard deviation + 1e-6.
    #[serde(alias = "mean_std")]
    MeanStd,
}

/// What counts once in a group's statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Statistics {
    /// An episode, however long.
    #[default]
    Episode,
    /// A step.
    Step,
}

/// How observations become vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Embedding {
    /// Tf-idf, fitted on the batch.
    #[default]
    Tfidf,
    /// Hashed words and pairs of words: no fitting, the same in every iteration.
    Hashed,
    /// The vectors of the steps in an episode file.
    Given,
    /// The policy's own encoder, in training.
    Policy,
}

/// Which engine assigns credit in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// The device if embeddings are on a GPU and the kernels can express the settings, else the host.
    #[default]
    Auto,
    /// The host, in 64 bits.
    Host,
    /// The policy's device. Settings that the kernels cannot express are refused.
    Device,
}

/// What GraphGPO rewards a step for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distance {
    /// How near the goal it led.
    #[default]
    Absolute,
    /// How much nearer it led.
    Delta,
}

/// Whether some rows are part of a baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Inclusion {
    /// They are.
    #[default]
    Include,
    /// They are not.
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
    fn settings_survive_toml_and_unknown_ones_do_not_pass() {
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
    fn estimators_are_known_by_their_names() {
        for &estimator in Estimator::ALL {
            let word = serde_json::to_value(estimator).unwrap();
            assert_eq!(word, estimator.name());
            assert_eq!(estimator.to_string().parse::<Estimator>().unwrap(), estimator);
        }
        let error = "proximo".parse::<Estimator>().unwrap_err().to_string();
        assert!(error.contains("expected one of proxmo, gigpo, hgpo,"), "{error}");
    }

    #[test]
    fn what_is_out_of_range_is_named_with_its_range() {
        let message = |change: fn(&mut CreditConfig)| {
            let mut config = CreditConfig::default();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        let gamma = message(|config| config.gamma = 1.5);
        assert_eq!(gamma, "setting 'credit.gamma': is 1.5, expected from 0 to 1");
        let temperature = message(|config| config.temperature = Temperature::Fixed(0.0));
        assert_eq!(
            temperature,
            "setting 'credit.temperature': is 0, expected from 0.000001 to 1000000"
        );
        let weight = message(|config| config.step_weight = f64::NAN);
        assert_eq!(weight, "setting 'credit.step_weight': is NaN, expected from 0 to 1000000");
        let similarity = message(|config| config.similarity = Some(1.1));
        assert_eq!(similarity, "setting 'credit.similarity': is 1.1, expected from 0 to 1");
        let rloo =
            CreditConfig { normalize: Normalize::MeanStd, ..CreditConfig::of(Estimator::Rloo) };
        assert!(rloo.validate().unwrap_err().to_string().contains("'rloo' divides by nothing"));
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
