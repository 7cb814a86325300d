//! Playing groups of episodes in lock-step.
//!
//! At every time step the policy answers all active episodes in one batch and the environments then
//! step in parallel. Every episode draws from streams of its own, so the same seed gives the same
//! episodes whatever the number of threads and whichever episodes are still active.

use rand::RngCore;
use rand_chacha::ChaCha8Rng;
#[cfg(feature = "parallel")]
use rayon::prelude::*;

use super::batch::RolloutBatch;
use super::guard::{EnvironmentError, Limits, check_answer, guarded, look};
use crate::env::{Environment, Session, Texts, Transition};
use crate::episodes::{BatchBuilder, TextTable};
use crate::error::{Error, Result};
use crate::policy::{Answer, Encoder, Inputs, Policy, Responses, Sampling};
use crate::stream::{Purpose, Stream};

/// Which episodes to play.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    /// One task a group.
    pub tasks: &'a [usize],
    /// The number of the first group, which names its streams.
    pub first_group: usize,
    /// How many episodes of each task.
    pub episodes: usize,
    /// How actions are drawn.
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

    /// What decides whatever the environment leaves to chance in an episode.
    fn chance(&self, group: usize, number: usize) -> u64 {
        self.stream(Purpose::Environment, group, number).rng().next_u64()
    }

    /// Tells the environment which episodes are started.
    fn announce(&self, environment: &dyn Environment) {
        let group = |(group, &task): (usize, &usize)| {
            (0..self.episodes).map(move |number| (task, self.chance(group, number)))
        };
        let episodes: Vec<(usize, u64)> = self.tasks.iter().enumerate().flat_map(group).collect();
        // What goes wrong here will go wrong in the start, too.
        let _ = guarded(|| {
            environment.announce(&episodes);
            Ok(())
        });
    }
}

/// One episode under way.
struct Episode<M> {
    group: usize,
    /// Its number within the group, as planned.
    number: usize,
    session: Box<dyn Session>,
    memory: M,
    draws: ChaCha8Rng,
    observation: String,
    admissible: Texts,
    action: String,
    last: Transition,
    /// Rows of this episode among all rows in the order in which they were played.
    rows: Vec<usize>,
    /// What the environment did, if the episode was lost to that.
    fault: Option<String>,
}

impl<M> Episode<M> {
    /// Tells the environment the chosen action beforehand.
    fn announce(&mut self) {
        // What goes wrong here will go wrong in the step, too.
        let _ = guarded(|| {
            self.session.announce(&self.action);
            Ok(())
        });
    }

    /// Takes the chosen action. Where the environment goes wrong the episode is lost, which is noted.
    fn step(&mut self, max_steps: usize) {
        let taken = guarded(|| {
            self.last = self.session.step(&self.action)?;
            look(&*self.session, &mut self.observation, &mut self.admissible);
            Ok(())
        });
        self.fault = taken.and_then(|()| self.check(max_steps)).err();
    }

    fn check(&self, max_steps: usize) -> Result<(), String> {
        let steps = self.rows.len();
        check_answer(&self.last, &self.observation, &self.admissible, steps, max_steps)
    }

    fn over(&self) -> bool {
        self.fault.is_some() || self.last.ended()
    }
}

/// What was played so far, rows in playing order.
#[derive(Default)]
struct Played<I> {
    inputs: I,
    responses: Responses,
    observations: Vec<u32>,
    rewards: Vec<f32>,
    valid: Vec<bool>,
    actions: Texts,
    texts: TextTable,
    /// `[groups]`.
    goals: Vec<String>,
    errors: Vec<EnvironmentError>,
}

impl<I> Played<I> {
    /// Notes the episodes that were just lost.
    fn note<M>(&mut self, environment: &dyn Environment, plan: &Plan, lost: &Episode<M>) {
        if let Some(message) = &lost.fault {
            let (step, message) = (lost.rows.len(), message.clone());
            self.lose(environment, plan, (lost.group, lost.number), step, message);
        }
    }

    fn lose(
        &mut self,
        environment: &dyn Environment,
        plan: &Plan,
        (group, episode): (usize, usize),
        step: usize,
        message: String,
    ) {
        let task = plan.tasks[group];
        let task = guarded(|| Ok(environment.task_name(task).to_string()));
        let task = task.unwrap_or_else(|_| format!("number {}", plan.tasks[group]));
        self.errors.push(EnvironmentError { task, group, episode, step, message });
    }
}

