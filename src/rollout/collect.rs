//! Plays groups of episodes in lock-step.
//!
//! At every time step the policy responds to all active episodes in one batch, and then the
//! environments step in parallel. Every episode draws from streams of its own, so the same seed gives
//! the same episodes, independent of the number of threads and of the other episodes.

mod values;

use rand::RngCore;
use rand_chacha::ChaCha8Rng;

use self::values::estimate;
use super::batch::{EpisodeEnd, RolloutBatch};
use super::limits::{EnvironmentError, Limits, guarded};
use super::progress::CollectionProgress;
use super::session::GuardedSession;
use super::snapshot::Snapshot;
use crate::env::{Environment, Texts};
use crate::episodes::{BatchBuilder, TextTable, Values};
use crate::error::{Error, Result};
use crate::policy::{Answer, Encoder, Inputs, Policy, Responses, Sampling, TokenUsage};
use crate::stream::{Purpose, Stream};

/// The episodes to play.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    /// One task per group.
    pub tasks: &'a [usize],
    /// Number of the first group, which names its streams.
    pub first_group: usize,
    /// Number of episodes per group.
    pub episodes: usize,
    /// How actions are sampled.
    pub sampling: Sampling,
    /// The run's seed.
    pub seed: u64,
    /// The iteration, which names the streams together with the seed.
    pub iteration: u64,
}

impl Plan<'_> {
    /// The stream of one episode.
    fn stream(&self, purpose: Purpose, group: usize, number: usize) -> Stream {
        Stream::new(self.seed, purpose).at(self.iteration).of(self.first_group + group, number)
    }

    /// The seed of an episode's environment.
    fn environment_seed(&self, group: usize, number: usize) -> u64 {
        self.stream(Purpose::Environment, group, number).rng().next_u64()
    }

    /// All episodes, in order.
    fn places(&self) -> Vec<Place> {
        let group = |group| (0..self.episodes).map(move |number| (group, number));
        (0..self.tasks.len()).flat_map(group).collect()
    }

    /// Announces episodes to the environment.
    fn announce(&self, environment: &dyn Environment, places: &[Place]) {
        let episode =
            |&(group, number): &Place| (self.tasks[group], self.environment_seed(group, number));
        let episodes: Vec<(usize, u64)> = places.iter().map(episode).collect();
        // The start reports any error.
        let _ = guarded(|| {
            environment.announce(&episodes);
            Ok(())
        });
    }
}

/// The group of an episode, and its number within the group, as planned.
type Place = (usize, usize);

/// Maximum number of further attempts to play episodes that were lost. An episode that always ends its
/// program takes others with it; it is found by halving.
const MAX_REPLAYS: usize = 16;

/// Number of starts after which the progress is told.
const STARTS_PER_REPORT: usize = 1024;

/// Episodes to play together.
struct Attempt {
    places: Vec<Place>,
    /// Whether an episode that is lost is played again.
    may_lose: bool,
}

/// One episode in progress.
struct Episode<M> {
    group: usize,
    /// Number within the group, as planned.
    number: usize,
    session: GuardedSession,
    memory: M,
    draws: ChaCha8Rng,
    action: String,
    /// The rows of this episode, among all rows in the order in which they were played.
    rows: Vec<usize>,
    /// The reason why the episode was lost.
    fault: Option<String>,
}

impl<M> Episode<M> {
    fn is_over(&self) -> bool {
        self.fault.is_some() || self.session.snapshot().transition.ended()
    }

    /// Whether the goal was reached, once the episode has ended and if its environment tells.
    fn outcome(&self) -> Option<bool> {
        let transition = self.session.snapshot().transition;
        (self.fault.is_none() && transition.ended()).then_some(transition.success)?
    }
}

/// The steps of all episodes, in the order in which they were played.
#[derive(Default)]
struct Steps<I> {
    inputs: I,
    responses: Responses,
    observations: Vec<u32>,
    rewards: Vec<f64>,
    valid: Vec<bool>,
    actions: Texts,
    texts: TextTable,
    /// `[groups]`.
    goals: Vec<String>,
    errors: Vec<EnvironmentError>,
    replayed: Vec<EnvironmentError>,
    usage: TokenUsage,
}

/// Plays a plan to the end of its last episode.
///
/// # Errors
/// Returns an error if an environment or the device fails.
pub fn collect<P: Policy>(
    environment: &dyn Environment,
    policy: &P,
    encoder: &P::Encoder,
    plan: &Plan,
) -> Result<RolloutBatch<<P::Encoder as Encoder>::Inputs>> {
    collect_with(environment, policy, encoder, plan, &Limits::default())
}

