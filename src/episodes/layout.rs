//! Offsets of groups and episodes among the rows of a batch.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};

/// Upper bound on the number of rows: kernels count rows in 32 bits and keep one bit spare.
const MAX_ROWS: usize = 1 << 31;

/// Where the groups and episodes of a batch begin among its rows, which are sorted by group, then
/// episode, then time. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The first episode of each group, and the number of episodes: `[groups + 1]`.
    groups: Arc<[usize]>,
    /// The first row of each episode, and the number of rows: `[episodes + 1]`.
    episodes: Arc<[usize]>,
}

impl Layout {
    /// Creates a layout from offsets of groups among episodes (`[groups + 1]`) and of episodes among
    /// rows (`[episodes + 1]`).
    ///
    /// # Errors
    /// Returns an error if offsets do not start at 0, decrease, or do not match each other.
    pub fn new(group_offsets: &[usize], episode_offsets: &[usize]) -> Result<Self> {
        let episodes = episode_offsets.len().saturating_sub(1);
        let rows = last_offset("episode_offsets", episode_offsets)?;
        if rows >= MAX_ROWS {
            let message = format!("expected fewer than {MAX_ROWS} rows, found {rows}");
            return Err(Error::input("episode_offsets", message));
        }
        let end = last_offset("group_offsets", group_offsets)?;
        if end != episodes {
            let message = format!(
                "expected offsets that end at {episodes}, the number of episodes, found {end}"
            );
            return Err(Error::input("group_offsets", message));
        }
        Ok(Self { groups: group_offsets.into(), episodes: episode_offsets.into() })
    }

    /// Creates a layout of groups that consist of one episode each, from offsets of groups among
    /// rows.
    ///
    /// # Errors
    /// Returns an error if the offsets do not start at 0 or decrease.
    pub fn of_groups(row_offsets: &[usize]) -> Result<Self> {
        let groups: Vec<usize> = (0..row_offsets.len()).collect();
        Self::new(&groups, row_offsets)
    }

    /// The number of groups.
    pub fn groups(&self) -> usize {
        self.groups.len() - 1
    }

    /// The number of episodes.
    pub fn episodes(&self) -> usize {
        self.episodes.len() - 1
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.episodes[self.episodes()]
    }

