//! Everything that decides a run, with defaults, checks and its form in `config.toml`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::credit::CreditConfig;
use crate::device::Backend;
use crate::env::EnvConfig;
use crate::error::{Error, Result};
use crate::kernels::check_training;
use crate::policy::scorer::ScorerNetworkConfig;
use crate::rollout::Limits;

/// All settings of a training run. `config.toml` has one table a field.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long to train, on what, from which seed.
    pub run: RunConfig,
    /// What is played.
    pub env: EnvConfig,
    /// How experience is gathered.
    pub rollout: RolloutConfig,
    /// The policy's size.
    pub policy: PolicyConfig,
    /// How credit is assigned.
    pub credit: CreditConfig,
    /// How the policy is changed.
    pub update: UpdateConfig,
    /// Whom the policy imitates, if it does not learn from its own play.
    pub clone: CloneConfig,
    /// How the policy is judged.
    pub eval: EvalConfig,
}

/// How long to train, on what, from which seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// The seed that every random draw derives from. Below 2^63, TOML's largest integer.
    pub seed: u64,
    /// Which backend computes.
    pub backend: Backend,
    /// Which of the backend's devices.
    pub device: usize,
    /// After how many iterations training ends; 0 for no limit but `minutes`.
    pub iterations: u64,
    /// After how many minutes training ends, if that is sooner; 0 for no limit.
    pub minutes: f64,
    /// A checkpoint every so many iterations, and one at the end.
    pub checkpoint_every: u64,
    /// How many checkpoints are kept, at least 1.
    pub keep: usize,
    /// Whether every iteration's episodes are written to `episodes/`.
    pub save_episodes: bool,
    /// The folder of a run whose newest policy this one begins as; empty to begin untrained. The
    /// reference policy is that one too.
    pub init: PathBuf,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            backend: Backend::Auto,
            device: 0,
            iterations: 300,
            minutes: 0.0,
            checkpoint_every: 25,
            keep: 3,
            save_episodes: false,
            init: PathBuf::new(),
        }
    }
}

impl RunConfig {
    /// The share of the run, in [0, 1], that is done after so many iterations and seconds.
    pub fn share_done(&self, iteration: u64, seconds: f64) -> f64 {
        let share = |done: f64, limit: f64| if limit > 0.0 { done / limit } else { 0.0 };
        let by_iterations = share(iteration as f64, self.iterations as f64);
        by_iterations.max(share(seconds, 60.0 * self.minutes)).min(1.0)
    }
}

/// How experience is gathered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RolloutConfig {
    /// Groups an iteration, each of one task.
    pub groups: usize,
    /// Episodes a group.
    pub episodes: usize,
    /// Temperature that actions are sampled at, above 0.
    pub temperature: f32,
    /// How often groups whose episodes all returned the same are replaced by groups of further tasks;
    /// 0 for never. Those of the last round are learned from whatever they returned.
    pub resample: usize,
    /// Whether groups whose episodes all returned the same are left out of the update.
    pub skip_even: bool,
    /// How many episodes of an iteration or an evaluation may be lost to environment errors; more end
    /// the run.
    pub max_env_errors: usize,
    /// Seconds after which an environment's step counts as hanging; 0 for never.
    pub step_timeout: f64,
}

impl Default for RolloutConfig {
    fn default() -> Self {
        Self {
            groups: 16,
            episodes: 8,
            temperature: 1.0,
            resample: 0,
            skip_even: false,
            max_env_errors: 16,
            step_timeout: 0.0,
        }
    }
}

impl RolloutConfig {
    /// How much is put up with from an environment.
    pub fn limits(&self) -> Limits {
        Limits { max_errors: self.max_env_errors, step_timeout: self.step_timeout }
    }
}

/// The policy's size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyConfig {
    /// Length of a word's vector and of a text's encoding.
    pub embedding: usize,
    /// Width of the hidden layers.
    pub hidden: usize,
    /// The most words that the vocabulary keeps.
    pub max_words: usize,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self { embedding: 64, hidden: 64, max_words: 2048 }
    }
}

impl PolicyConfig {
    /// The network for a vocabulary of `words` words.
    pub fn network(&self, words: usize) -> ScorerNetworkConfig {
        ScorerNetworkConfig::new(words, self.embedding, self.hidden)
    }
}

/// How a setting moves over a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// It stays.
    Constant,
    /// It falls to a tenth in a straight line.
    #[default]
    Linear,
    /// It falls to a tenth along half a cosine.
    Cosine,
}

impl Schedule {
    /// The share of the setting's first value that is left at a point of the run.
    fn left(self, progress: f64) -> f64 {
        let progress = progress.clamp(0.0, 1.0);
        match self {
            Self::Constant => 1.0,
            Self::Linear => 1.0 - 0.9 * progress,
            Self::Cosine => 0.1 + 0.45 * (1.0 + (std::f64::consts::PI * progress).cos()),
        }
    }
}

