//! Playing groups of episodes in lock-step.
//!
//! At every time step the policy answers all active episodes in one batch and the environments then
//! step in parallel. Every episode draws from streams of its own, so the same seed gives the same
//! episodes whatever the number of threads and whichever episodes are still active.

use rand::RngCore;
use rand_chacha::ChaCha8Rng;
#[cfg(feature = "parallel")]
use rayon::prelude::*;

use super::batch::{Interner, RolloutBatch};
use crate::env::{Environment, Session, Texts, Transition};
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

/// One episode under way.
struct Episode<M> {
    session: Box<dyn Session>,
    memory: M,
    draws: ChaCha8Rng,
    observation: String,
    admissible: Texts,
    action: String,
    last: Transition,
    /// Rows of this episode among all rows in the order in which they were played.
    rows: Vec<usize>,
}

impl<M> Episode<M> {
    fn look(&mut self) {
        self.observation.clear();
        self.admissible.clear();
        self.session.observe(&mut self.observation);
        self.session.admissible(&mut self.admissible);
    }

    fn step(&mut self) -> Result<()> {
        self.last = self.session.step(&self.action)?;
        self.look();
        Ok(())
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
    interner: Interner,
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
    let mut played = Played::<<P::Encoder as Encoder>::Inputs>::default();
    let mut episodes = start(environment, encoder, plan, &mut played.inputs)?;
    let mut active: Vec<usize> = (0..episodes.len()).collect();
    while !active.is_empty() {
        let first = played.inputs.len();
        for (place, &episode) in active.iter().enumerate() {
            let episode = &mut episodes[episode];
            let (observation, admissible) = (&episode.observation, &episode.admissible);
            encoder.encode(&mut episode.memory, observation, admissible, &mut played.inputs);
            played.observations.push(played.interner.intern(observation));
            episode.rows.push(first + place);
        }
        let rows: Vec<usize> = (first..played.inputs.len()).collect();
        let mut draws: Vec<&mut ChaCha8Rng> =
            pick(&mut episodes, &active).map(|episode| &mut episode.draws).collect();
        let (answers, responses) =
            policy.respond(&played.inputs, &rows, plan.sampling, &mut draws)?;
        played.responses.append(&responses);
        for (episode, answer) in pick(&mut episodes, &active).zip(answers) {
            episode.action = action(answer, &episode.admissible)?;
        }
        step_all(&mut episodes, &active)?;
        for episode in pick(&mut episodes, &active) {
            encoder.acted(&mut episode.memory, &episode.action, &mut played.inputs);
            played.rewards.push(episode.last.reward);
            played.valid.push(episode.last.valid);
            played.actions.push(&episode.action);
        }
        active.retain(|&episode| !episodes[episode].last.ended());
    }
    Ok(arrange(plan, episodes, played))
}

fn start<E: Encoder>(
    environment: &dyn Environment,
    encoder: &E,
    plan: &Plan,
    inputs: &mut E::Inputs,
) -> Result<Vec<Episode<E::Memory>>> {
    let mut episodes = Vec::with_capacity(plan.tasks.len() * plan.episodes);
    for (group, &task) in plan.tasks.iter().enumerate() {
        for number in 0..plan.episodes {
            let stream = |purpose| {
                Stream::new(plan.seed, purpose)
                    .at(plan.iteration)
                    .of(plan.first_group + group, number)
            };
            let session = environment.start(task, stream(Purpose::Environment).rng().next_u64())?;
            let mut episode = Episode {
                memory: encoder.begin(session.goal(), inputs),
                session,
                draws: stream(Purpose::Actions).rng(),
                observation: String::new(),
                admissible: Texts::new(),
                action: String::new(),
                last: Transition::default(),
                rows: Vec::new(),
            };
            episode.look();
            episodes.push(episode);
        }
    }
    Ok(episodes)
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
fn step_all<M: Send>(episodes: &mut [Episode<M>], active: &[usize]) -> Result<()> {
    let mut chosen: Vec<_> = pick(episodes, active).collect();
    // A step takes microseconds: hand them out in chunks that are worth a thread's waking up.
    chosen.par_iter_mut().with_min_len(16).try_for_each(|episode| episode.step())
}

#[cfg(not(feature = "parallel"))]
fn step_all<M: Send>(episodes: &mut [Episode<M>], active: &[usize]) -> Result<()> {
    pick(episodes, active).try_for_each(Episode::step)
}

/// Sorts rows by group, episode and time.
fn arrange<I: Inputs, M>(
    plan: &Plan,
    episodes: Vec<Episode<M>>,
    mut played: Played<I>,
) -> RolloutBatch<I> {
    let order: Vec<usize> = episodes.iter().flat_map(|episode| episode.rows.clone()).collect();
    let mut episode_offsets = vec![0];
    for episode in &episodes {
        episode_offsets.push(episode_offsets[episode_offsets.len() - 1] + episode.rows.len());
    }
    played.inputs.reorder(&order);
    let actions = order.iter().filter_map(|&row| played.actions.get(row)).collect();
    RolloutBatch {
        tasks: plan.tasks.to_vec(),
        goals: episodes
            .iter()
            .step_by(plan.episodes.max(1))
            .map(|episode| episode.session.goal().to_string())
            .collect(),
        group_offsets: (0..=plan.tasks.len()).map(|group| group * plan.episodes).collect(),
        episode_offsets,
        success: episodes.iter().map(|episode| episode.last.success).collect(),
        final_observations: episodes
            .iter()
            .map(|episode| played.interner.intern(&episode.observation))
            .collect(),
        rewards: order.iter().map(|&row| played.rewards[row]).collect(),
        valid: order.iter().map(|&row| played.valid[row]).collect(),
        observations: order.iter().map(|&row| played.observations[row]).collect(),
        texts: played.interner.texts,
        actions,
        responses: played.responses.select(&order),
        inputs: played.inputs,
    }
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
