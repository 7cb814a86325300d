//! Evaluation of a policy on tasks.

use rand::{Rng, RngCore};

use super::kind_result::KindResult;
use super::metrics::EvaluationMetrics;
use crate::env::{Environment, Session, Texts};
use crate::episodes::{EpisodeRecord, StepRecord};
use crate::error::{Error, Result};
use crate::policy::{EncoderOf, Policy, Sampling};
use crate::rollout::{EnvironmentError, Limits, Plan, collect_with_async, expect_some};
use crate::stream::{Purpose, Stream};

/// The outcome of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The task.
    pub task: usize,
    /// Whether its goal was reached.
    pub success: bool,
    /// Number of steps.
    pub steps: usize,
}

/// The outcomes of all tasks.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Evaluation {
    /// One per task, in the given order, without the tasks that were lost to environment errors.
    pub outcomes: Vec<Outcome>,
    /// The tasks that were lost.
    pub errors: Vec<EnvironmentError>,
    /// The episodes of `outcomes`, if the plan keeps them. Group and trajectory have the task's name.
    pub episodes: Vec<EpisodeRecord>,
}

/// Number of tasks that are played in lock-step. More take more memory, fewer waste the device.
const CONCURRENT_TASKS: usize = 128;

/// The tasks of an evaluation, and how they are played.
#[derive(Debug, Clone)]
pub struct EvaluationPlan<'a> {
    /// Each task is played once.
    pub tasks: &'a [usize],
    /// How actions are drawn.
    pub sampling: Sampling,
    /// Seed of all random draws.
    pub seed: u64,
    /// Limits on environment errors.
    pub limits: Limits,
    /// Whether the evaluation keeps the episodes.
    pub keep_episodes: bool,
}

impl<'a> EvaluationPlan<'a> {
    /// A plan that plays greedily with seed 0, allows no environment error and keeps no episodes.
    pub fn new(tasks: &'a [usize]) -> Self {
        let limits = Limits::default();
        Self { tasks, sampling: Sampling::Greedy, seed: 0, limits, keep_episodes: false }
    }
}

/// Plays every task once. `progress` receives the number of tasks done.
///
/// A task that is lost to an environment error is left out of the outcomes.
///
/// # Errors
/// Fails if more tasks are lost than the limits allow, or if the policy or the device fails.
pub async fn evaluate_async<P: Policy>(
    environment: &dyn Environment,
    policy: &P,
    encoder: &EncoderOf<P>,
    plan: &EvaluationPlan<'_>,
    progress: &mut dyn FnMut(usize),
) -> Result<Evaluation> {
    let mut evaluation = Evaluation::default();
    let &EvaluationPlan { sampling, seed, mut limits, .. } = plan;
    for (part, tasks) in plan.tasks.chunks(CONCURRENT_TASKS).enumerate() {
        let rollout =
            Plan { tasks, first_group: 0, episodes: 1, sampling, seed, iteration: part as u64 };
        let batch = collect_with_async(environment, policy, encoder, &rollout, &limits).await?;
        // Each group has one task; the group of a lost task is empty.
        let played = tasks.iter().zip(batch.data.layout().group_episodes());
        let played = played.filter(|(_, episodes)| !episodes.is_empty());
        let tasks: Vec<usize> = played.map(|(&task, _)| task).collect();
        evaluation.outcomes.extend(tasks.iter().enumerate().map(|(episode, &task)| Outcome {
            task,
            success: batch.data.success()[episode],
            steps: batch.data.rows_of_episode(episode).len(),
        }));
        if plan.keep_episodes {
            let named = batch.records().into_iter().zip(&tasks).map(|(mut record, &task)| {
                record.group = environment.task_name(task).to_string();
                record.trajectory = record.group.clone();
                record
            });
            evaluation.episodes.extend(named);
        }
        limits.max_errors -= batch.errors.len();
        evaluation.errors.extend(batch.errors);
        progress(evaluation.outcomes.len() + evaluation.errors.len());
    }
    expect_some(evaluation.outcomes.len(), &evaluation.errors)?;
    Ok(evaluation)
}

/// [`evaluate_async`], blocking.
///
/// # Errors
/// As [`evaluate_async`].
pub fn evaluate<P: Policy>(
    environment: &dyn Environment,
    policy: &P,
    encoder: &EncoderOf<P>,
    plan: &EvaluationPlan,
    progress: &mut dyn FnMut(usize),
) -> Result<Evaluation> {
    pollster::block_on(evaluate_async(environment, policy, encoder, plan, progress))
}

/// A policy without weights for one episode. It receives the observation and the admissible actions of
/// each step, and returns the index of an action.
pub type FixedPolicy = Box<dyn FnMut(&str, &Texts) -> usize>;