/// [`collect`] with a tolerance for environment errors: an episode that is lost to its environment is
/// absent from the batch, except for its entry in [`RolloutBatch::errors`].
///
/// # Errors
/// Returns an error if more episodes are lost than the limits allow, or if the policy or the device
/// fails.
pub fn collect_with<P: Policy>(
    environment: &dyn Environment,
    policy: &P,
    encoder: &P::Encoder,
    plan: &Plan,
    limits: &Limits,
) -> Result<RolloutBatch<<P::Encoder as Encoder>::Inputs>> {
    pollster::block_on(collect_with_async(environment, policy, encoder, plan, limits))
}

/// [`collect_with`], without blocking on the device.
///
/// # Errors
/// As [`collect_with`].
pub async fn collect_with_async<P: Policy>(
    environment: &dyn Environment,
    policy: &P,
    encoder: &P::Encoder,
    plan: &Plan<'_>,
    limits: &Limits,
) -> Result<RolloutBatch<<P::Encoder as Encoder>::Inputs>> {
    collect_watched_async(environment, policy, encoder, plan, limits, &mut |_| {}).await
}

/// [`collect_with_async`] that tells `watch` how far it is, at every time step and while episodes start.
///
/// # Errors
/// As [`collect_with`].
pub async fn collect_watched_async<P: Policy>(
    environment: &dyn Environment,
    policy: &P,
    encoder: &P::Encoder,
    plan: &Plan<'_>,
    limits: &Limits,
    watch: &mut dyn FnMut(CollectionProgress),
) -> Result<RolloutBatch<<P::Encoder as Encoder>::Inputs>> {
    let mut steps = Steps::<<P::Encoder as Encoder>::Inputs>::default();
    steps.goals.resize(plan.tasks.len(), String::new());
    let mut limits = *limits;
    if limits.step_timeout > 0.0 && environment.limit_steps(limits.step_timeout) {
        limits.step_timeout = 0.0;
    }
    let may_lose = environment.replays_lost_episodes();
    // A list of what is still to play, the next part last.
    let parts = plan.places();
    let parts = parts.chunks(environment.max_sessions().max(1)).rev();
    let mut attempts: Vec<Attempt> =
        parts.map(|places| Attempt { places: places.to_vec(), may_lose }).collect();
    let (mut kept, mut replays) = (Vec::new(), 0);
    let episodes = plan.tasks.len() * plan.episodes;
    let mut progress = CollectionProgress { episodes, ..CollectionProgress::default() };
    let stage = Stage { environment, encoder, plan, limits: &limits };
    while let Some(attempt) = attempts.pop() {
        let played = play(stage, policy, &attempt, &mut steps, &mut progress, watch).await?;
        kept.extend(played.kept);
        progress.started -= played.lost.len();
        progress.ended -= played.lost.len();
        // The first attempt is repeated as a whole, a later one in halves.
        let parts = if replays == 0 { 1 } else { 2 };
        for lost in played.lost.chunks(played.lost.len().div_ceil(parts).max(1)).rev() {
            replays += 1;
            let may_lose = lost.len() > 1 && replays < MAX_REPLAYS;
            attempts.push(Attempt { places: lost.to_vec(), may_lose });
        }
    }
    kept.sort_by_key(|episode| (episode.group, episode.number));
    let values = match policy.estimates_values() {
        true => Some(estimate(policy, encoder, &mut kept, &mut steps).await?),
        false => None,
    };
    arrange(plan, kept, steps, values)
}

/// What all episodes of a collection share.
struct Stage<'a, E> {
    environment: &'a dyn Environment,
    encoder: &'a E,
    plan: &'a Plan<'a>,
    limits: &'a Limits,
}

// Derived, it would hold only for encoders that can be copied.
impl<E> Clone for Stage<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Stage<'_, E> {}

/// The episodes of an attempt.
struct Played<M> {
    kept: Vec<Episode<M>>,
    /// Those to play again.
    lost: Vec<Place>,
}

