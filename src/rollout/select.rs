//! Selecting groups of a rollout batch and concatenating batches.

use super::batch::RolloutBatch;
use crate::error::Result;
use crate::policy::Inputs;

impl<I: Inputs> RolloutBatch<I> {
    /// Whether a group has zero variance: all its episodes have the same return, so comparing them
    /// gives no information.
    pub fn is_zero_variance(&self, group: usize) -> bool {
        self.data.is_zero_variance(group)
    }

    /// Keeps the groups for which `keep` holds. Texts that are no longer referred to are kept.
    pub fn retain_groups(&mut self, keep: impl Fn(&Self, usize) -> bool) {
        let kept: Vec<usize> = (0..self.groups()).filter(|&group| keep(self, group)).collect();
        if kept.len() == self.groups() {
            return;
        }
        let rows: Vec<usize> =
            kept.iter().flat_map(|&group| self.data.rows_of_group(group)).collect();
        let episodes: Vec<usize> =
            kept.iter().flat_map(|&group| self.data.episodes_of_group(group)).collect();
        self.left_out = (0..rows.len())
            .filter(|&row| self.left_out.binary_search(&rows[row]).is_ok())
            .collect();
        self.tasks = pick(&self.tasks, &kept);
        self.ends = pick(&self.ends, &episodes);
        self.goals = pick(&self.goals, &kept);
        self.data = self.data.select_groups(&kept);
        self.actions = rows.iter().filter_map(|&row| self.actions.get(row)).collect();
        self.responses = self.responses.select(&rows);
        self.inputs.reorder(&rows);
    }

    /// Appends another batch's groups.
    ///
    /// # Errors
    /// Returns an error if there are too many rows.
    pub fn append(&mut self, other: Self) -> Result<()> {
        let rows = self.rows();
        self.left_out.extend(other.left_out.iter().map(|row| row + rows));
        self.data = self.data.concat(&other.data)?;
        self.tasks.extend(other.tasks);
        self.goals.extend(other.goals);
        for row in 0..other.actions.len() {
            self.actions.push(other.actions.get(row).unwrap_or_default());
        }
        self.responses.append(&other.responses);
        self.inputs.append(other.inputs);
        self.ends.extend(other.ends);
        self.errors.extend(other.errors);
        self.replayed.extend(other.replayed);
        self.usage.add(&other.usage);
        Ok(())
    }
}

fn pick<T: Clone>(all: &[T], chosen: &[usize]) -> Vec<T> {
    chosen.iter().map(|&one| all[one].clone()).collect()
}