/// Plays every task once with the policy that `begin` returns for it. The plan's sampling and limits do
/// not apply. `progress` receives the number of tasks done.
///
/// # Errors
/// Fails if an environment or `begin` fails, or if a policy returns an index out of range.
pub fn evaluate_fixed(
    environment: &dyn Environment,
    plan: &EvaluationPlan,
    begin: &dyn Fn(usize) -> Result<FixedPolicy>,
    progress: &mut dyn FnMut(usize),
) -> Result<Evaluation> {
    let mut evaluation = Evaluation::default();
    for (number, &task) in plan.tasks.iter().enumerate() {
        let seed = Stream::new(plan.seed, Purpose::Environment).of(task, 0).rng().next_u64();
        let session = environment.start(task, seed)?;
        let (name, limit) = (environment.task_name(task), 2 * environment.max_steps());
        let record = play_fixed(session, begin(task)?, name, limit)?;
        evaluation.outcomes.push(Outcome {
            task,
            success: record.success,
            steps: record.steps.len(),
        });
        if plan.keep_episodes {
            evaluation.episodes.push(record);
        }
        let done = number + 1;
        if done.is_multiple_of(CONCURRENT_TASKS) || done == plan.tasks.len() {
            progress(done);
        }
    }
    Ok(evaluation)
}

/// Plays one episode to its end, which must come within `limit` steps.
fn play_fixed(
    mut session: Box<dyn Session>,
    mut policy: FixedPolicy,
    name: &str,
    limit: usize,
) -> Result<EpisodeRecord> {
    let mut record = EpisodeRecord {
        group: name.to_string(),
        trajectory: name.to_string(),
        task: Some(session.goal().to_string()),
        success: false,
        final_observation: None,
        steps: Vec::new(),
        other: Default::default(),
    };
    let mut admissible = Texts::new();
    loop {
        let mut observation = String::new();
        admissible.clear();
        session.observe(&mut observation);
        session.choices(&mut admissible);
        let action = policy(&observation, &admissible);
        let action = admissible.get(action).ok_or_else(|| {
            let count = admissible.len();
            Error::Run(format!("the policy chose action {action} of {count} admissible actions"))
        })?;
        let transition = session.step(action)?;
        record.steps.push(StepRecord {
            observation,
            action: action.to_string(),
            reward: f64::from(transition.reward),
            valid: transition.valid,
            embedding: None,
            other: Default::default(),
        });
        if transition.ended() {
            let mut last = String::new();
            session.observe(&mut last);
            record.success = transition.success;
            record.final_observation = Some(last);
            return Ok(record);
        }
        if record.steps.len() >= limit {
            let message = format!("task '{name}' has not ended after {limit} steps");
            return Err(Error::Environment(message));
        }
    }
}

/// A policy that chooses uniformly among the admissible actions.
pub fn random_policy(seed: u64, task: usize) -> FixedPolicy {
    let mut rng = Stream::new(seed, Purpose::Actions).of(task, 0).rng();
    Box::new(move |_, admissible| rng.random_range(0..admissible.len().max(1)))
}

/// `count` of `total` tasks, evenly spaced; all of them if `count` is 0.
pub fn spread(total: usize, count: usize) -> Vec<usize> {
    if count == 0 || count >= total {
        return (0..total).collect();
    }
    (0..count).map(|place| place * total / count).collect()
}

impl Evaluation {
    /// Results over all tasks.
    pub fn overall(&self) -> KindResult {
        summarise("All", self.outcomes.iter())
    }

    /// Results by kind of task, in the environment's order, without kinds that have no task.
    pub fn by_kind(&self, environment: &dyn Environment) -> Vec<KindResult> {
        let kinds = environment.kinds();
        let kinds = kinds.iter().enumerate();
        let results = kinds.map(|(kind, name)| {
            let of_kind = |outcome: &&Outcome| environment.task_kind(outcome.task) == kind;
            summarise(name, self.outcomes.iter().filter(of_kind))
        });
        results.filter(|result| result.tasks > 0).collect()
    }

    /// The form that a metrics line holds.
    pub fn metrics(&self, environment: &dyn Environment, split: &str) -> EvaluationMetrics {
        let overall = self.overall();
        EvaluationMetrics {
            split: split.to_string(),
            success: overall.success,
            length: overall.length,
            kinds: self.by_kind(environment),
            environment_errors: self.errors.len(),
        }
    }
}

fn summarise<'a>(kind: &str, outcomes: impl Iterator<Item = &'a Outcome>) -> KindResult {
    let mut result = KindResult { kind: kind.to_string(), ..KindResult::default() };
    let mut steps = 0;
    for outcome in outcomes {
        result.tasks += 1;
        result.won += usize::from(outcome.success);
        steps += outcome.steps;
    }
    let tasks = result.tasks.max(1) as f64;
    result.success = result.won as f64 / tasks;
    result.length = steps as f64 / tasks;
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_evenly_spaced_without_repeats() {
        assert_eq!(spread(10, 3), [0, 3, 6]);
        assert_eq!(spread(3, 0), [0, 1, 2]);
        assert_eq!(spread(3, 7), [0, 1, 2]);
    }

    #[test]
    fn results_count_tasks_successes_and_steps() {
        let outcome = |task, success, steps| Outcome { task, success, steps };
        let evaluation = Evaluation {
            outcomes: vec![outcome(0, true, 4), outcome(1, false, 50), outcome(2, true, 6)],
            ..Evaluation::default()
        };
        let all = evaluation.overall();
        assert_eq!((all.tasks, all.won, all.length), (3, 2, 20.0));
        assert!((all.success - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(Evaluation::default().overall().success, 0.0);
    }
}
