//! The settings of a training run, and their form in `config.toml`.

use std::path::PathBuf;
use std::sync::LazyLock;

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::distributed_config::DistributedConfig;
use super::eval_config::EvalConfig;
use super::imitation_config::ImitationConfig;
use super::update_config::UpdateConfig;
use crate::credit::CreditConfig;
use crate::device::Backend;
use crate::env::EnvConfig;
use crate::error::{Error, Result};
use crate::kernels::check_training;
use crate::policy::PolicyConfig;
#[cfg(feature = "lm")]
use crate::policy::{PolicySpec, lm::LmSpec, no_value_head};
use crate::rollout::Limits;
use crate::settings;

/// The settings of a training run. `config.toml` has one table for each field.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Length, seed, device and files of the run.
    #[garde(dive)]
    pub run: RunConfig,
    /// The environment.
    #[garde(dive)]
    pub env: EnvConfig,
    /// Collection of episodes.
    #[garde(dive)]
    pub rollout: RolloutConfig,
    /// The policy that is trained.
    #[garde(dive)]
    pub policy: PolicyConfig,
    /// Credit assignment.
    #[garde(dive)]
    pub credit: CreditConfig,
    /// The update of the policy: loss and optimizer.
    #[garde(dive)]
    pub update: UpdateConfig,
    /// Imitation of demonstrations (behaviour cloning) in place of reinforcement learning.
    #[garde(dive)]
    #[schemars(extend("x-former-keys" = ["clone"]))]
    pub imitation: ImitationConfig,
    /// Evaluation on held-out tasks.
    #[garde(dive)]
    pub eval: EvalConfig,
    /// Training on several processes (`mpirun proxmo train`, with the feature `mpi`).
    #[garde(dive)]
    pub distributed: DistributedConfig,
}

/// Length, seed, device and files of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// Seed that every random draw derives from.
    #[garde(range(max = i64::MAX as u64))]
    pub seed: u64,
    /// Backend that computes.
    #[garde(skip)]
    pub backend: Backend,
    /// Number of the backend's device, as `proxmo devices` lists them.
    #[garde(range(max = 65_535))]
    pub device: usize,
    /// Iterations after which training ends. 0 sets no limit besides `run.minutes`.
    #[garde(range(max = 10_000_000), custom(ends(self.minutes)))]
    pub iterations: u64,
    /// Minutes after which training ends, if that is sooner. 0 sets no limit.
    #[garde(range(min = 0.0, max = 1e6))]
    pub minutes: f64,
    /// Iterations between checkpoints. The last iteration always has one.
    #[garde(range(min = 1, max = 1_000_000))]
    pub checkpoint_every: u64,
    /// Minutes after which an iteration is followed by a checkpoint, if that is sooner. 0 sets no
    /// time.
    #[garde(range(min = 0.0, max = 1e6))]
    pub checkpoint_minutes: f64,
    /// Number of checkpoints to keep. The best by evaluation is kept besides.
    #[garde(range(min = 1, max = 1_000_000))]
    #[schemars(extend("x-former-keys" = ["keep"], "x-aliases" = ["keep"]))]
    pub keep_checkpoints: usize,
    /// Write the episodes of every iteration to `episodes/` in the run folder.
    #[garde(skip)]
    pub save_episodes: bool,
    /// Run folder whose newest policy the run starts from. It is the reference policy too. Empty
    /// starts from an untrained policy.
    #[garde(skip)]
    #[schemars(extend("format" = "path", "x-value" = "DIR"))]
    pub init: PathBuf,
}

/// A custom rule: a run ends by iterations or by minutes.
fn ends(minutes: f64) -> impl FnOnce(&u64, &()) -> garde::Result {
    move |&iterations, _| match iterations > 0 || minutes != 0.0 {
        true => Ok(()),
        false => Err(garde::Error::new(
            "and run.minutes are both 0, expected at least one of them above 0",
        )),
    }
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
            checkpoint_minutes: 5.0,
            keep_checkpoints: 3,
            save_episodes: false,
            init: PathBuf::new(),
        }
    }
}

