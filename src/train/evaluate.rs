//! Evaluation of a policy on tasks.

use std::collections::BTreeMap;
use std::ops::Range;

use rand::{Rng, RngCore};
use serde::{Deserialize, Serialize};

use super::kind_result::KindResult;
use super::metrics::EvaluationMetrics;
use super::progress::EvaluationProgress;
use crate::env::{Environment, Session, Texts};
use crate::episodes::{EpisodeRecord, StepRecord, read_episodes, write_episodes};
use crate::error::{Error, Result};
use crate::policy::{EncoderOf, Policy, Sampling};
use crate::ranks::{Ranks, decode, encode, join, split};
use crate::rollout::{
    CollectionProgress, EnvironmentError, EpisodeEnd, Limits, Plan, collect_watched_async, divided,
    expect_some,
};
use crate::stream::{Purpose, Stream};

/// The outcome of one task.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// The task.
    pub task: usize,
    /// Whether its goal was reached, if the environment tells.
    pub success: Option<bool>,
    /// The sum of the rewards.
    pub total_reward: f64,
    /// The score and further numbers that the environment reports.
    pub end: EpisodeEnd,
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
    /// Losses after which a task was played again.
    pub replayed: Vec<EnvironmentError>,
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

/// Plays every task once. `progress` receives how far it is, at every time step.
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
    progress: &mut dyn FnMut(EvaluationProgress),
) -> Result<Evaluation> {
    evaluate_on_ranks_async(environment, policy, encoder, plan, &Ranks::alone(), progress).await
}

/// [`evaluate_async`] on several ranks, each of which plays some tasks and gets the outcomes of all.
/// `progress` receives how far this rank is.
///
/// # Errors
/// As [`evaluate_async`], also if another rank fails.
pub async fn evaluate_on_ranks_async<P: Policy>(
    environment: &dyn Environment,
    policy: &P,
    encoder: &EncoderOf<P>,
    plan: &EvaluationPlan<'_>,
    ranks: &Ranks,
    progress: &mut dyn FnMut(EvaluationProgress),
) -> Result<Evaluation> {
    let pieces = pieces(plan.tasks.len(), ranks.parts());
    let mut limits = plan.limits;
    let mut own: Result<Vec<Evaluation>> = Ok(Vec::new());
    let numbers = ranks.own(pieces.len());
    let tasks = numbers.iter().map(|&number| pieces[number].tasks.len()).sum();
    let mut before = EvaluationProgress { tasks, ..EvaluationProgress::default() };
    for number in numbers {
        let Ok(played) = &mut own else { break };
        let piece = &pieces[number];
        let mut last = before;
        let mut watch = |collected: CollectionProgress| {
            last = advanced(before, &collected, environment.max_steps());
            progress(last);
        };
        match play_piece(environment, policy, encoder, plan, piece, &limits, &mut watch).await {
            Ok(evaluation) => {
                limits.max_errors = limits.max_errors.saturating_sub(evaluation.errors.len());
                before = last;
                played.push(evaluation);
            }
            Err(error) => own = Err(error),
        }
    }
    let all = ranks.gather(pieces.len(), own, Evaluation::to_bytes, Evaluation::from_bytes)?;
    let mut evaluation = Evaluation::default();
    for piece in all {
        evaluation.outcomes.extend(piece.outcomes);
        evaluation.errors.extend(piece.errors);
        evaluation.replayed.extend(piece.replayed);
        evaluation.episodes.extend(piece.episodes);
    }
    plan.limits.check(&evaluation.errors)?;
    expect_some(evaluation.outcomes.len(), &evaluation.errors)?;
    Ok(evaluation)
}

/// The progress of an evaluation that was as far as `before`, and has since collected some episodes with
/// one task each, of at most `max_steps` steps.
fn advanced(
    before: EvaluationProgress,
    collected: &CollectionProgress,
    max_steps: usize,
) -> EvaluationProgress {
    let CollectionProgress { ended, won, open_steps, .. } = *collected;
    let done = before.done + ended;
    let won = won.into_iter().chain(before.won).reduce(|own, before| own + before);
    let under_way = open_steps as f64 / max_steps.max(1) as f64;
    let share = ((done as f64 + under_way) / before.tasks.max(1) as f64).min(1.0);
    EvaluationProgress { done, won, share, ..before }
}

