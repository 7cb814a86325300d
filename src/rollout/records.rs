//! A batch's episodes as the records of an episode file.

use serde_json::Map;

use super::batch::RolloutBatch;
use crate::episodes::{EpisodeRecord, StepRecord};
use crate::policy::Inputs;

impl<I: Inputs> RolloutBatch<I> {
    /// The batch's episodes as records, in order.
    pub fn records(&self) -> Vec<EpisodeRecord> {
        let mut records = Vec::with_capacity(self.episodes());
        for (group, goal) in self.goals.iter().enumerate() {
            for episode in self.group_offsets[group]..self.group_offsets[group + 1] {
                let number = episode - self.group_offsets[group];
                records.push(EpisodeRecord {
                    group: format!("g{group}"),
                    trajectory: format!("g{group}-t{number}"),
                    task: Some(goal.clone()),
                    success: self.success[episode],
                    final_observation: Some(self.text(self.final_observations[episode])),
                    steps: self.episode_rows(episode).map(|row| self.step_record(row)).collect(),
                    other: Map::new(),
                });
            }
        }
        records
    }

    fn text(&self, id: u32) -> String {
        self.texts.get(id as usize).cloned().unwrap_or_default()
    }

    fn step_record(&self, row: usize) -> StepRecord {
        StepRecord {
            observation: self.text(self.observations[row]),
            action: self.actions.get(row).unwrap_or_default().to_string(),
            reward: f64::from(self.rewards[row]),
            valid: self.valid[row],
            embedding: None,
            other: Map::new(),
        }
    }
}
