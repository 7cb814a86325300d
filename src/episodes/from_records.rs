//! Episodes of a file as a batch.

use std::collections::HashMap;

use super::batch::{Batch, Embeddings, MAX_REWARD};
use super::builder::{BatchBuilder, Episode, Step, unfit_width};
use super::json::{OtherFields, described};
use super::record::EpisodeRecord;
use super::values::Values;
use crate::error::{Error, Result};

/// Fields that are optional in an episode file and that the reader of a batch needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequiredFields {
    /// `embedding` of every step. Not required, embeddings are ignored.
    pub embeddings: bool,
    /// `final_observation` of every episode that has steps and failed.
    pub final_observations: bool,
    /// `value` of every step. `final_value` of an episode is 0 where it is absent.
    pub values: bool,
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
        let mut values = Values::default();
        for group in groups(episodes) {
            for &record in &group {
                let episode = &episodes[record];
                check(episode, required, &mut width)
                    .and_then(|()| add_values(episode, required, &mut values))
                    .map_err(|message| Error::input(place(record), message))?;
            }
            builder.push_group(group.iter().map(|&record| episode(&episodes[record], required)));
            records.extend(group);
        }
        let mut batch = builder.build()?;
        if required.embeddings && batch.rows() == 0 {
            batch = batch.with_embeddings(Embeddings::Steps { values: Vec::new(), width: 1 })?;
        }
        if required.values {
            batch = batch.with_values(values)?;
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
    let is_failure = episode.success != Some(true) && !episode.steps.is_empty();
    if required.final_observations && is_failure && episode.final_observation.is_none() {
        return Err(
            "final_observation: expected a text, which estimator 'graphgpo' needs of every \
                    episode that failed, found nothing"
                .to_string(),
        );
    }
    Ok(())
}

/// Appends the values of an episode's states, if they are required.
fn add_values(
    episode: &EpisodeRecord,
    required: RequiredFields,
    values: &mut Values,
) -> Result<(), String> {
    if !required.values {
        return Ok(());
    }
    for (number, step) in episode.steps.iter().enumerate() {
        let value = number_in(&step.other, "value").and_then(|value| {
            value.ok_or_else(|| "value: expected a number, found nothing".into())
        });
        values.states.push(value.map_err(|message| format!("steps[{number}].{message}"))?);
    }
    values.ends.push(number_in(&episode.other, "final_value")?.unwrap_or(0.0));
    Ok(())
}

/// A number among the other fields. Absent and null are nothing.
fn number_in(fields: &OtherFields, name: &str) -> Result<Option<f64>, String> {
    let Some(text) = fields.get(name).filter(|&text| text != "null") else { return Ok(None) };
    match serde_json::from_str::<f64>(text) {
        Ok(number) if number.abs() <= MAX_REWARD => Ok(Some(number)),
        _ => {
            let found = serde_json::from_str(text).ok();
            Err(format!("{name}: expected a number, found {}", described(found)))
        }
    }
}

fn episode(record: &EpisodeRecord, required: RequiredFields) -> Episode<'_> {
    let steps = record.steps.iter().map(|step| {
        let row = Step::new(&step.observation, step.reward).valid(step.valid);
        match &step.embedding {
            Some(embedding) if required.embeddings => row.embedding(embedding),
            _ => row,
        }
    });
    let episode = Episode::new().steps(steps);
    let episode = match record.success {
        Some(success) => episode.success(success),
        None => episode.without_success(),
    };
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

    const NOTHING: RequiredFields =
        RequiredFields { embeddings: false, final_observations: false, values: false };
    const EMBEDDINGS: RequiredFields = RequiredFields { embeddings: true, ..NOTHING };
    const FINAL: RequiredFields = RequiredFields { final_observations: true, ..NOTHING };
    const VALUES: RequiredFields = RequiredFields { values: true, ..NOTHING };

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
        episodes[1].success = Some(true);
        collect(&episodes, FINAL).unwrap();
    }

    #[test]
    fn values_of_states_are_read_if_they_are_required() {
        let mut episodes = [record("a", &[1.0]), record("b", &[0.0]), record("a", &[0.0, 0.0])];
        assert_eq!(
            refusal(&episodes, VALUES),
            "line 1: steps[0].value: expected a number, found nothing"
        );
        for (number, episode) in episodes.iter_mut().enumerate() {
            for step in &mut episode.steps {
                step.other.push("value", &(0.5 + number as f64)).unwrap();
            }
        }
        episodes[2].other.push("final_value", &2.5).unwrap();
        let values = collect(&episodes, VALUES).unwrap().batch.values().cloned();
        let expected = Values { states: vec![0.5, 2.5, 2.5, 1.5], ends: vec![0.0, 2.5, 0.0] };
        assert_eq!(values, Some(expected));
        assert_eq!(collect(&episodes, NOTHING).unwrap().batch.values(), None);
        episodes[1].other.push("final_value", &"high").unwrap();
        assert_eq!(
            refusal(&episodes, VALUES),
            "line 2: final_value: expected a number, found the text \"high\""
        );
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
