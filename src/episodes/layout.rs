//! Where groups and episodes lie among the rows.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};

/// The most rows a layout can have: kernels count them in 32 bits, with a bit to spare.
const MAX_ROWS: usize = 1 << 31;

/// Where groups and episodes lie among the rows of a batch, which are sorted by group, then episode,
/// then time. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Where each group begins among the episodes, and the end: `[groups + 1]`.
    groups: Arc<[usize]>,
    /// Where each episode begins among the rows, and the end: `[episodes + 1]`.
    episodes: Arc<[usize]>,
}

impl Layout {
    /// From offsets of groups among episodes (`[groups + 1]`) and of episodes among rows
    /// (`[episodes + 1]`).
    ///
    /// # Errors
    /// Where offsets do not begin at 0, fall, or do not fit each other.
    pub fn new(group_offsets: &[usize], episode_offsets: &[usize]) -> Result<Self> {
        let episodes = episode_offsets.len().saturating_sub(1);
        let rows = rising("episode_offsets", episode_offsets)?;
        if rows >= MAX_ROWS {
            let message = format!("ends at {rows} rows, expected fewer than {MAX_ROWS}");
            return Err(Error::input("episode_offsets", message));
        }
        if rising("group_offsets", group_offsets)? != episodes {
            let message =
                format!("expected offsets that end at {episodes}, the episodes there are");
            return Err(Error::input("group_offsets", message));
        }
        Ok(Self { groups: group_offsets.into(), episodes: episode_offsets.into() })
    }

    /// From offsets of groups among rows, where nothing is known of episodes: each group is one.
    ///
    /// # Errors
    /// Where the offsets do not begin at 0, or fall.
    pub fn of_groups(row_offsets: &[usize]) -> Result<Self> {
        let groups: Vec<usize> = (0..row_offsets.len()).collect();
        Self::new(&groups, row_offsets)
    }

    /// How many groups there are.
    pub fn groups(&self) -> usize {
        self.groups.len() - 1
    }

    /// How many episodes there are.
    pub fn episodes(&self) -> usize {
        self.episodes.len() - 1
    }

    /// How many rows there are.
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

    /// The rows of a run of episodes.
    pub(crate) fn rows_of(&self, episodes: Range<usize>) -> Range<usize> {
        self.episodes[episodes.start]..self.episodes[episodes.end]
    }

    /// Group offsets, then episode offsets, as kernels read them.
    #[cfg(feature = "wgpu")]
    pub(crate) fn words(&self) -> (Vec<u32>, Vec<u32>) {
        let words = |offsets: &[usize]| offsets.iter().map(|&offset| offset as u32).collect();
        (words(&self.groups), words(&self.episodes))
    }
}

fn rising(name: &str, offsets: &[usize]) -> Result<usize> {
    match (offsets.first(), offsets.last()) {
        (Some(0), Some(&end)) if offsets.is_sorted() => Ok(end),
        _ => Err(Error::input(name, "expected offsets that rise from 0")),
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
        let alone = Layout::of_groups(&[0, 3, 4]).unwrap();
        assert_eq!((alone.groups(), alone.episodes(), alone.rows()), (2, 2, 4));
        assert_eq!(Layout::of_groups(&[0]).unwrap().rows(), 0);
    }

    #[test]
    fn offsets_that_do_not_fit_are_named() {
        for (groups, episodes, expected) in [
            (&[0, 1][..], &[1, 2][..], "episode_offsets: expected offsets that rise from 0"),
            (&[0, 1], &[], "episode_offsets: expected"),
            (&[0, 2, 1, 2], &[0, 2, 4], "group_offsets: expected offsets that rise"),
            (&[0, 1], &[0, 2, 4], "group_offsets: expected offsets that end at 2"),
            (&[0, 1], &[0, 1 << 31], "episode_offsets: ends at 2147483648 rows"),
        ] {
            let message = Layout::new(groups, episodes).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message:?} should begin with {expected:?}");
        }
    }
}