/// Plays a plan to the end of its last episode.
///
/// # Errors
/// Fails where an environment or the device does.
pub fn collect<P: Policy>(
    environment: &dyn Environment,
    policy: &P,
    encoder: &P::Encoder,
    plan: &Plan,
) -> Result<RolloutBatch<<P::Encoder as Encoder>::Inputs>> {
    collect_with(environment, policy, encoder, plan, &Limits::default())
}

/// [`collect`], putting up with environments that go wrong: an episode that is lost to its environment
/// is left out of the batch, but for [`RolloutBatch::errors`].
///
/// # Errors
/// Fails where more episodes are lost than the limits allow, or where the policy or the device fails.
pub fn collect_with<P: Policy>(
    environment: &dyn Environment,
    policy: &P,
    encoder: &P::Encoder,
    plan: &Plan,
    limits: &Limits,
) -> Result<RolloutBatch<<P::Encoder as Encoder>::Inputs>> {
    let mut played = Played::<<P::Encoder as Encoder>::Inputs>::default();
    let max_steps = environment.max_steps();
    let mut episodes = start(environment, encoder, plan, limits, &mut played)?;
    let mut active: Vec<usize> =
        (0..episodes.len()).filter(|&episode| !episodes[episode].over()).collect();
    while !active.is_empty() {
        let first = played.inputs.len();
        for (place, &episode) in active.iter().enumerate() {
            let episode = &mut episodes[episode];
            let (observation, admissible) = (&episode.observation, &episode.admissible);
            encoder.encode(&mut episode.memory, observation, admissible, &mut played.inputs);
            played.observations.push(played.texts.intern(observation));
            episode.rows.push(first + place);
        }
        let rows: Vec<usize> = (first..played.inputs.len()).collect();
        let mut draws: Vec<&mut ChaCha8Rng> =
            pick(&mut episodes, &active).map(|episode| &mut episode.draws).collect();
        let (answers, responses) =
            policy.respond(&played.inputs, &rows, plan.sampling, &mut draws)?;
        for (place, (episode, answer)) in pick(&mut episodes, &active).zip(answers).enumerate() {
            expect_finite(&responses, place, episode, environment, plan)?;
            episode.action = action(answer, &episode.admissible)?;
        }
        played.responses.append(&responses);
        pick(&mut episodes, &active).for_each(Episode::announce);
        step_all(&mut episodes, &active, max_steps);
        for episode in pick(&mut episodes, &active) {
            encoder.acted(&mut episode.memory, &episode.action, &mut played.inputs);
            played.rewards.push(episode.last.reward);
            played.valid.push(episode.last.valid);
            played.actions.push(&episode.action);
            played.note(environment, plan, episode);
        }
        limits.check(&played.errors)?;
        active.retain(|&episode| !episodes[episode].over());
    }
    arrange(plan, episodes, played)
}

/// Refuses log-probabilities that are not finite, which nothing could be learnt from.
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
         its weights have gone wrong, go on from an earlier checkpoint with a lower \
         update.learning_rate",
        environment.task_name(plan.tasks[episode.group]),
        episode.group,
        episode.number,
        episode.rows.len()
    )))
}

fn start<E: Encoder>(
    environment: &dyn Environment,
    encoder: &E,
    plan: &Plan,
    limits: &Limits,
    played: &mut Played<E::Inputs>,
) -> Result<Vec<Episode<E::Memory>>> {
    let mut episodes = Vec::with_capacity(plan.tasks.len() * plan.episodes);
    plan.announce(environment);
    for (group, &task) in plan.tasks.iter().enumerate() {
        played.goals.push(String::new());
        for number in 0..plan.episodes {
            let seed = plan.chance(group, number);
            let (mut observation, mut admissible) = (String::new(), Texts::new());
            let begun = guarded(|| {
                let session = begin(environment, task, seed, limits)?;
                look(&*session, &mut observation, &mut admissible);
                let goal = session.goal().to_string();
                Ok((session, goal))
            });
            let (session, goal) = match begun {
                Ok(begun) => begun,
                Err(message) => {
                    played.lose(environment, plan, (group, number), 0, message);
                    limits.check(&played.errors)?;
                    continue;
                }
            };
            let mut episode = Episode {
                group,
                number,
                memory: encoder.begin(&goal, &mut played.inputs),
                session,
                draws: plan.stream(Purpose::Actions, group, number).rng(),
                observation,
                admissible,
                action: String::new(),
                last: Transition::default(),
                rows: Vec::new(),
                fault: None,
            };
            episode.fault = episode.check(environment.max_steps()).err();
            played.note(environment, plan, &episode);
            limits.check(&played.errors)?;
            played.goals[group] = goal;
            episodes.push(episode);
        }
    }
    Ok(episodes)
}