/// Some of the tasks that are played together.
struct Piece {
    /// The number of [`CONCURRENT_TASKS`] that they are from.
    chunk: usize,
    /// Their places among these.
    tasks: Range<usize>,
}

/// The pieces of an evaluation of `total` tasks. Their tasks have the same random streams in any number of
/// `parts`.
fn pieces(total: usize, parts: usize) -> Vec<Piece> {
    let chunks = (0..total).step_by(CONCURRENT_TASKS).enumerate();
    let of_chunk = |(chunk, first): (usize, usize)| {
        let tasks = divided(CONCURRENT_TASKS.min(total - first), parts);
        tasks.into_iter().map(move |tasks| Piece { chunk, tasks })
    };
    chunks.flat_map(of_chunk).collect()
}

/// Plays the tasks of a piece.
async fn play_piece<P: Policy>(
    environment: &dyn Environment,
    policy: &P,
    encoder: &EncoderOf<P>,
    plan: &EvaluationPlan<'_>,
    piece: &Piece,
    limits: &Limits,
    watch: &mut dyn FnMut(CollectionProgress),
) -> Result<Evaluation> {
    let first = piece.chunk * CONCURRENT_TASKS;
    let tasks = &plan.tasks[first + piece.tasks.start..first + piece.tasks.end];
    let rollout = Plan {
        tasks,
        first_group: piece.tasks.start,
        episodes: 1,
        sampling: plan.sampling,
        seed: plan.seed,
        iteration: piece.chunk as u64,
    };
    let batch =
        collect_watched_async(environment, policy, encoder, &rollout, limits, watch).await?;
    // Each group has one task; the group of a lost task is empty.
    let played = tasks.iter().zip(batch.data.layout().group_episodes());
    let played = played.filter(|(_, episodes)| !episodes.is_empty());
    let tasks: Vec<usize> = played.map(|(&task, _)| task).collect();
    let outcome = |(episode, &task): (usize, &usize)| Outcome {
        task,
        success: batch.data.has_success().then_some(batch.data.success()[episode]),
        total_reward: batch.data.total_reward(episode),
        end: batch.ends[episode].clone(),
        steps: batch.data.rows_of_episode(episode).len(),
    };
    let outcomes = tasks.iter().enumerate().map(outcome).collect();
    let mut episodes = Vec::new();
    if plan.keep_episodes {
        let named = batch.records().into_iter().zip(&tasks).map(|(mut record, &task)| {
            record.group = environment.task_name(task).to_string();
            record.trajectory = record.group.clone();
            record
        });
        episodes.extend(named);
    }
    Ok(Evaluation { outcomes, errors: batch.errors, replayed: batch.replayed, episodes })
}

impl Evaluation {
    fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut episodes = Vec::new();
        write_episodes(&mut episodes, &self.episodes)
            .map_err(|error| Error::Run(format!("cannot send episodes: {error}")))?;
        Ok(join(&[encode(&(&self.outcomes, &self.errors, &self.replayed))?, episodes]))
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let [others, mut episodes] = split(bytes)?[..] else {
            return Err(Error::Run("an evaluation from another rank is cut short".into()));
        };
        let (outcomes, errors, replayed) = decode(others)?;
        let episodes = read_episodes(&mut episodes, "episodes of another rank")?;
        Ok(Self { outcomes, errors, replayed, episodes })
    }
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
    progress: &mut dyn FnMut(EvaluationProgress),
) -> Result<Evaluation> {
    pollster::block_on(evaluate_async(environment, policy, encoder, plan, progress))
}

/// A policy without weights for one episode. It receives the observation and the admissible actions of
/// each step, and returns the index of an action.
pub type FixedPolicy = Box<dyn FnMut(&str, &Texts) -> usize>;

