//! Judging a policy on tasks.

use rand::{Rng, RngCore};
use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::metrics::EvaluationMetrics;
use crate::env::{Environment, Session, Texts};
use crate::episodes::{EpisodeRecord, StepRecord};
use crate::error::{Error, Result};
use crate::policy::{Policy, Sampling};
use crate::rollout::{EnvironmentError, Limits, Plan, collect_with, expect_some};
use crate::stream::{Purpose, Stream};

/// How one task went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The task.
    pub task: usize,
    /// Whether its goal was reached.
    pub success: bool,
    /// How many steps were taken.
    pub steps: usize,
}

/// How all tasks went.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Evaluation {
    /// One a task, in the order in which they were given, without those that were lost to an
    /// environment error.
    pub outcomes: Vec<Outcome>,
    /// The tasks that were lost.
    pub errors: Vec<EnvironmentError>,
}

/// Results over the tasks of one kind.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct KindResult {
    /// The kind's name.
    pub kind: String,
    /// How many tasks there were.
    pub tasks: usize,
    /// How many were won.
    pub won: usize,
    /// Share of them that were won.
    pub success: f64,
    /// Mean number of steps.
    pub length: f64,
}

/// How many tasks are played in lock-step. More need more memory, fewer waste the device.
const TASKS_AT_ONCE: usize = 128;

/// What is told of an evaluation while it goes on.
pub struct Watch<'a> {
    /// Is told how many tasks are done.
    pub progress: &'a mut dyn FnMut(usize),
    /// Takes what was played, an episode a task, in the order of the tasks. Group and trajectory bear
    /// the task's name.
    pub episodes: Option<&'a mut Vec<EpisodeRecord>>,
}

/// What is played in an evaluation, and how.
#[derive(Debug, Clone)]
pub struct Exam<'a> {
    /// Each is played once.
    pub tasks: &'a [usize],
    /// How actions are drawn.
    pub sampling: Sampling,
    /// The seed of whatever is left to chance.
    pub seed: u64,
    /// How much is put up with from the environment.
    pub limits: Limits,
}

/// Plays every task once.
///
/// # Errors
/// Fails where an environment or the device does.
pub fn evaluate<P: Policy>(
    environment: &dyn Environment,
    policy: &P,
    encoder: &P::Encoder,
    tasks: &[usize],
    sampling: Sampling,
    seed: u64,
    watch: &mut Watch,
) -> Result<Evaluation> {
    let exam = Exam { tasks, sampling, seed, limits: Limits::default() };
    evaluate_with(environment, policy, encoder, &exam, watch)
}

/// [`evaluate`], putting up with environments that go wrong: a task that is lost to its environment is
/// left out of the outcomes.
///
/// # Errors
/// Fails where more tasks are lost than the limits allow, or where the policy or the device fails.
pub fn evaluate_with<P: Policy>(
    environment: &dyn Environment,
    policy: &P,
    encoder: &P::Encoder,
    exam: &Exam,
    watch: &mut Watch,
) -> Result<Evaluation> {
    let mut evaluation = Evaluation::default();
    let &Exam { sampling, seed, mut limits, .. } = exam;
    for (part, tasks) in exam.tasks.chunks(TASKS_AT_ONCE).enumerate() {
        let plan =
            Plan { tasks, first_group: 0, episodes: 1, sampling, seed, iteration: part as u64 };
        let batch = collect_with(environment, policy, encoder, &plan, &limits)?;
        // One task a group; that of a task that was lost is empty.
        let played = tasks.iter().zip(batch.group_offsets.windows(2));
        let played = played.filter(|(_, bounds)| bounds[0] < bounds[1]);
        let tasks: Vec<usize> = played.map(|(&task, _)| task).collect();
        evaluation.outcomes.extend(tasks.iter().enumerate().map(|(episode, &task)| Outcome {
            task,
            success: batch.success[episode],
            steps: batch.episode_rows(episode).len(),
        }));
        if let Some(episodes) = &mut watch.episodes {
            let named = batch.records().into_iter().zip(&tasks).map(|(mut record, &task)| {
                record.group = environment.task_name(task).to_string();
                record.trajectory = record.group.clone();
                record
            });
            episodes.extend(named);
        }
        limits.max_errors -= batch.errors.len();
        evaluation.errors.extend(batch.errors);
        (watch.progress)(evaluation.outcomes.len() + evaluation.errors.len());
    }
    expect_some(evaluation.outcomes.len(), &evaluation.errors)?;
    Ok(evaluation)
}

/// A policy that does not learn and keeps what it remembers to itself: it is told the observation and
/// the admissible actions of one episode, step by step, and answers by an action's index.
pub type FixedPolicy = Box<dyn FnMut(&str, &Texts) -> usize>;

