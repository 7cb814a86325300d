//! What credit assignment reads: the rows of one iteration.

use std::ops::Range;

use crate::error::{Error, Result};

/// The rows of one iteration as a struct of arrays: one row a step, sorted by group, then episode,
/// then time. Offsets say where groups and episodes begin, so nothing is searched.
#[derive(Debug, Clone, Copy)]
pub struct CreditBatch<'a> {
    /// Where each group begins among the episodes, and the end: `[groups + 1]`.
    pub group_offsets: &'a [usize],
    /// Where each episode begins among the rows, and the end: `[episodes + 1]`.
    pub episode_offsets: &'a [usize],
    /// The reward of each step, up to 1e30 in size: `[rows]`.
    pub rewards: &'a [f32],
    /// Whether each episode reached its goal: `[episodes]`.
    pub success: &'a [bool],
    /// Whether the action of each step was an admissible one: `[rows]`.
    pub valid: &'a [bool],
    /// The observation that each step acted on, as an index into `texts`: `[rows]`. Rows with the
    /// same text must have the same index.
    pub observations: &'a [u32],
    /// The distinct observations.
    pub texts: &'a [&'a str],
    /// The observation after each episode's last step, as an index into `texts`: `[episodes]`.
    /// Only GraphGPO asks for it.
    pub final_observations: Option<&'a [u32]>,
    /// Embeddings that the caller brings, for `embedding = "given"`.
    pub embeddings: Option<Embeddings<'a>>,
}

/// Embeddings from outside, row after row. They need not have unit length.
#[derive(Debug, Clone, Copy)]
pub enum Embeddings<'a> {
    /// One of `width` numbers for each text: `[texts, width]`.
    Texts {
        /// The numbers.
        values: &'a [f32],
        /// How many there are to an embedding.
        width: usize,
    },
    /// One of `width` numbers for each step: `[rows, width]`. Steps with the same observation may
    /// differ, as where the embedding knows the steps before.
    Steps {
        /// The numbers.
        values: &'a [f32],
        /// How many there are to an embedding.
        width: usize,
    },
}

impl CreditBatch<'_> {
    /// How many groups there are.
    pub fn groups(&self) -> usize {
        self.group_offsets.len().saturating_sub(1)
    }

    /// How many episodes there are.
    pub fn episodes(&self) -> usize {
        self.episode_offsets.len().saturating_sub(1)
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rewards.len()
    }

    /// The episodes of a group.
    pub fn group_episodes(&self, group: usize) -> Range<usize> {
        self.group_offsets[group]..self.group_offsets[group + 1]
    }

    /// The rows of an episode.
    pub fn episode_rows(&self, episode: usize) -> Range<usize> {
        self.episode_offsets[episode]..self.episode_offsets[episode + 1]
    }

    /// The rows of a group.
    pub fn group_rows(&self, group: usize) -> Range<usize> {
        let episodes = self.group_episodes(group);
        self.episode_offsets[episodes.start]..self.episode_offsets[episodes.end]
    }

    /// The total reward of an episode.
    pub fn total_reward(&self, episode: usize) -> f64 {
        self.rewards[self.episode_rows(episode)].iter().map(|&reward| f64::from(reward)).sum()
    }
}

/// The largest reward in size: beyond use, and its sums and squares are safe from overflow in 64 bits.
pub const MAX_REWARD: f32 = 1e30;

/// Checks that the arrays of a batch fit each other and hold only finite numbers, rewards of up to
/// 1e30 in size.
///
/// # Errors
/// Names the first array that does not fit, and what was expected of it.
pub fn check(batch: &CreditBatch) -> Result<()> {
    offsets("group_offsets", batch.group_offsets, batch.episodes(), "episodes")?;
    offsets("episode_offsets", batch.episode_offsets, batch.rows(), "rows")?;
    length("success", batch.success.len(), batch.episodes(), "episodes")?;
    length("valid", batch.valid.len(), batch.rows(), "rows")?;
    length("observations", batch.observations.len(), batch.rows(), "rows")?;
    bounded("rewards", batch.rewards, MAX_REWARD)?;
    indices("observations", batch.observations, batch.texts.len())?;
    if let Some(last) = batch.final_observations {
        length("final_observations", last.len(), batch.episodes(), "episodes")?;
        indices("final_observations", last, batch.texts.len())?;
    }
    match batch.embeddings {
        Some(Embeddings::Texts { values, width }) => {
            matrix(values, width, batch.texts.len(), "texts")
        }
        Some(Embeddings::Steps { values, width }) => matrix(values, width, batch.rows(), "rows"),
        None => Ok(()),
    }
}

