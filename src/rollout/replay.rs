//! Replays recorded actions, with the inputs that a policy would have seen.

use rand::RngCore;
use serde::{Deserialize, Serialize};

use super::batch::{EpisodeEnd, RolloutBatch};
use super::limits::Limits;
use super::session::GuardedSession;
use super::snapshot::Snapshot;
use crate::env::Environment;
use crate::episodes::BatchBuilder;
use crate::error::{Error, Result};
use crate::policy::Encoder;
use crate::stream::{Purpose, Stream};

/// The actions of one episode to imitate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demonstration {
    /// The task.
    pub task: usize,
    /// The actions, step by step.
    pub actions: Vec<String>,
    /// The steps, in ascending order, that are played and not imitated.
    pub unimitated: Vec<usize>,
    /// The origin, for errors: a file and line, or the name of the player.
    pub source: String,
}

/// The seed of the environment in the replay of the demonstration `number`, if `seed` is the run's.
pub(crate) fn replay_seed(seed: u64, number: usize) -> u64 {
    Stream::new(seed, Purpose::Environment).of(number, 0).rng().next_u64()
}

/// Replays demonstrations, one group each. All responses have log-probability 0. Rows of steps that are
/// not imitated are [left out](RolloutBatch::left_out).
///
/// # Errors
/// Returns an error if an environment fails. Names the demonstration and the step if an action is not
/// admissible or comes after the end of its episode.
pub fn replay<E: Encoder>(
    environment: &dyn Environment,
    encoder: &E,
    demonstrations: &[Demonstration],
    seed: u64,
) -> Result<RolloutBatch<E::Inputs>> {
    replay_from(environment, encoder, demonstrations, seed, 0)
}

/// [`replay`] of the demonstrations from number `first` on of a longer list.
pub(super) fn replay_from<E: Encoder>(
    environment: &dyn Environment,
    encoder: &E,
    demonstrations: &[Demonstration],
    seed: u64,
    first: usize,
) -> Result<RolloutBatch<E::Inputs>> {
    let mut batch = RolloutBatch::default();
    let mut builder = BatchBuilder::default();
    for (number, demonstration) in demonstrations.iter().enumerate() {
        let seed = replay_seed(seed, first + number);
        let session =
            GuardedSession::open(environment, demonstration.task, seed, &Limits::default());
        let session = session.map_err(Error::Environment)?;
        batch.tasks.push(demonstration.task);
        batch.goals.push(session.goal().to_string());
        play(session, encoder, demonstration, &mut batch, &mut builder)?;
        builder.end_group();
    }
    batch.data = builder.build()?;
    Ok(batch)
}

fn play<E: Encoder>(
    mut session: GuardedSession,
    encoder: &E,
    demonstration: &Demonstration,
    batch: &mut RolloutBatch<E::Inputs>,
    builder: &mut BatchBuilder,
) -> Result<()> {
    let mut memory = encoder.begin(session.goal(), &mut batch.inputs);
    for (step, action) in demonstration.actions.iter().enumerate() {
        let refuse = |message: &str| {
            let place = format!("{}: steps[{step}].action", demonstration.source);
            Err(Error::input(place, format!("'{action}' {message}")))
        };
        let Snapshot { observation, admissible, transition, .. } = session.snapshot();
        if transition.ended() {
            return refuse("comes after the episode's end");
        }
        let Some(response) = encoder.response(admissible, action) else {
            return refuse("is not admissible there; was this played in another task?");
        };
        encoder.encode(&mut memory, observation, admissible, &mut batch.inputs);
        let answered = builder.intern(observation);
        session.step(action).map_err(Error::Environment)?;
        encoder.acted(&mut memory, action, &response, &mut batch.inputs);
        if demonstration.unimitated.binary_search(&step).is_ok() {
            batch.left_out.push(batch.responses.len());
        }
        batch.responses.push(&response, &vec![0.0; response.len()]);
        batch.actions.push(action);
        let transition = session.snapshot().transition;
        builder.push_step(answered, transition.reward, transition.valid);
    }
    let last = session.snapshot();
    let text = builder.intern(&last.observation);
    builder.end_episode(last.transition.success, Some(text));
    batch.ends.push(EpisodeEnd::of(last));
    Ok(())
}
