//! Building a batch episode by episode.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::batch::{Batch, Embeddings};
use super::layout::Offsets;
use super::texts::TextTable;
use crate::error::{Error, Result};

/// One step of an [`Episode`].
#[derive(Debug, Clone, PartialEq)]
pub struct Step<'a> {
    observation: Option<Cow<'a, str>>,
    embedding: Option<Cow<'a, [f32]>>,
    reward: f64,
    valid: bool,
}

impl<'a> Step<'a> {
    /// A step from `observation` with `reward`. Its action is admissible.
    pub fn new(observation: impl Into<Cow<'a, str>>, reward: f64) -> Self {
        Self { observation: Some(observation.into()), embedding: None, reward, valid: true }
    }

    /// A step whose observation is known by its embedding alone. Steps with equal embeddings have the
    /// same observation.
    pub fn from_embedding(embedding: impl Into<Cow<'a, [f32]>>, reward: f64) -> Self {
        Self { observation: None, embedding: Some(embedding.into()), reward, valid: true }
    }

    /// Sets an embedding of the observation. All steps of a batch have one of the same length, or
    /// none.
    pub fn embedding(self, embedding: impl Into<Cow<'a, [f32]>>) -> Self {
        Self { embedding: Some(embedding.into()), ..self }
    }

    /// Sets whether the action was admissible.
    pub fn valid(self, valid: bool) -> Self {
        Self { valid, ..self }
    }
}

/// One episode for a [`BatchBuilder`]. A new episode is a failure without steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Episode<'a> {
    steps: Vec<Step<'a>>,
    success: Option<bool>,
    final_observation: Option<Cow<'a, str>>,
}

impl Default for Episode<'_> {
    fn default() -> Self {
        Self { steps: Vec::new(), success: Some(false), final_observation: None }
    }
}

impl<'a> Episode<'a> {
    /// An episode without steps.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a step from `observation` with `reward`. Its action is admissible.
    pub fn step(self, observation: impl Into<Cow<'a, str>>, reward: f64) -> Self {
        self.steps([Step::new(observation, reward)])
    }

    /// Appends steps.
    pub fn steps(mut self, steps: impl IntoIterator<Item = Step<'a>>) -> Self {
        self.steps.extend(steps);
        self
    }

    /// Appends a step.
    pub fn push(&mut self, step: Step<'a>) {
        self.steps.push(step);
    }

    /// Sets whether the episode reached its goal.
    pub fn success(self, success: bool) -> Self {
        Self { success: Some(success), ..self }
    }

    /// An episode whose success is not known. Its batch is not modulated by success.
    pub fn without_success(self) -> Self {
        Self { success: None, ..self }
    }

    /// Sets the observation after the last step. GraphGPO needs it of every episode that failed.
    pub fn final_observation(self, observation: impl Into<Cow<'a, str>>) -> Self {
        Self { final_observation: Some(observation.into()), ..self }
    }
}

impl Batch {
    /// Starts a batch without groups.
    pub fn builder() -> BatchBuilder {
        BatchBuilder::default()
    }
}

/// Collects groups of episodes; see [`Batch`] for an example.
///
/// Texts are copied once for each distinct observation.
#[derive(Debug, Clone, Default)]
pub struct BatchBuilder {
    offsets: Offsets,
    rewards: Vec<f64>,
    valid: Vec<bool>,
    observations: Vec<u32>,
    success: Vec<bool>,
    lacks_success: bool,
    final_observations: Vec<Option<u32>>,
    texts: TextTable,
    /// Numbers of the observations that are known by their embedding alone, by its bits.
    unnamed: HashMap<Vec<u32>, u32>,
    lacks_texts: bool,
    embeddings: Vec<f32>,
    /// The length of the first step's embedding, 0 if it has none; absent before the first step.
    width: Option<usize>,
    /// The first row whose embedding differs in length, and that length.
    unfit_embedding: Option<(usize, usize)>,
}