/// What the objective is a mean over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Aggregation {
    /// Over tokens: a long response counts for more.
    #[default]
    Token,
    /// Over responses, each the mean of its tokens.
    Response,
    /// Over episodes, each the mean of its tokens: a long episode counts for no more than a short one.
    Episode,
}

/// How the policy is changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateConfig {
    /// Passes over an iteration's rows.
    pub epochs: usize,
    /// Rows a minibatch.
    pub minibatch: usize,
    /// Into how many parts a CPU cuts a minibatch to work on them side by side. It is no business of
    /// the number of threads, as the last digits of a sum depend on it.
    pub shards: usize,
    /// What the objective is a mean over.
    pub aggregation: Aggregation,
    /// AdamW's learning rate at the start.
    pub learning_rate: f64,
    /// How it moves from there.
    pub schedule: Schedule,
    /// Iterations over which it first rises from 0.
    pub warmup: u64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f32,
    /// Probability ratios are clipped to [1 - clip_low, ...].
    pub clip_low: f32,
    /// Probability ratios are clipped to [..., 1 + clip_high].
    pub clip_high: f32,
    /// Weight of the low-variance KL divergence from the reference policy; 0 for none. The paper's
    /// 0.01 holds a pretrained model to what it knows; here the reference is the untrained policy,
    /// which is close to uniform, and a tenth of that keeps exploration up without holding back.
    pub kl_weight: f32,
    /// Weight of the entropy bonus at the start; 0 for none.
    pub entropy_weight: f32,
    /// How it moves from there.
    pub entropy_schedule: Schedule,
    /// Subtracted from the reward of a step whose action was not admissible.
    pub invalid_action_penalty: f32,
    /// Largest norm of the whole gradient; it is scaled down to that.
    pub max_gradient_norm: f32,
    /// Ends the run after this many updates in a row that were not finite.
    pub max_bad_updates: usize,
}

impl Default for UpdateConfig {
    fn default() -> Self {
        Self {
            epochs: 2,
            minibatch: 1024,
            shards: 2,
            aggregation: Aggregation::Token,
            learning_rate: 1e-3,
            schedule: Schedule::Linear,
            warmup: 0,
            weight_decay: 0.0,
            clip_low: 0.2,
            clip_high: 0.2,
            kl_weight: 0.001,
            entropy_weight: 0.0,
            entropy_schedule: Schedule::Constant,
            invalid_action_penalty: 0.1,
            max_gradient_norm: 1.0,
            max_bad_updates: 10,
        }
    }
}

impl UpdateConfig {
    /// The learning rate at a point of the run, `progress` in [0, 1].
    pub fn learning_rate_at(&self, iteration: u64, progress: f64) -> f64 {
        let warm = if self.warmup == 0 {
            1.0
        } else {
            ((iteration + 1) as f64 / self.warmup as f64).min(1.0)
        };
        self.learning_rate * warm * self.schedule.left(progress)
    }

    /// The weight of the entropy bonus at a point of the run, `progress` in [0, 1].
    pub fn entropy_weight_at(&self, progress: f64) -> f32 {
        self.entropy_weight * self.entropy_schedule.left(progress) as f32
    }
}

/// Whom the policy imitates.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CloneConfig {
    /// `expert`, `walkthroughs` or an episode file; empty where the policy learns from its own play.
    pub from: String,
    /// How many tasks (of a file: episodes) are imitated; 0 for all.
    pub tasks: usize,
}

/// How the policy is judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvalConfig {
    /// The held-out split; empty for the environment's own (`valid`, or `valid_seen` on ALFWorld).
    pub split: String,
    /// How many of them, spread over the split; 0 for all.
    pub tasks: usize,
    /// Judge every so many iterations besides at the start and the end; 0 for never.
    pub every: u64,
    /// 0 plays greedily, more samples at that temperature.
    pub temperature: f32,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self { split: String::new(), tasks: 0, every: 25, temperature: 0.0 }
    }
}

/// Refuses a number outside a range, naming the setting and what is allowed.
fn within<T: PartialOrd + std::fmt::Display>(key: &str, value: T, low: T, high: T) -> Result<()> {
    if value >= low && value <= high {
        return Ok(());
    }
    Err(Error::setting(key, format!("{value} is out of range, expected {low} to {high}")))
}

