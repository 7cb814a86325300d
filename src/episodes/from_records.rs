//! Episodes of a file as a batch.

use std::collections::HashMap;

use super::batch::{Batch, Embeddings};
use super::builder::{BatchBuilder, Episode, Step, unfit_width};
use super::record::EpisodeRecord;
use crate::error::{Error, Result};

/// Fields that are optional in an episode file and that the reader of a batch needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequiredFields {
    /// `embedding` of every step. Not required, embeddings are ignored.
    pub embeddings: bool,
    /// `final_observation` of every episode that has steps and failed.
    pub final_observations: bool,
}

/// A batch together with the records that it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordBatch {
    /// The episodes.
    pub batch: Batch,
    /// The record of each episode of the batch, as an index into the records: `[episodes]`.
    pub records: Vec<usize>,
}

impl RecordBatch {
    /// Collects the episodes of a file.
    ///
    /// Episodes of a group need not be adjacent in a file; in the batch they are: groups in the order
    /// of their first appearance, and episodes of a group in the order of the file. An episode without
    /// steps has no rows but counts as an episode of its group. In errors, `place` names a record.
    ///
    /// # Errors
    /// Returns an error that names the place and the required field that is missing, or the step whose
    /// embedding has another length than the first.
    pub fn new(
        episodes: &[EpisodeRecord],
        required: RequiredFields,
        place: &dyn Fn(usize) -> String,
    ) -> Result<Self> {
        let mut builder = BatchBuilder::default();
        let mut records = Vec::with_capacity(episodes.len());
        let mut width = 0;
        for group in groups(episodes) {
            for &record in &group {
                check(&episodes[record], required, &mut width)
                    .map_err(|message| Error::input(place(record), message))?;
            }
            builder.push_group(group.iter().map(|&record| episode(&episodes[record], required)));
            records.extend(group);
        }
        let mut batch = builder.build()?;
        if required.embeddings && batch.rows() == 0 {
            batch = batch.with_embeddings(Embeddings::Steps { values: Vec::new(), width: 1 })?;
        }
        Ok(Self { batch, records })
    }
}

/// Checks that an episode has the required fields. `width` is the length of the first embedding, 0
/// before it.
fn check(
    episode: &EpisodeRecord,
    required: RequiredFields,
    width: &mut usize,
) -> Result<(), String> {
    if required.embeddings {
        for (number, step) in episode.steps.iter().enumerate() {
            let found = step.embedding.as_ref().map_or(0, Vec::len);
            let refuse = |message: String| Err(format!("steps[{number}].embedding: {message}"));
            match *width {
                0 if found == 0 => return refuse("expected numbers, found nothing".to_string()),
                0 => *width = found,
                expected if expected != found => return refuse(unfit_width(expected, found)),
                _ => {}
            }
        }
    }
    let is_failure = !episode.success && !episode.steps.is_empty();
    if required.final_observations && is_failure && episode.final_observation.is_none() {
        return Err(
            "final_observation: expected a text, which estimator 'graphgpo' needs of every \
                    episode that failed, found nothing"
                .to_string(),
        );
    }
    Ok(())
}

fn episode(record: &EpisodeRecord, required: RequiredFields) -> Episode<'_> {
    let steps = record.steps.iter().map(|step| {
        let row = Step::new(&step.observation, step.reward).valid(step.valid);
        match &step.embedding {
            Some(embedding) if required.embeddings => row.embedding(embedding),
            _ => row,
        }
    });
    let episode = Episode::new().steps(steps).success(record.success);
    match &record.final_observation {
        Some(text) if required.final_observations => episode.final_observation(text),
        _ => episode,
    }
}

