//! The episodes of one iteration as arrays.

use std::ops::Range;
use std::sync::Arc;

use super::layout::Layout;
use super::texts::TextTable;
use super::values::Values;
use crate::error::{Error, Result};

/// The largest absolute value of a reward. Sums of squares of such rewards do not overflow 64-bit
/// floats.
pub const MAX_REWARD: f64 = 1e30;

/// The episodes of one iteration: one row a step, sorted by group, then episode, then time.
///
/// A batch is checked when it is built: its arrays have matching lengths, indices are in range and
/// numbers are finite. It is immutable and cheap to clone.
///
/// ```
/// use proxmo::episodes::{Batch, Episode};
///
/// let batch = Batch::builder()
///     .group([
///         Episode::new().step("the hall", 0.0).step("the study", 1.0).success(true),
///         Episode::new().step("the hall", 0.0),
///     ])
///     .build()?;
/// assert_eq!((batch.groups(), batch.episodes(), batch.rows()), (1, 2, 3));
/// assert_eq!(batch.observations(), [0, 1, 0]);
/// # Ok::<(), proxmo::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    pub(super) layout: Layout,
    /// `[rows]`.
    pub(super) rewards: Arc<[f64]>,
    /// `[rows]`.
    pub(super) valid: Arc<[bool]>,
    /// `[rows]`, into `texts`.
    pub(super) observations: Arc<[u32]>,
    /// `[episodes]`.
    pub(super) success: Arc<[bool]>,
    /// Whether every episode came with its success.
    pub(super) has_success: bool,
    /// `[episodes]`, into `texts`.
    pub(super) final_observations: Arc<[Option<u32>]>,
    pub(super) texts: Arc<[Arc<str>]>,
    /// Whether every observation has a text.
    pub(super) has_texts: bool,
    pub(super) embeddings: Option<Arc<Embeddings>>,
    pub(super) values: Option<Arc<Values>>,
}

/// Embeddings of observations, row-major. They need not have unit length.
#[derive(Debug, Clone, PartialEq)]
pub enum Embeddings {
    /// One for each distinct text: `[texts, width]`.
    Texts {
        /// The numbers.
        values: Vec<f32>,
        /// The dimension of an embedding.
        width: usize,
    },
    /// One for each step: `[rows, width]`. Steps with the same observation may differ, for example
    /// if the embedding depends on earlier steps.
    Steps {
        /// The numbers.
        values: Vec<f32>,
        /// The dimension of an embedding.
        width: usize,
    },
}

impl Default for Batch {
    /// No groups.
    fn default() -> Self {
        Self {
            layout: Layout::default(),
            rewards: Arc::default(),
            valid: Arc::default(),
            observations: Arc::default(),
            success: Arc::default(),
            has_success: true,
            final_observations: Arc::default(),
            texts: Arc::default(),
            has_texts: true,
            embeddings: None,
            values: None,
        }
    }
}

impl Batch {
    /// Where groups and episodes begin among the rows.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The number of groups.
    pub fn groups(&self) -> usize {
        self.layout.groups()
    }

    /// The number of episodes.
    pub fn episodes(&self) -> usize {
        self.layout.episodes()
    }

    /// The number of rows, which are steps.
    pub fn rows(&self) -> usize {
        self.layout.rows()
    }

    /// The episodes of a group.
    ///
    /// # Panics
    /// Panics if `group` is not below [`Batch::groups`].
    pub fn episodes_of_group(&self, group: usize) -> Range<usize> {
        self.layout.episodes_of_group(group)
    }

    /// The rows of an episode.
    ///
    /// # Panics
    /// Panics if `episode` is not below [`Batch::episodes`].
    pub fn rows_of_episode(&self, episode: usize) -> Range<usize> {
        self.layout.rows_of_episode(episode)
    }

    /// The rows of a group.
    ///
    /// # Panics
    /// Panics if `group` is not below [`Batch::groups`].
    pub fn rows_of_group(&self, group: usize) -> Range<usize> {
        self.layout.rows_of_group(group)
    }

    /// The reward of each step, at most [`MAX_REWARD`] in absolute value: `[rows]`.
    pub fn rewards(&self) -> &[f64] {
        &self.rewards
    }

    /// Whether the action of each step was admissible: `[rows]`.
    pub fn valid(&self) -> &[bool] {
        &self.valid
    }