/// Plays episodes in lock-step to the end of the last one. Those beyond the number that the policy holds
/// at once wait for the end of others.
async fn play<P: Policy>(
    stage: Stage<'_, P::Encoder>,
    policy: &P,
    attempt: &Attempt,
    steps: &mut Steps<<P::Encoder as Encoder>::Inputs>,
    progress: &mut CollectionProgress,
    watch: &mut dyn FnMut(CollectionProgress),
) -> Result<Played<<P::Encoder as Encoder>::Memory>> {
    let Stage { environment, encoder, plan, limits } = stage;
    let before = *progress;
    let begun = |started| CollectionProgress { started: before.started + started, ..before };
    let mut episodes = start(stage, attempt, steps, &mut |started| watch(begun(started)))?;
    *progress = begun(attempt.places.len());
    let room = policy.max_active().max(1);
    let mut waiting = 0..episodes.len();
    let mut active: Vec<usize> = waiting.by_ref().take(room).collect();
    let mut cache = policy.cache();
    while !active.is_empty() {
        let first = steps.inputs.len();
        for (place, episode) in pick(&mut episodes, &active).enumerate() {
            let Snapshot { observation, admissible, .. } = episode.session.snapshot();
            encoder.encode(&mut episode.memory, observation, admissible, &mut steps.inputs);
            steps.observations.push(steps.texts.intern(observation));
            episode.rows.push(first + place);
        }

        let rows: Vec<usize> = (first..steps.inputs.len()).collect();
        let mut draws: Vec<&mut ChaCha8Rng> =
            pick(&mut episodes, &active).map(|episode| &mut episode.draws).collect();
        let (answers, responses) = policy
            .respond_async(&mut cache, &steps.inputs, &rows, plan.sampling, &mut draws)
            .await?;
        for (place, (episode, answer)) in pick(&mut episodes, &active).zip(answers).enumerate() {
            expect_finite(&responses, place, episode, environment, plan)?;
            episode.action = action(answer, &episode.session.snapshot().admissible)?;
        }
        steps.responses.append(&responses);

        step_all(&mut episodes, &active);
        for (place, episode) in pick(&mut episodes, &active).enumerate() {
            let response = &responses.tokens[responses.range(place)];
            encoder.acted(&mut episode.memory, &episode.action, response, &mut steps.inputs);
            let transition = episode.session.snapshot().transition;
            steps.rewards.push(transition.reward);
            steps.valid.push(transition.valid);
            steps.actions.push(&episode.action);
            if let Some(message) = &episode.fault {
                let (place, step) = ((episode.group, episode.number), episode.rows.len());
                let error = lost(environment, plan, place, step, message.clone());
                let list = match attempt.may_lose {
                    true => &mut steps.replayed,
                    false => &mut steps.errors,
                };
                list.push(error);
            }
        }
        limits.check(&steps.errors)?;
        for told in pick(&mut episodes, &active).filter_map(|episode| episode.outcome()) {
            *progress.won.get_or_insert(0) += usize::from(told);
        }
        active.retain(|&episode| !episodes[episode].is_over());
        active.extend(waiting.by_ref().take(room - active.len()));
        progress.steps += rows.len();
        progress.open_steps = active.iter().map(|&episode| episodes[episode].rows.len()).sum();
        progress.ended = progress.started - active.len() - waiting.len();
        watch(*progress);
    }
    if progress.ended < progress.started {
        // None of them could be started.
        progress.ended = progress.started;
        watch(*progress);
    }
    steps.usage.add(&P::usage(&cache));
    let (mut kept, lost): (Vec<_>, Vec<_>) =
        episodes.into_iter().partition(|episode| episode.fault.is_none());
    // Where sessions are few, others wait for them.
    kept.iter_mut().for_each(|episode| episode.session.release());
    let lost = lost.iter().map(|episode| (episode.group, episode.number));
    let lost = lost.filter(|_| attempt.may_lose).collect();
    Ok(Played { kept, lost })
}

/// Starts the episodes of an attempt. Those that do not start, if they may twice, are left out.
fn start<E: Encoder>(
    stage: Stage<E>,
    attempt: &Attempt,
    steps: &mut Steps<E::Inputs>,
    started: &mut dyn FnMut(usize),
) -> Result<Vec<Episode<E::Memory>>> {
    let Stage { environment, encoder, plan, limits } = stage;
    let mut episodes = Vec::with_capacity(attempt.places.len());
    plan.announce(environment, &attempt.places);
    for (begun, &(group, number)) in attempt.places.iter().enumerate() {
        if begun.is_multiple_of(STARTS_PER_REPORT) {
            started(begun);
        }
        let (task, seed) = (plan.tasks[group], plan.environment_seed(group, number));
        let open = || GuardedSession::open(environment, task, seed, limits);
        let place = (group, number);
        // A start is tried again at once: nothing has been played.
        let session = match open() {
            Err(message) if environment.replays_lost_episodes() => {
                steps.replayed.push(lost(environment, plan, place, 0, message));
                open()
            }
            session => session,
        };
        let session = match session {
            Ok(session) => session,
            Err(message) => {
                steps.errors.push(lost(environment, plan, place, 0, message));
                limits.check(&steps.errors)?;
                continue;
            }
        };
        steps.goals[group] = session.goal().to_string();
        episodes.push(Episode {
            group,
            number,
            memory: encoder.begin(session.goal(), &mut steps.inputs),
            session,
            draws: plan.stream(Purpose::Actions, group, number).rng(),
            action: String::new(),
            rows: Vec::new(),
            fault: None,
        });
    }
    Ok(episodes)
}

/// The entry of an episode that was lost in its step number `step`.
fn lost(
    environment: &dyn Environment,
    plan: &Plan,
    (group, episode): (usize, usize),
    step: usize,
    message: String,
) -> EnvironmentError {
    let task = guarded(|| Ok(environment.task_name(plan.tasks[group]).to_string()));
    let task = task.unwrap_or_else(|_| format!("number {}", plan.tasks[group]));
    EnvironmentError { task, group, episode, step, message }
}

