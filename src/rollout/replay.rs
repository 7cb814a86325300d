//! Playing what somebody else played, as a policy would have seen it.

use rand::RngCore;

use super::batch::RolloutBatch;
use crate::env::{Environment, Session, Texts};
use crate::episodes::BatchBuilder;
use crate::error::{Error, Result};
use crate::policy::Encoder;
use crate::stream::{Purpose, Stream};

/// The actions of one episode that is worth imitating.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demonstration {
    /// The task that was played.
    pub task: usize,
    /// What was done, step by step.
    pub actions: Vec<String>,
    /// Where this stands, for errors: a file and line, or who played.
    pub source: String,
}

/// Plays demonstrations, a group each. Responses have the log-probability 0.
///
/// # Errors
/// Where an environment fails, or names the demonstration and the step whose action is not admissible
/// or comes after the episode's end.
pub fn replay<E: Encoder>(
    environment: &dyn Environment,
    encoder: &E,
    demonstrations: &[Demonstration],
    seed: u64,
) -> Result<RolloutBatch<E::Inputs>> {
    let mut batch = RolloutBatch::default();
    let mut builder = BatchBuilder::default();
    for (number, demonstration) in demonstrations.iter().enumerate() {
        let chance = Stream::new(seed, Purpose::Environment).of(number, 0).rng().next_u64();
        let session = environment.start(demonstration.task, chance)?;
        batch.tasks.push(demonstration.task);
        batch.goals.push(session.goal().to_string());
        play(session, encoder, demonstration, &mut batch, &mut builder)?;
        builder.end_group();
    }
    batch.data = builder.build()?;
    Ok(batch)
}

fn play<E: Encoder>(
    mut session: Box<dyn Session>,
    encoder: &E,
    demonstration: &Demonstration,
    batch: &mut RolloutBatch<E::Inputs>,
    builder: &mut BatchBuilder,
) -> Result<()> {
    let mut memory = encoder.begin(session.goal(), &mut batch.inputs);
    let (mut observation, mut admissible) = (String::new(), Texts::new());
    session.observe(&mut observation);
    let (mut ended, mut success) = (false, false);
    for (step, action) in demonstration.actions.iter().enumerate() {
        let refuse = |message: &str| {
            let place = format!("{}: steps[{step}].action", demonstration.source);
            Err(Error::input(place, format!("'{action}' {message}")))
        };
        if ended {
            return refuse("comes after the episode's end");
        }
        admissible.clear();
        session.admissible(&mut admissible);
        let Some(response) = encoder.response(&admissible, action) else {
            return refuse("is not admissible there; was this played in another task?");
        };
        encoder.encode(&mut memory, &observation, &admissible, &mut batch.inputs);
        let answered = builder.intern(&observation);
        let done = session.step(action)?;
        encoder.acted(&mut memory, action, &mut batch.inputs);
        batch.responses.push(&response, &vec![0.0; response.len()]);
        batch.actions.push(action);
        builder.push_step(answered, done.reward, done.valid);
        observation.clear();
        session.observe(&mut observation);
        (ended, success) = (done.ended(), done.success);
    }
    let last = builder.intern(&observation);
    builder.end_episode(success, Some(last));
    Ok(())
}