impl RunConfig {
    /// The share of the run, in [0, 1], that is done after `iteration` iterations and `seconds`
    /// seconds.
    pub fn share_done(&self, iteration: u64, seconds: f64) -> f64 {
        share_of((self.iterations, self.minutes), iteration, seconds)
    }
}

/// The share, in [0, 1], of a limit in iterations and minutes, whichever is further. 0 is no limit.
fn share_of((iterations, minutes): (u64, f64), iteration: u64, seconds: f64) -> f64 {
    let share = |done: f64, limit: f64| if limit > 0.0 { done / limit } else { 0.0 };
    let by_iterations = share(iteration as f64, iterations as f64);
    by_iterations.max(share(seconds, 60.0 * minutes)).min(1.0)
}

/// Collection of episodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct RolloutConfig {
    /// Groups in an iteration, each of one task.
    #[garde(range(min = 1, max = 4096))]
    pub groups: usize,
    /// Episodes in a group.
    #[garde(range(min = 1, max = 4096))]
    #[schemars(extend("x-former-keys" = ["episodes"], "x-former-flags" = ["episodes"]))]
    pub group_size: usize,
    /// Temperature at which actions are sampled.
    #[garde(range(min = 0.01, max = 100.0))]
    #[schemars(extend("x-flag" = "rollout-temperature"))]
    pub temperature: f32,
    /// Rounds of dynamic sampling: how often zero-variance groups (all episodes have the same return)
    /// are replaced by groups of other tasks. The groups of the last round are kept as they are.
    #[garde(range(max = 100))]
    #[schemars(extend("x-former-keys" = ["resample"], "x-aliases" = ["resample"]))]
    pub max_resampling_rounds: usize,
    /// Play variations of the tasks, others in each iteration, if the environment has them: so the policy
    /// learns to look in place of learning tasks by heart. The expert's demonstrations are of variations
    /// too; walkthroughs and episode files are imitated as they are.
    #[garde(skip)]
    pub vary_tasks: bool,
    /// Drop zero-variance groups (all episodes have the same return) from the update.
    #[garde(skip)]
    #[schemars(extend("x-former-keys" = ["skip_even"], "x-aliases" = ["skip-even"]))]
    pub drop_zero_variance: bool,
    /// Episodes of one iteration or evaluation that may be lost to environment errors. More end the
    /// run.
    #[garde(range(max = 1_000_000))]
    pub max_env_errors: usize,
    /// Time-out of an environment's step in seconds. 0 sets none.
    #[garde(range(min = 0.0, max = 86_400.0))]
    pub step_timeout: f64,
}

impl Default for RolloutConfig {
    fn default() -> Self {
        Self {
            groups: 16,
            group_size: 8,
            temperature: 1.0,
            max_resampling_rounds: 0,
            vary_tasks: false,
            drop_zero_variance: false,
            max_env_errors: 16,
            step_timeout: 0.0,
        }
    }
}

impl RolloutConfig {
    /// Limits on environment errors.
    pub fn limits(&self) -> Limits {
        Limits { max_errors: self.max_env_errors, step_timeout: self.step_timeout }
    }
}

