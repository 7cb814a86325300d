//! Groups of a batch taken out, and batches put together.

use std::collections::HashMap;

use super::batch::RolloutBatch;
use crate::policy::Inputs;

impl<I: Inputs> RolloutBatch<I> {
    /// How many groups there are.
    pub fn groups(&self) -> usize {
        self.tasks.len()
    }

    /// The summed reward of an episode.
    pub fn episode_return(&self, episode: usize) -> f64 {
        self.rewards[self.episode_rows(episode)].iter().map(|&reward| f64::from(reward)).sum()
    }

    /// Whether all of a group's episodes returned the same, so that comparing them says nothing.
    pub fn is_even(&self, group: usize) -> bool {
        let mut episodes = self.group_offsets[group]..self.group_offsets[group + 1];
        let first = episodes.next().map_or(0.0, |episode| self.episode_return(episode));
        episodes.all(|episode| self.episode_return(episode) == first)
    }

    /// Leaves only the groups that `keep` holds for. Texts that nobody refers to any more stay.
    pub fn retain_groups(&mut self, keep: impl Fn(&Self, usize) -> bool) {
        let kept: Vec<usize> = (0..self.groups()).filter(|&group| keep(self, group)).collect();
        if kept.len() == self.groups() {
            return;
        }
        let episodes: Vec<usize> = kept
            .iter()
            .flat_map(|&group| self.group_offsets[group]..self.group_offsets[group + 1])
            .collect();
        let rows: Vec<usize> =
            episodes.iter().flat_map(|&episode| self.episode_rows(episode)).collect();
        let lengths = |offsets: &[usize], chosen: &[usize]| {
            let mut ends = vec![0];
            for &one in chosen {
                ends.push(ends[ends.len() - 1] + offsets[one + 1] - offsets[one]);
            }
            ends
        };
        self.group_offsets = lengths(&self.group_offsets, &kept);
        self.episode_offsets = lengths(&self.episode_offsets, &episodes);
        self.tasks = pick(&self.tasks, &kept);
        self.goals = pick(&self.goals, &kept);
        self.success = pick(&self.success, &episodes);
        self.final_observations = pick(&self.final_observations, &episodes);
        self.rewards = pick(&self.rewards, &rows);
        self.valid = pick(&self.valid, &rows);
        self.observations = pick(&self.observations, &rows);
        self.actions = rows.iter().filter_map(|&row| self.actions.get(row)).collect();
        self.responses = self.responses.select(&rows);
        self.inputs.reorder(&rows);
    }

    /// Puts another batch's groups behind this one's.
    pub fn append(&mut self, other: Self) {
        let mut numbers: HashMap<String, u32> =
            self.texts.drain(..).zip(0..).collect::<HashMap<_, _>>();
        let mut number = |text: String| {
            let next = numbers.len() as u32;
            *numbers.entry(text).or_insert(next)
        };
        let renumbered: Vec<u32> = other.texts.into_iter().map(&mut number).collect();
        let renumber = |ids: Vec<u32>| ids.into_iter().map(|id| renumbered[id as usize]);
        self.observations.extend(renumber(other.observations));
        self.final_observations.extend(renumber(other.final_observations));
        let mut texts: Vec<(String, u32)> = numbers.into_iter().collect();
        texts.sort_unstable_by_key(|&(_, id)| id);
        self.texts = texts.into_iter().map(|(text, _)| text).collect();

        let shift = |offsets: &mut Vec<usize>, others: &[usize]| {
            let base = offsets.last().copied().unwrap_or(0);
            offsets.extend(others.iter().skip(1).map(|offset| base + offset));
        };
        shift(&mut self.group_offsets, &other.group_offsets);
        shift(&mut self.episode_offsets, &other.episode_offsets);
        self.tasks.extend(other.tasks);
        self.goals.extend(other.goals);
        self.success.extend(other.success);
        self.rewards.extend(other.rewards);
        self.valid.extend(other.valid);
        for row in 0..other.actions.len() {
            self.actions.push(other.actions.get(row).unwrap_or_default());
        }
        self.responses.append(&other.responses);
        self.inputs.append(other.inputs);
        self.errors.extend(other.errors);
    }
}

fn pick<T: Clone>(all: &[T], chosen: &[usize]) -> Vec<T> {
    chosen.iter().map(|&one| all[one].clone()).collect()
}
