//! The traits that an environment implements.

use std::sync::Arc;

use rand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::texts::Texts;
use crate::error::Result;
use crate::stream::{Purpose, Stream};

/// The result of one step.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Transition {
    /// Reward of this step.
    pub reward: f64,
    /// The task is over: the goal is reached, or can no longer be reached.
    pub terminated: bool,
    /// The step limit ended the episode.
    pub truncated: bool,
    /// Whether the goal is reached, independent of the scale of rewards. `None` in an environment
    /// without a notion of success: its episodes only pay.
    pub success: Option<bool>,
    /// The quality of the result from 0 to 1, if the environment rates it apart from the reward. That
    /// of the last step counts.
    pub score: Option<f64>,
    /// The action was admissible.
    pub valid: bool,
}

impl Transition {
    /// Whether the episode ends with this step.
    pub fn ended(&self) -> bool {
        self.terminated || self.truncated
    }

    /// Whether the goal is known to be reached.
    pub fn succeeded(&self) -> bool {
        self.success == Some(true)
    }
}

/// A named part of an environment's tasks, such as `train` or `valid`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Name.
    pub name: String,
    /// Number of tasks.
    pub tasks: u64,
}

/// A list of tasks that can be played.
pub trait Environment: Send + Sync {
    /// Name of the environment, such as `alfworld`.
    fn name(&self) -> &str;

    /// Number of tasks. Tasks are numbered from 0.
    fn tasks(&self) -> usize;

    /// Remarks on the tasks for the user, such as the number of files that were left out, one line each.
    fn notes(&self) -> &[String] {
        &[]
    }

    /// Name of a task, unique within the environment.
    fn task_name(&self, task: usize) -> &str;

    /// Kind of a task, an index into [`Environment::kinds`].
    fn task_kind(&self, task: usize) -> usize;

    /// Names of the kinds of task. Results are reported by kind.
    fn kinds(&self) -> Vec<String>;

    /// Step limit of an episode.
    fn max_steps(&self) -> usize;

    /// The splits that the tasks belong to, in the order of the tasks. Their sizes add up to
    /// [`Environment::tasks`].
    fn splits(&self) -> Vec<Split> {
        vec![Split { name: "all".into(), tasks: self.tasks() as u64 }]
    }

    /// Whether episodes list their admissible actions. Without a list, a policy has to write its actions.
    fn lists_actions(&self) -> bool {
        true
    }

    /// Maximum number of episodes at a time, as with a server of few sessions. Further ones are played
    /// after others.
    fn max_sessions(&self) -> usize {
        usize::MAX
    }

    /// Announces the episodes that are started next, as pairs of task and seed. An environment that
    /// runs elsewhere may begin all of them at once.
    fn announce(&self, _episodes: &[(usize, u64)]) {}

    /// Whether an episode that is lost to an environment error may be played again from its seed, as
    /// with a program, whose death takes all its episodes with it. A rollout then counts an episode
    /// as lost only if it fails again.
    fn replays_lost_episodes(&self) -> bool {
        false
    }

    /// Limits the time of each step, in seconds, of all episodes from now on, if the environment can
    /// enforce a limit by itself. Returns whether it does; otherwise the rollout watches each step from
    /// a thread of its own.
    fn limit_steps(&self, _seconds: f64) -> bool {
        false
    }

    /// Starts an episode of `task`. `seed` decides everything that the environment leaves to chance.
    ///
    /// # Errors
    /// Returns an error if the task cannot be played, for example because a process died.
    fn start(&self, task: usize, seed: u64) -> Result<Box<dyn Session>>;

    /// A handle to the same environment that outlives this borrow.
    ///
    /// An environment whose [`Environment::start`] may hang returns one. `rollout.step_timeout` then
    /// covers the start too, which runs on a thread that is abandoned if it does not answer. Without
    /// a handle, the rollout waits for the start.
    fn shared(&self) -> Option<Arc<dyn Environment>> {
        None
    }

    /// Maximum number of tasks that are played to collect an environment's words. An environment whose
    /// steps are slow returns a smaller number.
    fn vocabulary_tasks(&self) -> usize {
        4000
    }

    /// A scripted player of a task, at the start of an episode. `None` if the environment has none or
    /// there is no such task.
    fn expert(&self, _task: usize) -> Option<Box<dyn Player>> {
        None
    }

    /// Variations of the same tasks, as `seed` decides, in the same order: in other states, or with other
    /// goals of the same kind. A policy that has learned the tasks by heart does not know these. `None` if
    /// the environment cannot vary its tasks.
    fn varied(&self, _seed: u64) -> Option<Box<dyn Environment>> {
        None
    }

    /// The actions that solve a task. `None` if the environment does not know them.
    fn walkthrough(&self, _task: usize) -> Option<&[String]> {
        None
    }
}

/// The task that a seed picks among `tasks`.
pub fn pick_task(tasks: usize, seed: u64) -> usize {
    Stream::new(seed, Purpose::Tasks).rng().random_range(0..tasks.max(1))
}

/// One episode in progress. [`Session::step`] changes its state; texts are written on request.
pub trait Session: Send {
    /// The goal, in words.
    fn goal(&self) -> &str;

    /// Appends the current observation to `out`.
    fn observe(&self, out: &mut String);

    /// Appends the admissible actions to `out`, in the environment's own order.
    fn admissible(&self, out: &mut Texts);

    /// Appends the actions that a policy which chooses from a list chooses from. An admissible action
    /// with a slot that the player fills, such as `search[<your query>]`, is replaced by one action for
    /// each text that the environment proposes for the slot.
    fn choices(&self, out: &mut Texts) {
        self.admissible(out);
    }

    /// Announces the action of the next [`Session::step`]. A session that runs in another process may
    /// begin the step, so that the steps of many sessions overlap.
    fn announce(&mut self, _action: &str) {}

    /// Passes further numbers of the episode so far to `out`, by name: a share of subgoals, say. Those
    /// after the last step are averaged over episodes and shown.
    fn metrics(&self, _out: &mut dyn FnMut(&str, f64)) {}

    /// Adds fields beyond the common ones to an answer of the environment protocol.
    fn add_details(&self, _answer: &mut Map<String, Value>) {}

    /// Takes an action. An action that is not admissible is no error: its transition has
    /// `valid: false`, and the environment decides whether it counts as a step.
    ///
    /// # Errors
    /// Returns an error if the environment itself failed.
    fn step(&mut self, action: &str) -> Result<Transition>;
}

/// A player that an environment provides, in the course of one episode.
pub trait Player: Send {
    /// The index of the action to take now, among those of [`Session::choices`].
    fn act(&mut self, observation: &str, choices: &Texts) -> usize;

    /// Learns that the action with index `taken` was taken in place of the one that it chose last.
    fn overrule(&mut self, _choices: &Texts, _taken: usize) {}
}