    /// The episodes of each group.
    pub fn group_episodes(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.groups.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// The rows of each episode.
    pub fn episode_rows(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.episodes.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// The rows of each group.
    pub fn group_rows(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.group_episodes().map(|episodes| self.rows_of(episodes))
    }

    /// The episodes of one group.
    ///
    /// # Panics
    /// Panics if `group` is not below [`Layout::groups`].
    pub fn episodes_of_group(&self, group: usize) -> Range<usize> {
        self.groups[group]..self.groups[group + 1]
    }

    /// The rows of one episode.
    ///
    /// # Panics
    /// Panics if `episode` is not below [`Layout::episodes`].
    pub fn rows_of_episode(&self, episode: usize) -> Range<usize> {
        self.episodes[episode]..self.episodes[episode + 1]
    }

    /// The rows of one group.
    ///
    /// # Panics
    /// Panics if `group` is not below [`Layout::groups`].
    pub fn rows_of_group(&self, group: usize) -> Range<usize> {
        self.rows_of(self.episodes_of_group(group))
    }

    /// The group of an episode; the last group if there is no such episode.
    pub fn group_of_episode(&self, episode: usize) -> usize {
        self.groups.partition_point(|&first| first <= episode).min(self.groups()).saturating_sub(1)
    }

    /// The episode of a row; the last episode if there is no such row.
    pub fn episode_of_row(&self, row: usize) -> usize {
        let after = self.episodes.partition_point(|&first| first <= row);
        after.min(self.episodes()).saturating_sub(1)
    }

    /// The rows of consecutive episodes.
    pub(crate) fn rows_of(&self, episodes: Range<usize>) -> Range<usize> {
        self.episodes[episodes.start]..self.episodes[episodes.end]
    }

    /// The layout of some of the groups, in the given order.
    pub(crate) fn select_groups(&self, groups: &[usize]) -> Self {
        let mut layout = Offsets::default();
        for &group in groups {
            for episode in self.episodes_of_group(group) {
                layout.push_episode(self.rows_of_episode(episode).len());
            }
            layout.end_group();
        }
        layout.finish()
    }

    /// The layout of this batch's groups followed by those of another.
    ///
    /// # Errors
    /// Returns an error if there are too many rows.
    pub(crate) fn concat(&self, other: &Self) -> Result<Self> {
        let join = |first: &[usize], second: &[usize]| -> Vec<usize> {
            let base = first.last().copied().unwrap_or(0);
            let shifted = second.iter().skip(1).map(|offset| base + offset);
            first.iter().copied().chain(shifted).collect()
        };
        Self::new(&join(&self.groups, &other.groups), &join(&self.episodes, &other.episodes))
    }

    /// Group offsets and episode offsets as kernels read them.
    #[cfg(feature = "wgpu")]
    pub(crate) fn words(&self) -> (Vec<u32>, Vec<u32>) {
        let words = |offsets: &[usize]| offsets.iter().map(|&offset| offset as u32).collect();
        (words(&self.groups), words(&self.episodes))
    }
}

impl Default for Layout {
    /// No groups.
    fn default() -> Self {
        Self { groups: [0].into(), episodes: [0].into() }
    }
}

/// Offsets that grow episode by episode.
#[derive(Debug, Clone)]
pub(super) struct Offsets {
    groups: Vec<usize>,
    episodes: Vec<usize>,
}

impl Default for Offsets {
    fn default() -> Self {
        Self { groups: vec![0], episodes: vec![0] }
    }
}

impl Offsets {
    /// Adds an episode of `rows` rows to the current group.
    pub fn push_episode(&mut self, rows: usize) {
        self.episodes.push(self.rows() + rows);
    }

    /// The number of rows so far.
    pub fn rows(&self) -> usize {
        self.episodes[self.episodes.len() - 1]
    }

    /// Ends the current group.
    pub fn end_group(&mut self) {
        self.groups.push(self.episodes.len() - 1);
    }

    /// The layout, if it does not have too many rows.
    pub fn build(&self) -> Result<Layout> {
        Layout::new(&self.groups, &self.episodes)
    }

    /// The layout of a part of another layout, which is valid as that is.
    fn finish(self) -> Layout {
        Layout { groups: self.groups.into(), episodes: self.episodes.into() }
    }
}

fn last_offset(name: &str, offsets: &[usize]) -> Result<usize> {
    match (offsets.first(), offsets.last()) {
        (Some(0), Some(&end)) if offsets.is_sorted() => Ok(end),
        _ => Err(Error::input(name, "expected offsets that start at 0 and do not decrease")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_episodes_are_ranges_of_rows() {
        let layout = Layout::new(&[0, 2, 2, 3], &[0, 2, 2, 5]).unwrap();
        assert_eq!((layout.groups(), layout.episodes(), layout.rows()), (3, 3, 5));
        assert_eq!(layout.group_rows().collect::<Vec<_>>(), [0..2, 2..2, 2..5]);
        assert_eq!(layout.episode_rows().collect::<Vec<_>>(), [0..2, 2..2, 2..5]);
        assert_eq!((layout.episodes_of_group(0), layout.rows_of_group(2)), (0..2, 2..5));
        assert_eq!(layout.rows_of_episode(1), 2..2);
        assert_eq!([0, 1, 2, 9].map(|episode| layout.group_of_episode(episode)), [0, 0, 2, 2]);
        assert_eq!([0, 1, 2, 4, 9].map(|row| layout.episode_of_row(row)), [0, 0, 2, 2, 2]);
        let single = Layout::of_groups(&[0, 3, 4]).unwrap();
        assert_eq!((single.groups(), single.episodes(), single.rows()), (2, 2, 4));
        assert_eq!(Layout::of_groups(&[0]).unwrap(), Layout::default());
    }

    #[test]
    fn groups_are_selected_and_layouts_concatenated() {
        let layout = Layout::new(&[0, 2, 2, 3], &[0, 2, 2, 5]).unwrap();
        assert_eq!(layout.select_groups(&[2, 0]), Layout::new(&[0, 1, 3], &[0, 3, 5, 5]).unwrap());
        assert_eq!(layout.select_groups(&[]), Layout::default());
        let twice = Layout::new(&[0, 2, 2, 3, 5, 5, 6], &[0, 2, 2, 5, 7, 7, 10]).unwrap();
        assert_eq!(layout.concat(&layout).unwrap(), twice);
        assert_eq!(Layout::default().concat(&layout).unwrap(), layout);
    }

    #[test]
    fn invalid_offsets_are_reported() {
        for (groups, episodes, expected) in [
            (&[0, 1][..], &[1, 2][..], "episode_offsets: expected offsets that start at 0"),
            (&[0, 1], &[], "episode_offsets: expected"),
            (&[0, 2, 1, 2], &[0, 2, 4], "group_offsets: expected offsets that start at 0"),
            (&[0, 1], &[0, 2, 4], "group_offsets: expected offsets that end at 2"),
            (&[0, 1], &[0, 1 << 31], "episode_offsets: expected fewer than 2147483648 rows"),
        ] {
            let message = Layout::new(groups, episodes).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message:?} should begin with {expected:?}");
        }
    }
}