impl BatchBuilder {
    /// Adds a group: episodes that started from the same task.
    pub fn group<'a>(mut self, episodes: impl IntoIterator<Item = Episode<'a>>) -> Self {
        self.push_group(episodes);
        self
    }

    /// Adds a group: episodes that started from the same task.
    pub fn push_group<'a>(&mut self, episodes: impl IntoIterator<Item = Episode<'a>>) {
        for episode in episodes {
            for step in &episode.steps {
                self.push(step);
            }
            let last = episode.final_observation.map(|text| self.intern(&text));
            self.end_episode(episode.success, last);
        }
        self.end_group();
    }

    /// Checks the episodes and returns them as a batch.
    ///
    /// # Errors
    /// Returns an error that names the first step whose reward is NaN or larger than
    /// [`MAX_REWARD`](super::MAX_REWARD), whose embedding has another length than the first step's, or
    /// whose embedding holds a NaN or infinite value.
    pub fn build(self) -> Result<Batch> {
        let width = self.width.unwrap_or(0);
        let embeddings = (width > 0 && self.unfit_embedding.is_none())
            .then(|| Arc::new(Embeddings::Steps { values: self.embeddings, width }));
        let batch = Batch {
            layout: self.offsets.build()?,
            rewards: self.rewards.into(),
            valid: self.valid.into(),
            observations: self.observations.into(),
            success: self.success.into(),
            has_success: !self.lacks_success,
            final_observations: self.final_observations.into(),
            texts: self.texts.into_texts(),
            has_texts: !self.lacks_texts,
            embeddings,
            values: None,
        };
        if let Some((row, found)) = self.unfit_embedding {
            let place = format!("{}.embedding", batch.path(row));
            return Err(Error::input(place, unfit_width(width, found)));
        }
        batch.check_rewards()?;
        batch.check_embeddings()?;
        Ok(batch)
    }

    /// A builder that continues the numbering of some texts.
    #[cfg(feature = "burn")]
    pub(crate) fn with_texts(texts: TextTable) -> Self {
        Self { texts, ..Self::default() }
    }

    /// The number of a text.
    pub(crate) fn intern(&mut self, text: &str) -> u32 {
        self.texts.intern(text)
    }

    /// Appends a step without embedding whose observation has the number `observation`.
    #[cfg(feature = "burn")]
    pub(crate) fn push_step(&mut self, observation: u32, reward: f64, valid: bool) {
        self.push_embedding(&[]);
        self.push_row(observation, reward, valid);
    }

    /// Ends the current episode.
    pub(crate) fn end_episode(&mut self, success: Option<bool>, last: Option<u32>) {
        let rows: usize = self.offsets.rows();
        self.success.push(success == Some(true));
        self.lacks_success |= success.is_none();
        self.final_observations.push(last);
        self.offsets.push_episode(self.rewards.len() - rows);
    }

    /// Ends the current group.
    pub(crate) fn end_group(&mut self) {
        self.offsets.end_group();
    }

    fn push(&mut self, step: &Step) {
        let embedding = step.embedding.as_deref().unwrap_or_default();
        let observation = match &step.observation {
            Some(text) => self.intern(text),
            None => {
                self.lacks_texts = true;
                let bits = embedding.iter().map(|value| value.to_bits()).collect();
                *self.unnamed.entry(bits).or_insert_with(|| self.texts.push_unnamed(""))
            }
        };
        self.push_embedding(embedding);
        self.push_row(observation, step.reward, step.valid);
    }

    fn push_row(&mut self, observation: u32, reward: f64, valid: bool) {
        self.observations.push(observation);
        self.rewards.push(reward);
        self.valid.push(valid);
    }

    fn push_embedding(&mut self, embedding: &[f32]) {
        let width = *self.width.get_or_insert(embedding.len());
        if embedding.len() == width {
            self.embeddings.extend_from_slice(embedding);
        } else if self.unfit_embedding.is_none() {
            self.unfit_embedding = Some((self.rewards.len(), embedding.len()));
        }
    }
}

