//! Episodes of a file as rows of credit assignment.

use std::collections::HashMap;

use crate::credit::{CreditBatch, CreditConfig, Embedding, Embeddings, Estimator};
use crate::episodes::EpisodeRecord;
use crate::error::{Error, Result};

/// Episodes as the arrays behind a [`CreditBatch`]. Texts are borrowed from the records.
///
/// Episodes of a group need not stand together in a file: here they do, groups in the order in which
/// they first appear and episodes within a group in the file's. An episode without steps has no rows
/// but counts as an episode of its group.
#[derive(Debug, Clone, Default)]
pub struct EpisodeRows<'e> {
    /// Which record each episode of the batch is: `[episodes]`.
    pub records: Vec<usize>,
    group_offsets: Vec<usize>,
    episode_offsets: Vec<usize>,
    rewards: Vec<f32>,
    success: Vec<bool>,
    valid: Vec<bool>,
    observations: Vec<u32>,
    texts: Vec<&'e str>,
    numbers: HashMap<&'e str, u32>,
    final_observations: Option<Vec<u32>>,
    /// Numbers a row, and how many to each; 0 before the first.
    embeddings: Option<(Vec<f32>, usize)>,
}

impl<'e> EpisodeRows<'e> {
    /// Gathers episodes, with the embeddings or the final observations where `config` asks for them.
    /// `place` says in errors where a record stands.
    ///
    /// # Errors
    /// Names the place and the field that `config` asks for and that is missing, and the step whose
    /// embedding has another length than the first.
    pub fn of(
        episodes: &'e [EpisodeRecord],
        config: &CreditConfig,
        place: &dyn Fn(usize) -> String,
    ) -> Result<Self> {
        let given = config.estimator == Estimator::Proxmo && config.embedding == Embedding::Given;
        let graph = config.estimator == Estimator::Graphgpo;
        let mut rows = Self {
            group_offsets: vec![0],
            episode_offsets: vec![0],
            final_observations: graph.then(Vec::new),
            embeddings: given.then(|| (Vec::new(), 0)),
            ..Self::default()
        };
        for group in groups(episodes) {
            for record in group {
                rows.push(&episodes[record])
                    .map_err(|message| Error::input(place(record), message))?;
                rows.records.push(record);
            }
            rows.group_offsets.push(rows.records.len());
        }
        Ok(rows)
    }

    /// Appends an episode's rows, or says what they lack.
    fn push(&mut self, episode: &'e EpisodeRecord) -> Result<(), String> {
        for (number, step) in episode.steps.iter().enumerate() {
            self.rewards.push(step.reward as f32);
            self.valid.push(step.valid);
            let observation = self.number(&step.observation);
            self.observations.push(observation);
            if let Some((values, width)) = &mut self.embeddings {
                let embedding = step.embedding.as_deref().unwrap_or_default();
                if *width == 0 {
                    *width = embedding.len();
                }
                if embedding.is_empty() || embedding.len() != *width {
                    let place = format!("steps[{number}].embedding");
                    return Err(wrong_width(&place, step.embedding.as_deref(), *width));
                }
                values.extend_from_slice(embedding);
            }
        }
        if self.final_observations.is_some() {
            let last = final_observation(episode)?;
            let last = self.number(last);
            self.final_observations.iter_mut().for_each(|all| all.push(last));
        }
        self.success.push(episode.success);
        self.episode_offsets.push(self.rewards.len());
        Ok(())
    }

    /// A text's number, by first appearance.
    fn number(&mut self, text: &'e str) -> u32 {
        *self.numbers.entry(text).or_insert_with(|| {
            self.texts.push(text);
            self.texts.len() as u32 - 1
        })
    }

    /// The rows to assign credit to.
    pub fn batch(&self) -> CreditBatch<'_> {
        CreditBatch {
            group_offsets: &self.group_offsets,
            episode_offsets: &self.episode_offsets,
            rewards: &self.rewards,
            success: &self.success,
            valid: &self.valid,
            observations: &self.observations,
            texts: &self.texts,
            final_observations: self.final_observations.as_deref(),
            // Without any row any length will do, but there must be one.
            embeddings: self
                .embeddings
                .as_ref()
                .map(|(values, width)| Embeddings::Steps { values, width: (*width).max(1) }),
        }
    }
}