/// Plays every task once with the policy that `begin` returns for it. The plan's sampling and limits do
/// not apply. `progress` receives how far it is, after every task.
///
/// # Errors
/// Fails if an environment or `begin` fails, or if a policy returns an index out of range.
pub fn evaluate_fixed(
    environment: &dyn Environment,
    plan: &EvaluationPlan,
    begin: &dyn Fn(usize) -> Result<FixedPolicy>,
    progress: &mut dyn FnMut(EvaluationProgress),
) -> Result<Evaluation> {
    let mut evaluation = Evaluation::default();
    let mut done = CollectionProgress::default();
    let before = EvaluationProgress { tasks: plan.tasks.len(), ..EvaluationProgress::default() };
    progress(before);
    for &task in plan.tasks {
        let seed = Stream::new(plan.seed, Purpose::Environment).of(task, 0).rng().next_u64();
        let (name, limit) = (environment.task_name(task), 2 * environment.max_steps());
        let play = || play_fixed(environment.start(task, seed)?, begin(task)?, name, limit);
        let (record, end) = match play() {
            Err(Error::Environment(_)) if environment.replays_lost_episodes() => play(),
            played => played,
        }?;
        done.ended += 1;
        if let Some(success) = record.success {
            *done.won.get_or_insert(0) += usize::from(success);
        }
        evaluation.outcomes.push(Outcome {
            task,
            success: record.success,
            total_reward: record.steps.iter().map(|step| step.reward).sum(),
            end,
            steps: record.steps.len(),
        });
        if plan.keep_episodes {
            evaluation.episodes.push(record);
        }
        progress(advanced(before, &done, environment.max_steps()));
    }
    Ok(evaluation)
}

/// Plays one episode to its end, which must come within `limit` steps.
fn play_fixed(
    mut session: Box<dyn Session>,
    mut policy: FixedPolicy,
    name: &str,
    limit: usize,
) -> Result<(EpisodeRecord, EpisodeEnd)> {
    let mut record = EpisodeRecord {
        group: name.to_string(),
        trajectory: name.to_string(),
        task: Some(session.goal().to_string()),
        success: None,
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
            reward: transition.reward,
            valid: transition.valid,
            embedding: None,
            other: Default::default(),
        });
        if transition.ended() {
            let mut last = String::new();
            session.observe(&mut last);
            record.success = transition.success;
            record.final_observation = Some(last);
            let mut end = EpisodeEnd { score: transition.score, ..EpisodeEnd::default() };
            session.metrics(&mut |name, number| {
                end.metrics.insert(name.to_string(), number);
            });
            return Ok((record, end));
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
            score: overall.score,
            mean_return: overall.mean_return,
            return_interval: overall.return_interval,
            metrics: overall.metrics,
            length: overall.length,
            kinds: self.by_kind(environment),
            environment_errors: self.errors.len(),
        }
    }
}

/// Means over outcomes. A number that not every outcome has is absent.
fn summarise<'a>(kind: &str, outcomes: impl Iterator<Item = &'a Outcome>) -> KindResult {
    let outcomes: Vec<&Outcome> = outcomes.collect();
    let count = outcomes.len().max(1) as f64;
    let returns: Vec<f64> = outcomes.iter().map(|outcome| outcome.total_reward).collect();
    let won = outcomes.iter().filter(|outcome| outcome.success == Some(true)).count();
    let tells = !outcomes.is_empty() && outcomes.iter().all(|outcome| outcome.success.is_some());
    let steps: usize = outcomes.iter().map(|outcome| outcome.steps).sum();
    let (score, metrics) = mean_ends(outcomes.iter().map(|outcome| &outcome.end));
    KindResult {
        kind: kind.to_string(),
        tasks: outcomes.len(),
        won,
        success: tells.then_some(won as f64 / count),
        score,
        mean_return: Some(returns.iter().sum::<f64>() / count),
        return_interval: interval(&returns),
        metrics,
        length: steps as f64 / count,
    }
}