/// Begins a session as the limits ask for it: by itself, or on a thread that may be given up.
fn begin(
    environment: &dyn Environment,
    task: usize,
    seed: u64,
    limits: &Limits,
) -> Result<Box<dyn Session>> {
    if limits.step_timeout <= 0.0 {
        return environment.start(task, seed);
    }
    #[cfg(feature = "parallel")]
    {
        let watched = super::watch::Watched::begin(environment, task, seed, limits.step_timeout)?;
        Ok(Box::new(watched))
    }
    #[cfg(not(feature = "parallel"))]
    {
        let message = "needs threads, which this build has not (feature `parallel`)";
        Err(Error::setting("rollout.step_timeout", message))
    }
}

/// The chosen elements; `chosen` is ascending.
fn pick<'a, T>(all: &'a mut [T], chosen: &'a [usize]) -> impl Iterator<Item = &'a mut T> {
    let mut next = chosen.iter().copied().peekable();
    all.iter_mut()
        .enumerate()
        .filter(move |(place, _)| next.next_if_eq(place).is_some())
        .map(|(_, element)| element)
}

fn action(answer: Answer, admissible: &Texts) -> Result<String> {
    match answer {
        Answer::Text(text) => Ok(text),
        Answer::Admissible(index) => admissible.get(index).map(str::to_string).ok_or_else(|| {
            let count = admissible.len();
            Error::Run(format!("the policy chose action {index} of {count} admissible ones"))
        }),
    }
}

#[cfg(feature = "parallel")]
fn step_all<M: Send>(episodes: &mut [Episode<M>], active: &[usize], max_steps: usize) {
    let mut chosen: Vec<_> = pick(episodes, active).collect();
    // A step takes microseconds: hand them out in chunks that are worth a thread's waking up.
    chosen.par_iter_mut().with_min_len(16).for_each(|episode| episode.step(max_steps));
}

#[cfg(not(feature = "parallel"))]
fn step_all<M: Send>(episodes: &mut [Episode<M>], active: &[usize], max_steps: usize) {
    pick(episodes, active).for_each(|episode| episode.step(max_steps));
}

/// Sorts rows by group, episode and time, without those of episodes that were lost.
fn arrange<I: Inputs, M>(
    plan: &Plan,
    episodes: Vec<Episode<M>>,
    mut played: Played<I>,
) -> Result<RolloutBatch<I>> {
    let (kept, lost): (Vec<_>, Vec<_>) =
        episodes.into_iter().partition(|episode| episode.fault.is_none());
    let order: Vec<usize> = kept.iter().flat_map(|episode| episode.rows.clone()).collect();
    let mut builder = BatchBuilder::with_texts(played.texts);
    for group in kept_by_group(&kept, plan.tasks.len()) {
        for episode in group {
            for &row in &episode.rows {
                let observation = played.observations[row];
                builder.push_step(observation, played.rewards[row], played.valid[row]);
            }
            let last = builder.intern(&episode.observation);
            builder.end_episode(episode.last.success, Some(last));
        }
        builder.end_group();
    }
    played.inputs.reorder(&order);
    let batch = RolloutBatch {
        tasks: plan.tasks.to_vec(),
        goals: played.goals,
        data: builder.build()?,
        actions: order.iter().filter_map(|&row| played.actions.get(row)).collect(),
        responses: played.responses.select(&order),
        inputs: played.inputs,
        errors: played.errors,
    };
    for episode in kept.into_iter().chain(lost) {
        // A session that panics while it is dropped has played its episode all the same.
        let _ = guarded(|| {
            drop(episode.session);
            Ok(())
        });
    }
    Ok(batch)
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
