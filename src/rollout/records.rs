//! A rollout batch as records of an episode file.

use super::batch::RolloutBatch;
use crate::episodes::{EpisodeRecord, OtherFields, StepRecord};
use crate::policy::Inputs;

impl<I: Inputs> RolloutBatch<I> {
    /// The episodes as records, in order, with the values of states if there are any.
    pub fn records(&self) -> Vec<EpisodeRecord> {
        let of_group = |group| {
            let numbers = 0..self.data.episodes_of_group(group).len();
            numbers.map(move |number| self.record(group, number))
        };
        (0..self.groups()).flat_map(of_group).collect()
    }

    /// The last episode as a record; `None` if there is no episode.
    pub fn last_record(&self) -> Option<EpisodeRecord> {
        (0..self.groups()).rev().find_map(|group| {
            let number = self.data.episodes_of_group(group).len().checked_sub(1)?;
            Some(self.record(group, number))
        })
    }

    /// The episode with a number within its group.
    fn record(&self, group: usize, number: usize) -> EpisodeRecord {
        let episode = self.data.episodes_of_group(group).start + number;
        let last = self.data.final_observations()[episode];
        let rows = self.data.rows_of_episode(episode);
        let end = self.data.values().map(|values| values.ends[episode]);
        EpisodeRecord {
            group: format!("g{group}"),
            trajectory: format!("g{group}-t{number}"),
            task: Some(self.goals[group].clone()),
            success: self.data.has_success().then_some(self.data.success()[episode]),
            final_observation: last.map(|text| self.text(text)),
            steps: rows.map(|row| self.step_record(row)).collect(),
            other: OtherFields::of_number("final_value", end),
        }
    }

    fn text(&self, number: u32) -> String {
        self.data.texts()[number as usize].to_string()
    }

    fn step_record(&self, row: usize) -> StepRecord {
        let value = self.data.values().map(|values| values.states[row]);
        StepRecord {
            observation: self.text(self.data.observations()[row]),
            action: self.actions.get(row).unwrap_or_default().to_string(),
            reward: self.data.rewards()[row],
            valid: self.data.valid()[row],
            other: OtherFields::of_number("value", value),
            ..StepRecord::default()
        }
    }
}
