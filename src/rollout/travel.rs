//! Rollout batches that travel between ranks.

use std::sync::Arc;

use super::batch::RolloutBatch;
use crate::episodes::{Batch, BatchBuilder, TextTable, Values};
use crate::error::{Error, Result};
use crate::policy::Inputs;
use crate::ranks::{decode, encode, join, split};

/// The parts of a [`Batch`]: texts, then of each row the observation, the reward and whether the action
/// was admissible, then of each episode its number of rows, its success and its last observation, then
/// the number of episodes of each group, then the values of states.
type SentBatch = (Vec<String>, Vec<(u32, f64, bool)>, Vec<SentEpisode>, Vec<usize>, Option<Values>);

type SentEpisode = (usize, Option<bool>, Option<u32>);

impl<I: Inputs> RolloutBatch<I> {
    /// The batch as bytes. Numbers keep their bits.
    ///
    /// # Errors
    /// Fails if the policy's inputs have no form as bytes.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let actions: Vec<&str> = self.actions.iter().collect();
        let others = encode(&(
            (&self.tasks, &self.goals, sent(&self.data), actions),
            (&self.responses, &self.left_out),
            (&self.ends, &self.errors, &self.replayed, &self.usage),
        ))?;
        Ok(join(&[others, self.inputs.to_bytes()?]))
    }

    /// The batch of [`RolloutBatch::to_bytes`].
    ///
    /// # Errors
    /// Fails if the bytes are not those of a batch.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let [others, inputs] = split(bytes)?[..] else { return Err(cut_short()) };
        let (of_groups, of_rows, of_episodes) = decode(others)?;
        let (tasks, goals, data, actions): (_, _, _, Vec<String>) = of_groups;
        let (responses, left_out) = of_rows;
        let (ends, errors, replayed, usage) = of_episodes;
        Ok(Self {
            tasks,
            goals,
            data: received(data)?,
            actions: actions.iter().map(String::as_str).collect(),
            responses,
            inputs: I::from_bytes(inputs)?,
            left_out,
            ends,
            errors,
            replayed,
            usage,
        })
    }
}

fn cut_short() -> Error {
    Error::Run("a batch from another rank is cut short".into())
}

fn sent(batch: &Batch) -> SentBatch {
    let rows = batch.observations().iter().zip(batch.rewards()).zip(batch.valid());
    let episode = |episode: usize| {
        // An episode of unknown success counts as none.
        let success = Some(batch.success()[episode]).filter(|won| *won || batch.has_success());
        (batch.rows_of_episode(episode).len(), success, batch.final_observations()[episode])
    };
    (
        batch.texts().iter().map(|text| text.to_string()).collect(),
        rows.map(|((&observation, &reward), &valid)| (observation, reward, valid)).collect(),
        (0..batch.episodes()).map(episode).collect(),
        batch.layout().group_episodes().map(|episodes| episodes.len()).collect(),
        batch.values().cloned(),
    )
}

fn received((texts, rows, episodes, groups, values): SentBatch) -> Result<Batch> {
    let count = texts.len();
    let texts: Vec<Arc<str>> = texts.into_iter().map(Arc::from).collect();
    let mut builder = BatchBuilder::with_texts(TextTable::starting_with(&texts));
    let (mut rows, mut episodes) = (rows.into_iter(), episodes.into_iter());
    for group in groups {
        for _ in 0..group {
            let (steps, success, last) = episodes.next().ok_or_else(cut_short)?;
            for _ in 0..steps {
                let step = rows.next().filter(|(observation, ..)| (*observation as usize) < count);
                let (observation, reward, valid) = step.ok_or_else(cut_short)?;
                builder.push_step(observation, reward, valid);
            }
            builder.end_episode(success, last.filter(|last| (*last as usize) < count));
        }
        builder.end_group();
    }
    let batch = builder.build()?;
    match values {
        Some(values) => batch.with_values(values),
        None => Ok(batch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::episodes::Episode;

    #[test]
    fn a_batch_is_the_same_after_it_has_travelled() {
        let first = Episode::new().step("hall", 0.1).step("attic", -0.0).success(true);
        let last = Episode::new().step("hall", 0.5).final_observation("cellar");
        let groups = |known: Episode<'static>| {
            Batch::builder().group([first.clone()]).group([]).group([known, last.clone()])
        };
        let values = Values { states: vec![0.1, -0.0, 0.25], ends: vec![0.0, 0.0, 0.5] };
        for batch in [
            Batch::default(),
            groups(Episode::new()).build().unwrap(),
            groups(Episode::new().without_success()).build().unwrap(),
            groups(Episode::new()).build().unwrap().with_values(values).unwrap(),
        ] {
            let read = received(decode(&encode(&sent(&batch)).unwrap()).unwrap()).unwrap();
            assert_eq!(read, batch);
        }
    }
}
