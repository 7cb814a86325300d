//! A rollout batch as records of an episode file.

use super::batch::RolloutBatch;
use crate::episodes::{EpisodeRecord, StepRecord};
use crate::policy::Inputs;

impl<I: Inputs> RolloutBatch<I> {
    /// The episodes as records, in order.
    pub fn records(&self) -> Vec<EpisodeRecord> {
        let mut records = Vec::with_capacity(self.episodes());
        for (group, goal) in self.goals.iter().enumerate() {
            for (number, episode) in self.data.episodes_of_group(group).enumerate() {
                let last = self.data.final_observations()[episode];
                let rows = self.data.rows_of_episode(episode);
                records.push(EpisodeRecord {
                    group: format!("g{group}"),
                    trajectory: format!("g{group}-t{number}"),
                    task: Some(goal.clone()),
                    success: self.data.success()[episode],
                    final_observation: last.map(|text| self.text(text)),
                    steps: rows.map(|row| self.step_record(row)).collect(),
                    ..EpisodeRecord::default()
                });
            }
        }
        records
    }

    fn text(&self, number: u32) -> String {
        self.data.texts()[number as usize].to_string()
    }

    fn step_record(&self, row: usize) -> StepRecord {
        StepRecord {
            observation: self.text(self.data.observations()[row]),
            action: self.actions.get(row).unwrap_or_default().to_string(),
            reward: self.data.rewards()[row],
            valid: self.data.valid()[row],
            ..StepRecord::default()
        }
    }
}