/// Refuses log-probabilities that are NaN or infinite: no update could use them.
fn expect_finite<M>(
    responses: &Responses,
    place: usize,
    episode: &Episode<M>,
    environment: &dyn Environment,
    plan: &Plan,
) -> Result<()> {
    let log_probs = &responses.log_probs[responses.range(place)];
    if log_probs.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    Err(Error::Run(format!(
        "the policy's log-probabilities are not finite: task '{}' (group {}, episode {}), step {}; \
         its weights have diverged, resume from an earlier checkpoint with a lower \
         update.learning_rate",
        environment.task_name(plan.tasks[episode.group]),
        episode.group,
        episode.number,
        episode.rows.len()
    )))
}

/// The text of the chosen action.
fn action(answer: Answer, admissible: &Texts) -> Result<String> {
    match answer {
        Answer::Text(text) => Ok(text),
        Answer::Admissible(index) => admissible.get(index).map(str::to_string).ok_or_else(|| {
            let count = admissible.len();
            Error::Run(format!("the policy chose action {index} of {count} admissible ones"))
        }),
    }
}

/// Takes the chosen actions. All are announced before the first step is waited for.
fn step_all<M: Send>(episodes: &mut [Episode<M>], active: &[usize]) {
    for episode in pick(episodes, active) {
        episode.session.announce(&episode.action);
    }
    let step = |episode: &mut Episode<M>| {
        episode.fault = episode.session.step(&episode.action).err();
    };
    #[cfg(feature = "parallel")]
    {
        use rayon::prelude::*;
        let mut chosen: Vec<_> = pick(episodes, active).collect();
        // A step takes microseconds, so a thread takes many at once.
        chosen.par_iter_mut().with_min_len(16).for_each(|episode| step(episode));
    }
    #[cfg(not(feature = "parallel"))]
    pick(episodes, active).for_each(step);
}

/// The chosen elements; `chosen` is ascending.
fn pick<'a, T>(all: &'a mut [T], chosen: &'a [usize]) -> impl Iterator<Item = &'a mut T> {
    let mut next = chosen.iter().copied().peekable();
    all.iter_mut()
        .enumerate()
        .filter(move |(place, _)| next.next_if_eq(place).is_some())
        .map(|(_, element)| element)
}

/// Sorts the rows by group, episode and time, and drops those of episodes that are not kept. `kept` is
/// sorted by group and number.
fn arrange<I: Inputs, M>(
    plan: &Plan,
    kept: Vec<Episode<M>>,
    mut steps: Steps<I>,
    values: Option<Values>,
) -> Result<RolloutBatch<I>> {
    let order: Vec<usize> = kept.iter().flat_map(|episode| episode.rows.clone()).collect();
    let mut builder = BatchBuilder::with_texts(steps.texts);
    let mut ends = Vec::with_capacity(kept.len());
    for group in kept_by_group(&kept, plan.tasks.len()) {
        for episode in group {
            for &row in &episode.rows {
                let observation = steps.observations[row];
                builder.push_step(observation, steps.rewards[row], steps.valid[row]);
            }
            let last = episode.session.snapshot();
            let text = builder.intern(&last.observation);
            builder.end_episode(last.transition.success, Some(text));
            ends.push(EpisodeEnd::of(last));
        }
        builder.end_group();
    }
    steps.inputs.reorder(&order);
    let data = builder.build()?;
    let data = match values {
        Some(values) => data.with_values(values)?,
        None => data,
    };
    Ok(RolloutBatch {
        left_out: Vec::new(),
        tasks: plan.tasks.to_vec(),
        goals: steps.goals,
        data,
        actions: order.iter().filter_map(|&row| steps.actions.get(row)).collect(),
        responses: steps.responses.select(&order),
        inputs: steps.inputs,
        ends,
        errors: steps.errors,
        replayed: steps.replayed,
        usage: steps.usage,
    })
}

/// The episodes of each group. A group that lost all its episodes is empty.
fn kept_by_group<M>(kept: &[Episode<M>], groups: usize) -> impl Iterator<Item = &[Episode<M>]> {
    let mut rest = kept;
    (0..groups).map(move |group| {
        let end = rest.partition_point(|episode| episode.group <= group);
        let (episodes, others) = rest.split_at(end);
        rest = others;
        episodes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picking_gives_the_chosen_elements_in_order() {
        let mut all = [10, 11, 12, 13, 14];
        assert_eq!(pick(&mut all, &[0, 3, 4]).map(|x| *x).collect::<Vec<_>>(), [10, 13, 14]);
        assert_eq!(pick(&mut all, &[]).count(), 0);
    }
}