/// The observation that a graph of the group leads to. An episode that succeeded leads to the goal
/// instead, and one without steps nowhere.
fn final_observation(episode: &EpisodeRecord) -> Result<&str, String> {
    match &episode.final_observation {
        Some(text) => Ok(text),
        None if episode.success || episode.steps.is_empty() => Ok(""),
        None => {
            Err("final_observation: expected a text, which estimator 'graphgpo' needs of every \
                     episode that failed, found nothing"
                .to_string())
        }
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

fn wrong_width(place: &str, embedding: Option<&[f32]>, width: usize) -> String {
    let found = embedding.map_or("nothing".to_string(), |values| values.len().to_string());
    match width {
        0 => format!("{place}: expected numbers, found {found}"),
        _ => format!("{place}: expected {width} numbers, as in the first step, found {found}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credit::{assign, check};
    use crate::episodes::StepRecord;
    use serde_json::Map;

    fn episode(group: &str, rewards: &[f64]) -> EpisodeRecord {
        let step = |(number, &reward): (usize, &f64)| StepRecord {
            observation: format!("room {number}"),
            action: "go".into(),
            reward,
            valid: true,
            embedding: Some(vec![1.0, number as f32]),
            other: Map::new(),
        };
        EpisodeRecord {
            group: group.into(),
            trajectory: "t".into(),
            task: None,
            success: false,
            final_observation: Some("the end".into()),
            steps: rewards.iter().enumerate().map(step).collect(),
            other: Map::new(),
        }
    }

    fn config(estimator: Estimator, embedding: Embedding) -> CreditConfig {
        CreditConfig { embedding, ..CreditConfig::of(estimator) }
    }

    fn refused(episodes: &[EpisodeRecord], config: &CreditConfig) -> String {
        let place = |record: usize| format!("line {}", record + 1);
        EpisodeRows::of(episodes, config, &place).unwrap_err().to_string()
    }

    #[test]
    fn groups_are_gathered_and_rows_know_their_records() {
        let episodes = [
            episode("b", &[1.0, 2.0]),
            episode("a", &[3.0]),
            episode("b", &[]),
            episode("a", &[4.0]),
        ];
        let config = CreditConfig::default();
        let rows = EpisodeRows::of(&episodes, &config, &|_| String::new()).unwrap();
        assert_eq!(rows.records, [0, 2, 1, 3]);
        let batch = rows.batch();
        check(&batch).unwrap();
        assert_eq!(
            (batch.group_offsets, batch.episode_offsets),
            (&[0, 2, 4][..], &[0, 2, 2, 3, 4][..])
        );
        assert_eq!(
            (batch.rewards, batch.observations),
            (&[1.0, 2.0, 3.0, 4.0][..], &[0, 1, 0, 0][..])
        );
        assert_eq!(batch.texts, ["room 0", "room 1"]);
        assert!(batch.embeddings.is_none() && batch.final_observations.is_none());
    }

    #[test]
    fn what_the_settings_need_is_brought_or_missed() {
        let given = config(Estimator::Proxmo, Embedding::Given);
        let mut episodes = [episode("a", &[1.0]), episode("a", &[0.0, 0.0])];
        let rows = EpisodeRows::of(&episodes, &given, &|_| String::new()).unwrap();
        assert!(matches!(rows.batch().embeddings, Some(Embeddings::Steps { width: 2, .. })));
        episodes[1].steps[1].embedding = Some(vec![1.0]);
        let message = refused(&episodes, &given);
        assert_eq!(
            message,
            "line 2: steps[1].embedding: expected 2 numbers, as in the first step, found 1"
        );
        episodes[0].steps[0].embedding = None;
        let message = refused(&episodes, &given);
        assert_eq!(message, "line 1: steps[0].embedding: expected numbers, found nothing");

        let graph = config(Estimator::Graphgpo, Embedding::Given);
        let rows = EpisodeRows::of(&episodes, &graph, &|_| String::new()).unwrap();
        assert_eq!(rows.batch().final_observations, Some(&[1, 1][..]));
        episodes[1].final_observation = None;
        assert!(
            refused(&episodes, &graph).starts_with("line 2: final_observation: expected a text")
        );
        episodes[1].success = true;
        EpisodeRows::of(&episodes, &graph, &|_| String::new()).unwrap();
    }

    #[test]
    fn no_rows_at_all_are_a_batch_for_every_estimator() {
        for episodes in [&[][..], &[episode("a", &[]), episode("a", &[])]] {
            for &estimator in Estimator::ALL {
                for embedding in [Embedding::Tfidf, Embedding::Hashed, Embedding::Given] {
                    let config = config(estimator, embedding);
                    let rows = EpisodeRows::of(episodes, &config, &|_| String::new()).unwrap();
                    assert!(assign(&rows.batch(), &config).unwrap().advantages.is_empty());
                }
            }
        }
    }
}
