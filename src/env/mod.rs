//! Environments: what an agent plays in.
//!
//! An [`Environment`] is a list of tasks. Starting a task gives a [`Session`], one episode under way,
//! which speaks in text: a goal, an observation, the admissible actions. Both traits know nothing of
//! policies, rewards' use or devices.

pub mod alfworld;
mod config;
#[cfg(not(target_family = "wasm"))]
pub mod process;
pub mod protocol;
mod texts;
pub mod webshop;

pub use config::{EnvConfig, EnvName};
pub use texts::Texts;

use std::sync::Arc;

use rand::Rng;

use crate::error::Result;
use crate::stream::{Purpose, Stream};

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Transition {
    /// The reward of this step.
    pub reward: f32,
    /// The task is over (won, or lost for good).
    pub terminated: bool,
    /// The episode was ended from outside, by its step limit.
    pub truncated: bool,
    /// The goal has been reached. A fact, whatever the reward's scale.
    pub success: bool,
    /// The action was one of the admissible ones.
    pub valid: bool,
}

impl Transition {
    /// Whether the episode ends here, for either reason.
    pub fn ended(&self) -> bool {
        self.terminated || self.truncated
    }
}

/// A list of tasks that can be played.
pub trait Environment: Send + Sync {
    /// The registry's name of the environment, such as `alfworld`.
    fn name(&self) -> &str;

    /// How many tasks there are; tasks are numbered from 0.
    fn tasks(&self) -> usize;

    /// A task's own name, unique in the environment.
    fn task_name(&self, task: usize) -> &str;

    /// The kind of a task, as an index into [`Environment::kinds`].
    fn task_kind(&self, task: usize) -> usize;

    /// The kinds of task that results are broken down by.
    fn kinds(&self) -> &[&'static str];

    /// After how many steps an episode is cut off.
    fn max_steps(&self) -> usize;

    /// Tells beforehand which episodes are started next, each by its task and seed, as
    /// [`Environment::start`] is called with. What plays elsewhere may begin on all of them at once.
    fn announce(&self, _episodes: &[(usize, u64)]) {}

    /// Starts an episode of `task`. `seed` decides whatever the environment leaves to chance.
    ///
    /// # Errors
    /// Fails where the task cannot be played (a process that died, a file that went away).
    fn start(&self, task: usize, seed: u64) -> Result<Box<dyn Session>>;

    /// The same environment as something that outlives this borrow.
    ///
    /// An environment whose [`Environment::start`] may hang gives one: `rollout.step_timeout` then holds
    /// for the start too, which runs on a thread that is left behind where it gives no answer. Without
    /// it the start is waited for.
    fn shared(&self) -> Option<Arc<dyn Environment>> {
        None
    }
}

/// The task that a seed picks among `tasks`.
pub fn pick_task(tasks: usize, seed: u64) -> usize {
    Stream::new(seed, Purpose::Tasks).rng().random_range(0..tasks.max(1))
}

/// One episode under way.
///
/// State advances by [`Session::step`]; texts are made only when asked for.
pub trait Session: Send {
    /// What is to be achieved, in words.
    fn goal(&self) -> &str;

    /// Appends the current observation to `out`.
    fn observe(&self, out: &mut String);

    /// Appends the actions that are possible now, in the environment's own order.
    fn admissible(&self, out: &mut Texts);

    /// Tells beforehand which action [`Session::step`] is called with next. What plays elsewhere, as in
    /// another process, may begin on it, so that many sessions go on at once whose steps are then waited
    /// for one by one.
    fn announce(&mut self, _action: &str) {}

    /// Takes an action. An action that is not admissible is answered, not refused: it comes back
    /// with `valid: false`, and whether it costs a step is the environment's business.
    ///
    /// # Errors
    /// Fails only where the environment itself broke.
    fn step(&mut self, action: &str) -> Result<Transition>;
}
