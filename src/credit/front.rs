//! ProxMO with its settings, for use in a training loop.

use super::assign::{assign, assign_with};
use super::config::{CreditConfig, Embedding, Estimator, Inclusion};
use super::result::Credit;
use super::settings::{Modulation, Temperature};
use super::temperature::CreditState;
use crate::episodes::Batch;
use crate::error::{Error, Result};

/// ProxMO credit assignment (arXiv 2602.19225). The default is the published method.
///
/// ```
/// use proxmo::credit::ProxMo;
/// use proxmo::episodes::{Batch, Episode};
///
/// let batch = Batch::builder()
///     .group([
///         Episode::new().step("the hall", 0.0).step("the study", 1.0).success(true),
///         Episode::new().step("the hall", 0.0).step("the cellar", 0.0),
///     ])
///     .build()?;
/// let credit = ProxMo::default().gamma(0.9).assign(&batch)?;
/// assert!(credit.advantages[0] > 0.0 && credit.advantages[2] < 0.0);
/// # Ok::<(), proxmo::Error>(())
/// ```
///
/// The setters cover the common settings; [`ProxMo::from_config`] takes all of them. Ranges are
/// checked when credit is assigned.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProxMo {
    config: CreditConfig,
}

impl ProxMo {
    /// Takes all settings.
    ///
    /// # Errors
    /// Returns an error if the estimator is not `proxmo` or a setting is out of range.
    pub fn from_config(config: CreditConfig) -> Result<Self> {
        if config.estimator != Estimator::Proxmo {
            let message = format!("expected 'proxmo', found '{}'", config.estimator);
            return Err(Error::setting("credit.estimator", message));
        }
        config.validate()?;
        Ok(Self { config })
    }

    /// The settings.
    pub fn config(&self) -> &CreditConfig {
        &self.config
    }

    /// Sets the discount `γ` of a step, from 0 to 1.
    pub fn gamma(mut self, gamma: f64) -> Self {
        self.config.gamma = gamma;
        self
    }

    /// Sets the weight `ω` of the step part.
    pub fn step_weight(mut self, weight: f64) -> Self {
        self.config.step_weight = weight;
        self
    }

    /// Sets the weight of the episode part.
    pub fn episode_weight(mut self, weight: f64) -> Self {
        self.config.episode_weight = weight;
        self
    }

    /// Sets the temperature `τ` of the proximity kernel: a number, or [`Temperature::Auto`].
    pub fn temperature(mut self, temperature: impl Into<Temperature>) -> Self {
        self.config.temperature = temperature.into();
        self
    }

    /// Sets the modulation by success rate.
    pub fn modulation(mut self, modulation: Modulation) -> Self {
        self.config.modulation = modulation;
        self
    }

    /// Sets how observations become vectors.
    pub fn embedding(mut self, embedding: Embedding) -> Self {
        self.config.embedding = embedding;
        self
    }

    /// Sets whether a row is part of its own baseline.
    pub fn self_weight(mut self, inclusion: Inclusion) -> Self {
        self.config.self_weight = inclusion;
        self
    }

    /// Sets whether the rows of a row's own episode are part of its baseline.
    pub fn same_episode(mut self, inclusion: Inclusion) -> Self {
        self.config.same_episode = inclusion;
        self
    }

    /// Assigns credit to the rows of a batch.
    ///
    /// # Errors
    /// Returns an error if a setting is out of range, or if the batch lacks embeddings that the
    /// settings need.
    pub fn assign(&self, batch: &Batch) -> Result<Credit> {
        assign(batch, &self.config)
    }

    /// [`ProxMo::assign`] with a state that carries over from one iteration to the next, which
    /// [`Temperature::Auto`] needs.
    ///
    /// # Errors
    /// As [`ProxMo::assign`].
    pub fn assign_with(&self, batch: &Batch, state: &mut CreditState) -> Result<Credit> {
        assign_with(batch, &self.config, state)
    }
}

impl From<f64> for Temperature {
    fn from(temperature: f64) -> Self {
        Self::Fixed(temperature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setters_change_their_setting() {
        let front = ProxMo::default()
            .gamma(0.5)
            .step_weight(2.0)
            .episode_weight(0.5)
            .temperature(0.2)
            .modulation(Modulation::Off)
            .embedding(Embedding::Hashed)
            .self_weight(Inclusion::Exclude)
            .same_episode(Inclusion::Exclude);
        let expected = CreditConfig {
            gamma: 0.5,
            step_weight: 2.0,
            episode_weight: 0.5,
            temperature: Temperature::Fixed(0.2),
            modulation: Modulation::Off,
            embedding: Embedding::Hashed,
            self_weight: Inclusion::Exclude,
            same_episode: Inclusion::Exclude,
            ..CreditConfig::default()
        };
        assert_eq!(front.config(), &expected);
        assert_eq!(ProxMo::from_config(expected).unwrap(), front);
    }

    #[test]
    fn other_estimators_and_values_out_of_range_are_refused() {
        let message = |result: Result<ProxMo>| result.unwrap_err().to_string();
        let grpo = message(ProxMo::from_config(CreditConfig::of(Estimator::Grpo)));
        assert_eq!(grpo, "setting 'credit.estimator': expected 'proxmo', found 'grpo'");
        let config = ProxMo::default().gamma(2.0).config().clone();
        assert!(message(ProxMo::from_config(config)).contains("credit.gamma"));
        assert!(ProxMo::default().gamma(2.0).assign(&Batch::default()).is_err());
    }
}
