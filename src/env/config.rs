//! Which environment is played, and opening it by name.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Environment;
use super::alfworld::{AlfWorld, AlfWorldConfig, GeneratorConfig, generate};
#[cfg(not(target_family = "wasm"))]
use super::process::{Process, ProcessConfig, split_command};
use super::protocol::Split;
use crate::error::{Error, Result};

/// The environments that can be opened by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EnvName {
    /// Household tasks that this crate generates, in ALFWorld's manner and in words of its own.
    #[default]
    Household,
    /// The ALFWorld benchmark's own games.
    AlfWorld,
    /// A program that speaks the environment protocol.
    Process,
}

impl EnvName {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Household, Self::AlfWorld, Self::Process];

    /// The name used on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Household => "household",
            Self::AlfWorld => "alfworld",
            Self::Process => "process",
        }
    }
}

/// What is played.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EnvConfig {
    /// Which environment.
    #[schemars(extend("x-flag" = "env"))]
    pub name: EnvName,
    /// ALFWorld: the folder of the games, or the archive that holds it.
    #[schemars(extend("format" = "path"))]
    pub games: PathBuf,
    /// Process: the program's command line, split into words as a shell would; no shell is run.
    /// Relative paths are those of the folder in which `proxmo` is run.
    #[schemars(extend("x-value" = "LINE"))]
    pub command: String,
    /// Process: seconds that an answer may take, 0 for any time. It is counted from the last answer
    /// that the program gave to anybody.
    pub answer_timeout: f64,
    /// Process: how many copies of the program run side by side.
    pub processes: usize,
    /// The split to train on: `train`.
    #[schemars(extend("x-flag" = "train-split", "x-value" = "NAME", "x-former-flags" = ["split"]))]
    pub split: String,
    /// After how many steps an episode is cut off. A program says that itself.
    pub max_steps: usize,
    /// Reward of the step that reaches the goal. A program pays its own.
    pub success_reward: f32,
    /// Reward of every other step. A program pays its own.
    pub step_reward: f32,
    /// The share of observations that are told in other words, 0 for none. Not for a program's.
    pub paraphrase: f64,
    /// Household: games that lend the tasks their wording, as `games`; empty for the crate's own.
    #[schemars(extend("format" = "path"))]
    pub like: PathBuf,
    /// Household: how many tasks there are to train on.
    #[schemars(extend("x-flag" = "train-tasks", "x-former-flags" = ["tasks"]))]
    pub tasks: usize,
    /// Household: how many tasks are held out.
    pub held_out: usize,
    /// Household: the seed that tasks are generated from.
    pub task_seed: u64,
    /// Household: what tasks are like.
    pub household: GeneratorConfig,
}

impl Default for EnvConfig {
    fn default() -> Self {
        Self {
            name: EnvName::Household,
            games: PathBuf::new(),
            command: String::new(),
            answer_timeout: 30.0,
            processes: 1,
            split: "train".into(),
            max_steps: 50,
            success_reward: 1.0,
            step_reward: 0.0,
            paraphrase: 0.0,
            like: PathBuf::new(),
            tasks: 1000,
            held_out: 200,
            task_seed: 1,
            household: GeneratorConfig::default(),
        }
    }
}

/// The household environment's splits: to train on, and held out.
const HOUSEHOLD_SPLITS: [&str; 2] = ["train", "valid"];