/// Plays every task once with the policy that `begin` gives for it.
///
/// # Errors
/// Fails where an environment or `begin` does, or where a policy chooses an action that is not there.
pub fn evaluate_fixed(
    environment: &dyn Environment,
    tasks: &[usize],
    seed: u64,
    begin: &dyn Fn(usize) -> Result<FixedPolicy>,
    watch: &mut Watch,
) -> Result<Evaluation> {
    let mut outcomes = Vec::with_capacity(tasks.len());
    for &task in tasks {
        let chance = Stream::new(seed, Purpose::Environment).of(task, 0).rng().next_u64();
        let session = environment.start(task, chance)?;
        let (name, most) = (environment.task_name(task), 2 * environment.max_steps());
        let record = play_fixed(session, begin(task)?, name, most)?;
        outcomes.push(Outcome { task, success: record.success, steps: record.steps.len() });
        if let Some(episodes) = &mut watch.episodes {
            episodes.push(record);
        }
        if outcomes.len().is_multiple_of(TASKS_AT_ONCE) || outcomes.len() == tasks.len() {
            (watch.progress)(outcomes.len());
        }
    }
    Ok(Evaluation { outcomes, errors: Vec::new() })
}

/// Plays one episode to its end, which is to come within so many steps.
fn play_fixed(
    mut session: Box<dyn Session>,
    mut policy: FixedPolicy,
    name: &str,
    most: usize,
) -> Result<EpisodeRecord> {
    let mut record = EpisodeRecord {
        group: name.to_string(),
        trajectory: name.to_string(),
        task: Some(session.goal().to_string()),
        success: false,
        final_observation: None,
        steps: Vec::new(),
        other: Map::new(),
    };
    let mut admissible = Texts::new();
    loop {
        let mut observation = String::new();
        admissible.clear();
        session.observe(&mut observation);
        session.admissible(&mut admissible);
        let action = policy(&observation, &admissible);
        let action = admissible.get(action).ok_or_else(|| {
            let count = admissible.len();
            Error::Run(format!("the policy chose action {action} of {count} admissible ones"))
        })?;
        let done = session.step(action)?;
        record.steps.push(StepRecord {
            observation,
            action: action.to_string(),
            reward: f64::from(done.reward),
            valid: done.valid,
            embedding: None,
            other: Map::new(),
        });
        if done.ended() {
            let mut last = String::new();
            session.observe(&mut last);
            record.success = done.success;
            record.final_observation = Some(last);
            return Ok(record);
        }
        if record.steps.len() >= most {
            let message = format!("task '{name}' has not ended after {most} steps");
            return Err(Error::Environment(message));
        }
    }
}

/// The policy that chooses any admissible action, each as likely as the others.
pub fn random_policy(seed: u64, task: usize) -> FixedPolicy {
    let mut rng = Stream::new(seed, Purpose::Actions).of(task, 0).rng();
    Box::new(move |_, admissible| rng.random_range(0..admissible.len().max(1)))
}

/// `wanted` of `total` tasks, evenly spread; all of them if `wanted` is 0.
pub fn spread(total: usize, wanted: usize) -> Vec<usize> {
    if wanted == 0 || wanted >= total {
        return (0..total).collect();
    }
    (0..wanted).map(|place| place * total / wanted).collect()
}

impl Evaluation {
    /// Results over all tasks.
    pub fn overall(&self) -> KindResult {
        summarise("All", self.outcomes.iter())
    }

    /// Results by kind of task, in the environment's order; kinds without a task are left out.
    pub fn by_kind(&self, environment: &dyn Environment) -> Vec<KindResult> {
        let kinds = environment.kinds();
        let kinds = kinds.iter().enumerate();
        let results = kinds.map(|(kind, name)| {
            let of_kind = |outcome: &&Outcome| environment.task_kind(outcome.task) == kind;
            summarise(name, self.outcomes.iter().filter(of_kind))
        });
        results.filter(|result| result.tasks > 0).collect()
    }

    /// The form in which a metrics line keeps it.
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
    fn tasks_are_spread_evenly_without_repeats() {
        assert_eq!(spread(10, 3), [0, 3, 6]);
        assert_eq!(spread(3, 0), [0, 1, 2]);
        assert_eq!(spread(3, 7), [0, 1, 2]);
    }

    #[test]
    fn results_are_counted() {
        let outcome = |task, success, steps| Outcome { task, success, steps };
        let evaluation = Evaluation {
            outcomes: vec![outcome(0, true, 4), outcome(1, false, 50), outcome(2, true, 6)],
            errors: Vec::new(),
        };
        let all = evaluation.overall();
        assert_eq!((all.tasks, all.won, all.length), (3, 2, 20.0));
        assert!((all.success - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(Evaluation::default().overall().success, 0.0);
    }
}