    /// The observation before each step's action, as an index into [`Batch::texts`]: `[rows]`. Rows
    /// with the same observation have the same index.
    pub fn observations(&self) -> &[u32] {
        &self.observations
    }

    /// The distinct observations. An observation that came as an embedding alone has an empty text.
    pub fn texts(&self) -> &[Arc<str>] {
        &self.texts
    }

    /// Whether every observation has a text. False if a step came with an embedding alone.
    pub fn has_texts(&self) -> bool {
        self.has_texts
    }

    /// Whether each episode is known to have reached its goal: `[episodes]`.
    pub fn success(&self) -> &[bool] {
        &self.success
    }

    /// Whether every episode came with its success. Otherwise nothing is modulated by success.
    pub fn has_success(&self) -> bool {
        self.has_success
    }

    /// The observation after each episode's last step, if known, as an index into
    /// [`Batch::texts`]: `[episodes]`.
    pub fn final_observations(&self) -> &[Option<u32>] {
        &self.final_observations
    }

    /// The embeddings that came with the steps, if any.
    pub fn embeddings(&self) -> Option<&Embeddings> {
        self.embeddings.as_deref()
    }

    /// The sum of an episode's rewards.
    ///
    /// # Panics
    /// Panics if `episode` is not below [`Batch::episodes`].
    pub fn total_reward(&self, episode: usize) -> f64 {
        self.rewards[self.rows_of_episode(episode)].iter().sum()
    }

    /// The sum of the rewards of each episode of a group: `[episodes of the group]`. Sums that differ by
    /// rounding alone, as `0.1 + 0.1 + 0.1` and `0.3` do, are equal.
    ///
    /// # Panics
    /// Panics if `group` is not below [`Batch::groups`].
    pub fn total_rewards(&self, group: usize) -> Vec<f64> {
        let mut totals: Vec<f64> =
            self.episodes_of_group(group).map(|episode| self.total_reward(episode)).collect();
        let magnitude = |episode: usize| -> f64 {
            self.rewards[self.rows_of_episode(episode)].iter().map(|reward| reward.abs()).sum()
        };
        let largest = self.episodes_of_group(group).map(magnitude).fold(0.0, f64::max);
        if let Some(&first) = totals.first()
            && equal_within_rounding(&totals, largest)
        {
            totals.fill(first);
        }
        totals
    }

    /// Whether a group has zero variance: all its episodes have the same total reward, so comparing
    /// them gives no information.
    ///
    /// # Panics
    /// Panics if `group` is not below [`Batch::groups`].
    pub fn is_zero_variance(&self, group: usize) -> bool {
        let totals = self.total_rewards(group);
        totals.iter().all(|&total| total == totals[0])
    }

    /// The same batch with other rewards, `[rows]`. Nothing but the rewards is copied.
    ///
    /// # Errors
    /// Returns an error if there is not one reward for each row, or if a reward is NaN or larger than
    /// [`MAX_REWARD`].
    pub fn with_rewards(&self, rewards: Vec<f64>) -> Result<Self> {
        if rewards.len() != self.rows() {
            let message = format!(
                "expected {} numbers, one for each row, found {}",
                self.rows(),
                rewards.len()
            );
            return Err(Error::input("rewards", message));
        }
        let batch = Self { rewards: rewards.into(), ..self.clone() };
        batch.check_rewards()?;
        Ok(batch)
    }

    /// The same batch with these embeddings.
    ///
    /// # Errors
    /// Returns an error if there is not one embedding for each row or text, or if a number is NaN or
    /// infinite.
    pub fn with_embeddings(&self, embeddings: Embeddings) -> Result<Self> {
        let batch = Self { embeddings: Some(Arc::new(embeddings)), ..self.clone() };
        batch.check_embeddings()?;
        Ok(batch)
    }