impl Config {
    /// The JSON Schema of `config.toml`.
    pub fn schema() -> &'static Value {
        static SCHEMA: LazyLock<Value> = LazyLock::new(settings::schema_of::<Config>);
        &SCHEMA
    }

    /// Fixes the length of the schedules, which a run does at its start: if the settings leave it
    /// open, it is the present limit of the run.
    pub fn fix_schedule(&mut self) {
        let (iterations, minutes) = self.schedule_limits();
        (self.update.schedule_iterations, self.update.schedule_minutes) = (iterations, minutes);
    }

    /// The length of the schedules in iterations and minutes. 0 is no limit.
    fn schedule_limits(&self) -> (u64, f64) {
        match (self.update.schedule_iterations, self.update.schedule_minutes) {
            (0, 0.0) => (self.run.iterations, self.run.minutes),
            given => given,
        }
    }

    /// The share of the schedules, in [0, 1], that is done after `iteration` iterations and `seconds`
    /// seconds.
    pub fn schedule_done(&self, iteration: u64, seconds: f64) -> f64 {
        share_of(self.schedule_limits(), iteration, seconds)
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// Names the key of the first setting that is out of range, and the range.
    pub fn validate(&self) -> Result<()> {
        settings::check(self, "")?;
        check_training(&self.credit)?;
        self.expect_value_head()
    }

    /// Checks that the kind of policy has a value head if credit needs values.
    fn expect_value_head(&self) -> Result<()> {
        match (self.credit.needs_values(), &self.policy) {
            #[cfg(feature = "lm")]
            (true, PolicyConfig::Lm(_)) => {
                Err(self.credit.lacks_values(&no_value_head(LmSpec::KIND)))
            }
            _ => Ok(()),
        }
    }

    /// Reads the text of a `config.toml`. `name` stands for the file in errors. Settings that it
    /// leaves out have their defaults.
    ///
    /// # Errors
    /// Names the line and key of the first setting that is unknown, renamed, of the wrong type or out
    /// of range.
    pub fn from_toml(text: &str, name: &str) -> Result<Self> {
        let tree = settings::read_toml(text, name, Self::schema())?;
        Self::from_tree(tree).map_err(|message| Error::input(name, message))
    }

    /// The text of `config.toml`, every setting included.
    ///
    /// # Errors
    /// Fails if a number does not fit TOML.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self).map_err(|error| Error::setting("config", error.to_string()))
    }

    /// The configuration as a tree of JSON values.
    ///
    /// # Errors
    /// Fails if a path is not UTF-8.
    pub fn to_tree(&self) -> Result<Value> {
        serde_json::to_value(self).map_err(|error| Error::setting("config", error.to_string()))
    }

    /// The configuration that a tree of JSON values describes.
    ///
    /// # Errors
    /// Says which value does not fit.
    pub fn from_tree(tree: Value) -> Result<Self, String> {
        serde_json::from_value(tree).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_round_trip_through_toml() {
        let config = Config::default();
        config.validate().unwrap();
        let text = config.to_toml().unwrap();
        assert_eq!(Config::from_toml(&text, "config.toml").unwrap(), config);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let text = "[update]\nepochs = 3\nlerning_rate = 1.0\n";
        let message = Config::from_toml(text, "c.toml").unwrap_err().to_string();
        let expected =
            "c.toml:3: `update.lerning_rate` is an unknown key, expected one of `epochs`";
        assert!(message.starts_with(expected), "{message}");
        assert!(message.contains("`learning_rate`") && !message.contains('\n'), "{message}");
    }

    #[test]
    fn a_value_out_of_range_is_reported_with_its_range() {
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
    fn a_schedule_keeps_the_length_that_it_has_at_the_start() {
        let mut config = Config::default();
        config.run.iterations = 4;
        assert_eq!(config.schedule_done(2, 0.0), 0.5);
        config.fix_schedule();
        config.run.iterations = 8;
        config.fix_schedule();
        assert_eq!((config.schedule_done(2, 0.0), config.schedule_done(6, 0.0)), (0.5, 1.0));
        assert_eq!(config.run.share_done(2, 0.0), 0.25);
        config.update.schedule_minutes = 1.0;
        assert_eq!(config.schedule_done(2, 45.0), 0.75);
        // A given length is not changed.
        let mut given = Config::default();
        given.update.schedule_iterations = 600;
        given.fix_schedule();
        assert_eq!(given.update.schedule_iterations, 600);
    }
}