impl EnvConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Names the first setting that is out of range and what is allowed.
    pub fn validate(&self) -> Result<()> {
        let range = |key: &str, found: &dyn std::fmt::Display, fine: bool, allowed: &str| {
            let message = format!("{found} is out of range, expected {allowed}");
            if fine { Ok(()) } else { Err(Error::setting(key, message)) }
        };
        let (steps, tasks, held_out) = (self.max_steps, self.tasks, self.held_out);
        range("env.max_steps", &steps, (1..=100_000).contains(&steps), "1 to 100000")?;
        range("env.tasks", &tasks, (1..=1_000_000).contains(&tasks), "1 to 1000000")?;
        range("env.held_out", &held_out, (1..=1_000_000).contains(&held_out), "1 to 1000000")?;
        let seed = self.task_seed;
        range("env.task_seed", &seed, seed < i64::MAX as u64, "0 to 2^63 - 2")?;
        for (key, reward) in
            [("env.success_reward", self.success_reward), ("env.step_reward", self.step_reward)]
        {
            range(key, &reward, reward.abs() <= 1e6, "-1e6 to 1e6")?;
        }
        let share = self.paraphrase;
        range("env.paraphrase", &share, (0.0..=1.0).contains(&share), "0 to 1")?;
        if self.name == EnvName::AlfWorld && self.games.as_os_str().is_empty() {
            let message = "is not set; name the folder json_2.1.1 that alfworld-download makes \
                           (--games DIR)";
            return Err(Error::setting("env.games", message));
        }
        self.validate_process()?;
        self.household.validate()
    }

    fn validate_process(&self) -> Result<()> {
        let refuse = |key: &str, message: String| Err(Error::setting(key, message));
        if !(0.0..=86_400.0).contains(&self.answer_timeout) {
            let message = format!("{} is out of range, expected 0 to 86400", self.answer_timeout);
            return refuse("env.answer_timeout", message);
        }
        if !(1..=256).contains(&self.processes) {
            let message = format!("{} is out of range, expected 1 to 256", self.processes);
            return refuse("env.processes", message);
        }
        if self.name != EnvName::Process {
            let message = "is for a program alone; add --env process".to_string();
            return if self.command.is_empty() { Ok(()) } else { refuse("env.command", message) };
        }
        // What would have no effect is not to pass in silence.
        let usual = Self::default();
        for (key, is_usual) in [
            ("env.max_steps", self.max_steps == usual.max_steps),
            ("env.success_reward", self.success_reward == usual.success_reward),
            ("env.step_reward", self.step_reward == usual.step_reward),
            ("env.paraphrase", self.paraphrase == usual.paraphrase),
        ] {
            if !is_usual {
                return refuse(key, "is the program's own affair with --env process".into());
            }
        }
        #[cfg(not(target_family = "wasm"))]
        split_command(&self.command)?;
        Ok(())
    }

    /// The split that is held out unless another is named.
    pub fn held_out_split(&self) -> &'static str {
        match self.name {
            EnvName::Household | EnvName::Process => HOUSEHOLD_SPLITS[1],
            EnvName::AlfWorld => "valid_seen",
        }
    }

    /// Opens a split of the environment. A program is run, and described.
    ///
    /// # Errors
    /// Where games are absent or malformed, a program cannot be run or makes no sense, or there is no
    /// such split.
    pub fn open(&self, split: &str) -> Result<Box<dyn Environment>> {
        match self.name {
            EnvName::Household | EnvName::AlfWorld => {
                Ok(Box::new(self.open_alfworld(Some(split))?))
            }
            #[cfg(not(target_family = "wasm"))]
            EnvName::Process => {
                let config = ProcessConfig {
                    command: self.command.clone(),
                    answer_timeout: self.answer_timeout,
                    processes: self.processes,
                };
                Ok(Box::new(Process::open(&config, split)?))
            }
            #[cfg(target_family = "wasm")]
            EnvName::Process => Err(Error::setting(
                "env.name",
                "'process' needs processes, which there are none of",
            )),
        }
    }

    /// The splits that an opened world consists of: the one that was asked for, or all in order.
    pub fn splits(&self, world: &AlfWorld, split: Option<&str>) -> Vec<Split> {
        let named = |name: &str, tasks: usize| Split { name: name.into(), tasks: tasks as u64 };
        if let Some(split) = split {
            return vec![named(split, world.tasks())];
        }
        if self.name == EnvName::Household {
            let [train, held_out] = HOUSEHOLD_SPLITS;
            return vec![named(train, self.tasks), named(held_out, world.tasks() - self.tasks)];
        }
        // Games are sorted by name, which begins with the split's.
        let mut splits: Vec<Split> = Vec::new();
        for task in 0..world.tasks() {
            let name = world.task_name(task).split('/').next().unwrap_or_default();
            match splits.last_mut().filter(|last| last.name == name) {
                Some(last) => last.tasks += 1,
                None => splits.push(named(name, 1)),
            }
        }
        splits
    }

    /// Opens a split, or all of them, as the concrete type, which knows walkthroughs.
    ///
    /// # Errors
    /// As [`EnvConfig::open`], and where the environment is a program.
    pub fn open_alfworld(&self, split: Option<&str>) -> Result<AlfWorld> {
        let config = AlfWorldConfig {
            max_steps: self.max_steps,
            success_reward: self.success_reward,
            step_reward: self.step_reward,
        };
        let world = match self.name {
            EnvName::AlfWorld => AlfWorld::load(&self.games, split, config)?,
            EnvName::Household => {
                let world = self.generate(split)?.with_config(config);
                match self.like.as_os_str().is_empty() {
                    true => world,
                    false => world.worded_like(&AlfWorld::load(&self.like, None, config)?)?,
                }
            }
            EnvName::Process => {
                let message =
                    "'process' has no worlds of its own, expected 'household' or 'alfworld'";
                return Err(Error::setting("env.name", message));
            }
        };
        world.with_paraphrase(self.paraphrase)
    }

    /// The tasks of a split, or of both.
    fn generate(&self, split: Option<&str>) -> Result<AlfWorld> {
        let train = || generate(&self.household, self.task_seed, self.tasks);
        let held_out = || generate(&self.household, self.task_seed + 1, self.held_out);
        match split {
            None => Ok(train()?.and(held_out()?)),
            Some(split) if split == HOUSEHOLD_SPLITS[0] => train(),
            Some(split) if split == HOUSEHOLD_SPLITS[1] => held_out(),
            Some(split) => {
                let expected = HOUSEHOLD_SPLITS.join("' or '");
                let message = format!("'{split}' is unknown, expected '{expected}'");
                Err(Error::setting("split", message))
            }
        }
    }
}