    /// Some of the groups, in the given order. Texts that are no longer referred to are kept.
    ///
    /// # Panics
    /// Panics if one of `groups` is not below [`Batch::groups`].
    pub fn select_groups(&self, groups: &[usize]) -> Self {
        let episodes: Vec<usize> =
            groups.iter().flat_map(|&group| self.episodes_of_group(group)).collect();
        let rows: Vec<usize> =
            episodes.iter().flat_map(|&episode| self.rows_of_episode(episode)).collect();
        let embeddings = self.embeddings.as_ref().map(|embeddings| match &**embeddings {
            Embeddings::Texts { .. } => embeddings.clone(),
            Embeddings::Steps { values, width } => {
                let row = |&row: &usize| &values[row * width..(row + 1) * width];
                let values = rows.iter().flat_map(row).copied().collect();
                Arc::new(Embeddings::Steps { values, width: *width })
            }
        });
        Self {
            layout: self.layout.select_groups(groups),
            rewards: pick(&self.rewards, &rows),
            valid: pick(&self.valid, &rows),
            observations: pick(&self.observations, &rows),
            success: pick(&self.success, &episodes),
            has_success: self.has_success,
            final_observations: pick(&self.final_observations, &episodes),
            texts: self.texts.clone(),
            has_texts: self.has_texts,
            embeddings,
            values: self.values().map(|values| Arc::new(values.select(&rows, &episodes))),
        }
    }

    /// This batch's groups followed by those of another. Embeddings are dropped, and values too unless
    /// both batches have them.
    ///
    /// # Errors
    /// Returns an error if there are too many rows.
    pub fn concat(&self, other: &Self) -> Result<Self> {
        let mut table = TextTable::starting_with(&self.texts);
        let numbers: Vec<u32> = other
            .texts
            .iter()
            .map(|text| match other.has_texts {
                true => table.intern_shared(text),
                false => table.push_unnamed(text),
            })
            .collect();
        let observations = other.observations.iter().map(|&text| numbers[text as usize]);
        let values = self.values().zip(other.values());
        let last = other.final_observations.iter();
        let last = last.map(|text| text.map(|text| numbers[text as usize]));
        Ok(Self {
            layout: self.layout.concat(&other.layout)?,
            rewards: join(&self.rewards, other.rewards.iter().copied()),
            valid: join(&self.valid, other.valid.iter().copied()),
            observations: join(&self.observations, observations),
            success: join(&self.success, other.success.iter().copied()),
            has_success: self.has_success && other.has_success,
            final_observations: join(&self.final_observations, last),
            texts: table.into_texts(),
            has_texts: self.has_texts && other.has_texts,
            embeddings: None,
            values: values.map(|(first, second)| Arc::new(first.join(second))),
        })
    }

    /// The path of a row in messages: `groups[0].episodes[1].steps[2]`.
    pub(crate) fn path(&self, row: usize) -> String {
        let episode = self.layout.episode_of_row(row);
        let group = self.layout.group_of_episode(episode);
        format!(
            "groups[{group}].episodes[{}].steps[{}]",
            episode - self.episodes_of_group(group).start,
            row - self.rows_of_episode(episode).start
        )
    }

    /// Checks that every reward is a number of at most [`MAX_REWARD`].
    pub(super) fn check_rewards(&self) -> Result<()> {
        let fits = |reward: &f64| (-MAX_REWARD..=MAX_REWARD).contains(reward);
        match self.rewards.iter().position(|reward| !fits(reward)) {
            None => Ok(()),
            Some(row) => {
                let place = format!("{}.reward", self.path(row));
                Err(Error::input(place, unfit_reward(self.rewards[row])))
            }
        }
    }

    /// Checks the embeddings' shape and that every number is finite.
    pub(super) fn check_embeddings(&self) -> Result<()> {
        let Some(embeddings) = &self.embeddings else { return Ok(()) };
        let (values, width, expected, of) = match &**embeddings {
            Embeddings::Texts { values, width } => (values, *width, self.texts.len(), "text"),
            Embeddings::Steps { values, width } => (values, *width, self.rows(), "row"),
        };
        if width == 0 || expected.checked_mul(width) != Some(values.len()) {
            let message = format!(
                "expected {expected} embeddings of {width} numbers, one for each {of}, found {} \
                 numbers",
                values.len()
            );
            return Err(Error::input("embeddings", message));
        }
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(at) => {
                let place = match &**embeddings {
                    Embeddings::Texts { .. } => format!("embeddings[{}]", at / width),
                    Embeddings::Steps { .. } => format!("{}.embedding", self.path(at / width)),
                };
                let message = format!("expected finite numbers, found {}", values[at]);
                Err(Error::input(format!("{place}[{}]", at % width), message))
            }
        }
    }
}