/// The records of each group.
fn groups(episodes: &[EpisodeRecord]) -> Vec<Vec<usize>> {
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (record, episode) in episodes.iter().enumerate() {
        let group = *numbers.entry(&episode.group).or_insert(groups.len());
        if group == groups.len() {
            groups.push(Vec::new());
        }
        groups[group].push(record);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::episodes::StepRecord;

    const NOTHING: RequiredFields = RequiredFields { embeddings: false, final_observations: false };
    const EMBEDDINGS: RequiredFields = RequiredFields { embeddings: true, ..NOTHING };
    const FINAL: RequiredFields = RequiredFields { final_observations: true, ..NOTHING };

    fn record(group: &str, rewards: &[f64]) -> EpisodeRecord {
        let step = |(number, &reward): (usize, &f64)| StepRecord {
            observation: format!("room {number}"),
            action: "go".into(),
            reward,
            valid: true,
            embedding: Some(vec![1.0, number as f32]),
            ..StepRecord::default()
        };
        EpisodeRecord {
            group: group.into(),
            trajectory: "t".into(),
            final_observation: Some("the end".into()),
            steps: rewards.iter().enumerate().map(step).collect(),
            ..EpisodeRecord::default()
        }
    }

    fn collect(episodes: &[EpisodeRecord], required: RequiredFields) -> Result<RecordBatch> {
        RecordBatch::new(episodes, required, &|record| format!("line {}", record + 1))
    }

    fn refusal(episodes: &[EpisodeRecord], required: RequiredFields) -> String {
        collect(episodes, required).unwrap_err().to_string()
    }

    #[test]
    fn groups_are_collected_and_rows_know_their_records() {
        let episodes =
            [record("b", &[1.0, 2.0]), record("a", &[3.0]), record("b", &[]), record("a", &[4.0])];
        let RecordBatch { batch, records } = collect(&episodes, NOTHING).unwrap();
        assert_eq!(records, [0, 2, 1, 3]);
        let layout = batch.layout();
        assert_eq!(layout.group_episodes().collect::<Vec<_>>(), [0..2, 2..4]);
        assert_eq!(layout.episode_rows().collect::<Vec<_>>(), [0..2, 2..2, 2..3, 3..4]);
        assert_eq!(
            (batch.rewards(), batch.observations()),
            (&[1.0, 2.0, 3.0, 4.0][..], &[0, 1, 0, 0][..])
        );
        assert!(batch.embeddings().is_none() && batch.final_observations() == [None; 4]);
    }

    #[test]
    fn required_fields_are_collected_or_missed() {
        let mut episodes = [record("a", &[1.0]), record("a", &[0.0, 0.0])];
        let batch = collect(&episodes, EMBEDDINGS).unwrap().batch;
        assert!(matches!(batch.embeddings(), Some(Embeddings::Steps { width: 2, .. })));
        episodes[1].steps[1].embedding = Some(vec![1.0]);
        assert_eq!(
            refusal(&episodes, EMBEDDINGS),
            "line 2: steps[1].embedding: expected 2 numbers, as in the first step, found 1 number"
        );
        episodes[0].steps[0].embedding = None;
        assert_eq!(
            refusal(&episodes, EMBEDDINGS),
            "line 1: steps[0].embedding: expected numbers, found nothing"
        );
        let batch = collect(&episodes, FINAL).unwrap().batch;
        assert_eq!(batch.final_observations(), [Some(1), Some(1)]);
        episodes[1].final_observation = None;
        let message = refusal(&episodes, FINAL);
        assert!(message.starts_with("line 2: final_observation: expected a text"), "{message}");
        episodes[1].success = true;
        collect(&episodes, FINAL).unwrap();
    }

    #[test]
    fn files_without_steps_are_batches_too() {
        for episodes in [&[][..], &[record("a", &[]), record("a", &[])]] {
            for required in [NOTHING, EMBEDDINGS, FINAL] {
                let batch = collect(episodes, required).unwrap().batch;
                assert_eq!((batch.rows(), batch.episodes()), (0, episodes.len()));
                assert_eq!(batch.embeddings().is_some(), required.embeddings);
            }
        }
    }
}