/// The message for an embedding of another length than the first step's.
pub(super) fn unfit_width(expected: usize, found: usize) -> String {
    let numbers = |count: usize| match count {
        0 => "nothing".to_string(),
        1 => "1 number".to_string(),
        count => format!("{count} numbers"),
    };
    format!("expected {}, as in the first step, found {}", numbers(expected), numbers(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn episodes_become_rows() {
        let mut long = Episode::new().final_observation("roof");
        long.push(Step::new("hall", 0.5).valid(false));
        long.push(Step::new(String::from("attic"), 0.0));
        let batch = Batch::builder()
            .group([Episode::new(), Episode::new().step("attic", 1.0).success(true)])
            .group([])
            .group([long])
            .build()
            .unwrap();
        let layout = batch.layout();
        assert_eq!(layout.group_episodes().collect::<Vec<_>>(), [0..2, 2..2, 2..3]);
        assert_eq!(layout.episode_rows().collect::<Vec<_>>(), [0..0, 0..1, 1..3]);
        assert_eq!(
            (batch.rewards(), batch.valid()),
            (&[1.0, 0.5, 0.0][..], &[true, false, true][..])
        );
        assert_eq!((batch.observations(), batch.texts().len()), (&[0, 1, 0][..], 3));
        assert_eq!(
            (batch.success(), batch.final_observations()),
            (&[false, true, false][..], &[None, None, Some(2)][..])
        );
        assert!(batch.has_texts() && batch.embeddings().is_none());
        assert_eq!(Batch::builder().build().unwrap(), Batch::default());
    }

    #[test]
    fn steps_may_have_embeddings_instead_of_texts() {
        let steps =
            [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]].map(|e| Step::from_embedding(e.to_vec(), 0.0));
        let batch = Batch::builder().group([Episode::new().steps(steps)]).build().unwrap();
        assert_eq!((batch.observations(), batch.has_texts()), (&[0, 1, 0][..], false));
        let values = vec![1.0, 0.0, 0.0, 1.0, 1.0, 0.0];
        assert_eq!(batch.embeddings(), Some(&Embeddings::Steps { values, width: 2 }));
        let twice = batch.concat(&batch).unwrap();
        assert_eq!(twice.observations(), [0, 1, 0, 2, 3, 2]);
    }

    #[test]
    fn the_first_unfit_step_is_named() {
        let refused = |steps: Vec<Step>| {
            let episodes = [Episode::new().step("x", 0.0), Episode::new().steps(steps)];
            Batch::builder().group(episodes).build().unwrap_err().to_string()
        };
        let step = || Step::new("a", 0.0);
        let infinite = refused(vec![step(), Step::new("a", f64::INFINITY)]);
        assert_eq!(
            infinite,
            "groups[0].episodes[1].steps[1].reward: expected a number from -1e30 to 1e30, found inf"
        );
        let second = refused(vec![step().embedding(vec![1.0])]);
        assert_eq!(
            second,
            "groups[0].episodes[1].steps[0].embedding: expected nothing, as in the first step, found \
             1 number"
        );
        let with = |embedding: &[f32]| {
            let first = Episode::new().steps([step().embedding(vec![1.0, 2.0])]);
            let second = Episode::new().steps([step().embedding(embedding.to_vec())]);
            Batch::builder().group([first, second]).build().unwrap_err().to_string()
        };
        let place = "groups[0].episodes[1].steps[0].embedding";
        let expected = "expected 2 numbers, as in the first step, found 3 numbers";
        assert_eq!(with(&[0.0; 3]), format!("{place}: {expected}"));
        let nan = with(&[0.0, f32::NAN]);
        assert_eq!(nan, format!("{place}[1]: expected finite numbers, found NaN"));
    }
}