/// The message for a reward that is NaN or too large.
pub(super) fn unfit_reward(reward: f64) -> String {
    format!("expected a number from {:e} to {MAX_REWARD:e}, found {reward:e}", -MAX_REWARD)
}

/// Values that differ by less than this share of the largest magnitude differ by rounding alone.
pub(crate) const ROUNDING: f64 = 1e-12;

/// Whether all values are equal but for rounding, where numbers of up to `magnitude` were added up.
pub(crate) fn equal_within_rounding(values: &[f64], magnitude: f64) -> bool {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most - least <= ROUNDING * magnitude
}

fn pick<T: Clone>(all: &[T], chosen: &[usize]) -> Arc<[T]> {
    chosen.iter().map(|&one| all[one].clone()).collect()
}

fn join<T: Copy>(first: &[T], second: impl Iterator<Item = T>) -> Arc<[T]> {
    first.iter().copied().chain(second).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::episodes::Episode;

    fn batch() -> Batch {
        Batch::builder()
            .group([Episode::new().step("hall", 0.0).step("attic", 1.0).success(true)])
            .group([])
            .group([Episode::new(), Episode::new().step("hall", 0.5).final_observation("cellar")])
            .build()
            .unwrap()
    }

    #[test]
    fn rewards_are_replaced_and_nothing_else() {
        let batch = batch();
        let other = batch.with_rewards(vec![1.0, 2.0, 3.0]).unwrap();
        assert_eq!((other.rewards(), other.total_reward(0)), (&[1.0, 2.0, 3.0][..], 3.0));
        assert!(Arc::ptr_eq(&batch.texts, &other.texts));
        for (rewards, expected) in [
            (vec![0.0], "rewards: expected 3 numbers, one for each row, found 1"),
            (
                vec![0.0, 0.0, f64::NAN],
                "groups[2].episodes[1].steps[0].reward: expected a number from -1e30 to 1e30, found \
                 NaN",
            ),
        ] {
            assert_eq!(batch.with_rewards(rewards).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn embeddings_have_the_batchs_shape_and_finite_numbers() {
        let batch = batch();
        let values = vec![0.5; 6];
        let given = batch.with_embeddings(Embeddings::Texts { values, width: 2 }).unwrap();
        assert!(matches!(given.embeddings(), Some(Embeddings::Texts { width: 2, .. })));
        let refused = |embeddings| batch.with_embeddings(embeddings).unwrap_err().to_string();
        let short = refused(Embeddings::Steps { values: vec![0.0; 5], width: 2 });
        assert_eq!(
            short,
            "embeddings: expected 3 embeddings of 2 numbers, one for each row, found 5 numbers"
        );
        let infinite =
            refused(Embeddings::Steps { values: vec![0.0, 0.0, f32::INFINITY], width: 1 });
        assert_eq!(
            infinite,
            "groups[2].episodes[1].steps[0].embedding[0]: expected finite numbers, found inf"
        );
        refused(Embeddings::Texts { values: vec![], width: 0 });
    }

    #[test]
    fn groups_are_selected_and_batches_concatenated() {
        let values = vec![1.0, 2.0, 3.0];
        let batch = batch().with_embeddings(Embeddings::Steps { values, width: 1 }).unwrap();
        let some = batch.select_groups(&[2, 0]);
        assert_eq!((some.groups(), some.episodes(), some.rows()), (2, 3, 3));
        assert_eq!(
            (some.rewards(), some.success()),
            (&[0.5, 0.0, 1.0][..], &[false, false, true][..])
        );
        assert_eq!(some.final_observations(), [None, Some(2), None]);
        let values = vec![3.0, 1.0, 2.0];
        assert_eq!(some.embeddings(), Some(&Embeddings::Steps { values, width: 1 }));

        let other = Batch::builder().group([Episode::new().step("cellar", 0.0).step("roof", 0.0)]);
        let both = batch.concat(&other.build().unwrap()).unwrap();
        assert_eq!((both.groups(), both.rows()), (4, 5));
        assert_eq!(both.observations(), [0, 1, 0, 2, 3]);
        assert_eq!(
            both.texts().iter().map(|text| &**text).collect::<Vec<_>>(),
            ["hall", "attic", "cellar", "roof"]
        );
        assert_eq!(Batch::default().concat(&both).unwrap(), both);
    }
}