fn offsets(name: &str, offsets: &[usize], end: usize, of: &str) -> Result<()> {
    let rising = offsets.windows(2).all(|pair| pair[0] <= pair[1]);
    if rising && offsets.first() == Some(&0) && offsets.last() == Some(&end) {
        return Ok(());
    }
    Err(Error::input(name, format!("expected offsets rising from 0 to {end}, the number of {of}")))
}

fn length(name: &str, found: usize, expected: usize, of: &str) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::input(name, format!("has {found} entries, expected {expected}, one for each {of}")))
}

/// Refuses what is not a number, infinite or beyond `most` in either direction.
fn bounded(name: &str, values: &[f32], most: f32) -> Result<()> {
    match values.iter().enumerate().find(|(_, value)| !(-most..=most).contains(*value)) {
        None => Ok(()),
        Some((at, value)) => {
            let message = format!("is {value}, expected a number from {:e} to {most:e}", -most);
            Err(Error::input(format!("{name}[{at}]"), message))
        }
    }
}

fn indices(name: &str, indices: &[u32], texts: usize) -> Result<()> {
    match indices.iter().position(|&index| index as usize >= texts) {
        None => Ok(()),
        Some(at) => Err(Error::input(
            format!("{name}[{at}]"),
            format!("names text {}, but there are {texts} texts", indices[at]),
        )),
    }
}

fn matrix(values: &[f32], width: usize, rows: usize, of: &str) -> Result<()> {
    if rows.checked_mul(width) != Some(values.len()) || width == 0 {
        return Err(Error::input(
            "embeddings",
            format!("has {} numbers, expected {rows} {of} of {width} (at least 1)", values.len()),
        ));
    }
    bounded("embeddings", values, f32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: CreditBatch = CreditBatch {
        group_offsets: &[0, 2],
        episode_offsets: &[0, 2, 3],
        rewards: &[0.0, 1.0, 0.0],
        success: &[true, false],
        valid: &[true; 3],
        observations: &[0, 1, 0],
        texts: &["hall", "kitchen"],
        final_observations: Some(&[1, 0]),
        embeddings: Some(Embeddings::Steps { values: &[0.0; 6], width: 2 }),
    };

    #[test]
    fn a_sound_batch_passes_and_is_cut_into_groups_and_episodes() {
        check(&GOOD).unwrap();
        assert_eq!((GOOD.groups(), GOOD.episodes(), GOOD.rows()), (1, 2, 3));
        assert_eq!((GOOD.episode_rows(1), GOOD.group_rows(0)), (2..3, 0..3));
        assert_eq!(GOOD.total_reward(0), 1.0);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let rewards: &[f32] = &[0.0, f32::NAN, 0.0];
        let short = Some(Embeddings::Texts { values: &[0.0; 3], width: 2 });
        for (batch, expected) in [
            (CreditBatch { group_offsets: &[0, 3], ..GOOD }, "group_offsets: expected offsets"),
            (CreditBatch { group_offsets: &[], ..GOOD }, "group_offsets: expected offsets"),
            (CreditBatch { episode_offsets: &[0, 3, 2], ..GOOD }, "episode_offsets: expected"),
            (CreditBatch { success: &[true], ..GOOD }, "success: has 1 entries, expected 2"),
            (CreditBatch { valid: &[true], ..GOOD }, "valid: has 1 entries, expected 3"),
            (CreditBatch { observations: &[0], ..GOOD }, "observations: has 1 entries"),
            (CreditBatch { observations: &[0, 2, 0], ..GOOD }, "observations[1]: names text 2"),
            (CreditBatch { final_observations: Some(&[0]), ..GOOD }, "final_observations: has 1"),
            (
                CreditBatch { rewards, ..GOOD },
                "rewards[1]: is NaN, expected a number from -1e30 to 1e30",
            ),
            (CreditBatch { embeddings: short, ..GOOD }, "embeddings: has 3 numbers"),
        ] {
            let message = check(&batch).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message:?} should begin with {expected:?}");
        }
    }
}