/// The mean score and the means of the further numbers. One that not every episode has is absent.
pub(super) fn mean_ends<'a>(
    ends: impl Iterator<Item = &'a EpisodeEnd>,
) -> (Option<f64>, BTreeMap<String, f64>) {
    let ends: Vec<&EpisodeEnd> = ends.collect();
    let count = ends.len() as f64;
    let scores: Option<Vec<f64>> = ends.iter().map(|end| end.score).collect();
    let score = scores.filter(|scores| !scores.is_empty());
    let score = score.map(|scores| scores.iter().sum::<f64>() / count);
    let names = ends.first().map(|end| end.metrics.keys()).into_iter().flatten();
    let mean = |name: &String| {
        let numbers: Option<Vec<f64>> =
            ends.iter().map(|end| end.metrics.get(name).copied()).collect();
        Some((name.clone(), numbers?.iter().sum::<f64>() / count))
    };
    (score, names.filter_map(mean).collect())
}

/// The 95 % interval of the mean of at least five values: 1.96 standard errors to either side.
fn interval(values: &[f64]) -> Option<(f64, f64)> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count.max(1.0);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let error = 1.96 * (squares / (count - 1.0) / count).sqrt();
    (values.len() >= 5).then_some((mean - error, mean + error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_has_the_same_random_stream_in_any_number_of_parts() {
        let streams = |parts| {
            let of = |piece: Piece| piece.tasks.map(move |place| (piece.chunk, place));
            pieces(300, parts).into_iter().flat_map(of).collect::<Vec<_>>()
        };
        assert_eq!(pieces(300, 1).len(), 3);
        assert_eq!(pieces(300, 4).len(), 12);
        assert_eq!(streams(4), streams(1));
        assert_eq!(streams(1)[299], (2, 43));
        assert!(pieces(0, 4).is_empty());
    }

    #[test]
    fn tasks_are_evenly_spaced_without_repeats() {
        assert_eq!(spread(10, 3), [0, 3, 6]);
        assert_eq!(spread(3, 0), [0, 1, 2]);
        assert_eq!(spread(3, 7), [0, 1, 2]);
    }

    #[test]
    fn results_count_tasks_successes_and_steps() {
        let outcome = |task, success, steps| Outcome {
            task,
            success: Some(success),
            total_reward: if success { 3.0 } else { 0.0 },
            steps,
            ..Outcome::default()
        };
        let evaluation = Evaluation {
            outcomes: vec![outcome(0, true, 4), outcome(1, false, 50), outcome(2, true, 6)],
            ..Evaluation::default()
        };
        let all = evaluation.overall();
        assert_eq!((all.tasks, all.won, all.length), (3, 2, 20.0));
        assert_eq!((all.success, all.mean_return), (Some(2.0 / 3.0), Some(2.0)));
        assert_eq!((all.score, all.return_interval), (None, None));
        assert_eq!(Evaluation::default().overall().success, None);
    }

    #[test]
    fn scores_and_metrics_are_averaged_if_every_episode_has_them() {
        let end = |score, metrics: &[(&str, f64)]| EpisodeEnd {
            score,
            metrics: metrics.iter().map(|&(name, number)| (name.to_string(), number)).collect(),
        };
        let ends = [end(Some(0.5), &[("a", 1.0), ("b", 1.0)]), end(Some(1.0), &[("a", 4.0)])];
        let (score, metrics) = mean_ends(ends.iter());
        assert_eq!((score, metrics), (Some(0.75), [("a".to_string(), 2.5)].into()));
        let (score, metrics) = mean_ends([end(Some(1.0), &[]), end(None, &[])].iter());
        assert_eq!((score, metrics.len()), (None, 0));
    }

    #[test]
    fn a_mean_has_an_interval_from_five_values_on() {
        assert_eq!(interval(&[1.0, 2.0, 3.0, 4.0]), None);
        let (low, high) = interval(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let error = 1.96 * (2.5f64 / 5.0).sqrt();
        assert!((low - 3.0 + error).abs() < 1e-12 && (high - 3.0 - error).abs() < 1e-12);
    }
}