impl Config {
    /// Checks every setting.
    ///
    /// # Errors
    /// Names the first setting that is out of range and what is allowed.
    pub fn validate(&self) -> Result<()> {
        let Self { run, rollout, policy, update, eval, .. } = self;
        within("run.seed", run.seed, 0, i64::MAX as u64)?;
        within("run.iterations", run.iterations, 0, 10_000_000)?;
        within("run.minutes", run.minutes, 0.0, 1e6)?;
        if run.iterations == 0 && run.minutes == 0.0 {
            let message = "and run.minutes are both 0, expected one of them to end the run";
            return Err(Error::setting("run.iterations", message));
        }
        within("run.checkpoint_every", run.checkpoint_every, 1, 1_000_000)?;
        within("run.keep", run.keep, 1, 1_000_000)?;
        within("rollout.groups", rollout.groups, 1, 4096)?;
        within("rollout.episodes", rollout.episodes, 1, 4096)?;
        within("rollout.temperature", rollout.temperature, 0.01, 100.0)?;
        within("rollout.resample", rollout.resample, 0, 100)?;
        within("rollout.max_env_errors", rollout.max_env_errors, 0, 1_000_000)?;
        within("rollout.step_timeout", rollout.step_timeout, 0.0, 86_400.0)?;
        within("policy.embedding", policy.embedding, 4, 4096)?;
        within("policy.hidden", policy.hidden, 4, 4096)?;
        within("policy.max_words", policy.max_words, 1, 65_536)?;
        within("update.epochs", update.epochs, 1, 100)?;
        within("update.minibatch", update.minibatch, 1, 1_000_000)?;
        within("update.shards", update.shards, 1, 1024)?;
        within("update.learning_rate", update.learning_rate, 1e-9, 10.0)?;
        within("update.warmup", update.warmup, 0, 1_000_000)?;
        within("update.weight_decay", update.weight_decay, 0.0, 10.0)?;
        within("update.clip_low", update.clip_low, 0.0, 1.0)?;
        within("update.clip_high", update.clip_high, 0.0, 100.0)?;
        within("update.kl_weight", update.kl_weight, 0.0, 100.0)?;
        within("update.entropy_weight", update.entropy_weight, 0.0, 100.0)?;
        within("update.invalid_action_penalty", update.invalid_action_penalty, 0.0, 1e6)?;
        within("update.max_gradient_norm", update.max_gradient_norm, 1e-6, 1e9)?;
        within("update.max_bad_updates", update.max_bad_updates, 1, 1_000_000)?;
        within("eval.temperature", eval.temperature, 0.0, 100.0)?;
        self.env.validate()?;
        self.credit.validate()?;
        check_training(&self.credit)
    }

    /// Reads `config.toml`'s text. `name` stands for the file in errors.
    ///
    /// # Errors
    /// Names the key that is unknown or of the wrong type, and its line.
    pub fn from_toml(text: &str, name: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| toml_error(&error, text, name))
    }

    /// The text of `config.toml`, every setting included.
    ///
    /// # Errors
    /// Where a number does not fit TOML.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self).map_err(|error| Error::setting("config", error.to_string()))
    }
}

/// One line out of the parser's several.
fn toml_error(error: &toml::de::Error, text: &str, name: &str) -> Error {
    let line =
        error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let place = line.map_or_else(|| name.to_string(), |line| format!("{name}:{line}"));
    Error::input(place, error.message().replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_survive_their_file() {
        let config = Config::default();
        config.validate().unwrap();
        let text = config.to_toml().unwrap();
        assert_eq!(Config::from_toml(&text, "config.toml").unwrap(), config);
    }

    #[test]
    fn a_typo_is_named_with_its_line() {
        let text = "[update]\nepochs = 3\nlerning_rate = 1.0\n";
        let message = Config::from_toml(text, "c.toml").unwrap_err().to_string();
        assert!(message.starts_with("c.toml:3: unknown field `lerning_rate`"), "{message}");
        assert!(message.contains("`learning_rate`") && !message.contains('\n'), "{message}");
    }

    #[test]
    fn a_value_out_of_range_is_named_with_what_is_allowed() {
        let mut config = Config::default();
        config.rollout.temperature = 0.0;
        let message = config.validate().unwrap_err().to_string();
        assert!(
            message.contains("rollout.temperature") && message.contains("0.01 to 100"),
            "{message}"
        );
        config.rollout.temperature = f32::NAN;
        assert!(config.validate().is_err(), "NaN is in no range");

        let mut endless = Config::default();
        endless.run.iterations = 0;
        assert!(endless.validate().unwrap_err().to_string().contains("both 0"));
        endless.run.minutes = 1.0;
        endless.validate().unwrap();
    }

    #[test]
    fn a_run_ends_by_iterations_or_by_minutes() {
        let mut config = Config::default();
        (config.run.iterations, config.run.minutes) = (100, 10.0);
        assert_eq!(config.run.share_done(25, 60.0), 0.25);
        assert_eq!(config.run.share_done(25, 300.0), 0.5);
        assert_eq!(config.run.share_done(101, 0.0), 1.0);
        (config.run.iterations, config.run.minutes) = (0, 10.0);
        assert_eq!(config.run.share_done(1000, 60.0), 0.1);
    }

    #[test]
    fn the_learning_rate_warms_up_and_falls_to_a_tenth() {
        let mut config = UpdateConfig { learning_rate: 1.0, warmup: 4, ..Default::default() };
        assert_eq!(config.learning_rate_at(0, 0.0), 0.25);
        for schedule in [Schedule::Linear, Schedule::Cosine] {
            config.schedule = schedule;
            assert!((config.learning_rate_at(9, 0.5) - 0.55).abs() < 1e-12);
            assert!((config.learning_rate_at(9, 1.0) - 0.1).abs() < 1e-12);
        }
        config.schedule = Schedule::Constant;
        assert_eq!(config.learning_rate_at(9, 1.0), 1.0);
    }
}
