//! Settings of generated tasks.

use std::ops::RangeInclusive;

use garde::Validate;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::task_kind::TaskKind;
use crate::error::Result;
use crate::settings::check;

/// Difficulty of generated tasks. Sets all ranges that are not set explicitly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Difficulty {
    /// Small rooms with few objects, most of them visible. Random play wins some episodes.
    #[default]
    Easy,
    /// Rooms of the size of small rooms in the published games.
    Medium,
    /// Large rooms with many objects, many of them behind doors.
    Hard,
}

/// Relative frequencies of the kinds of task.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct TaskMix {
    /// Put an object into or onto a receptacle.
    #[garde(range(min = 0.0, max = 1e6))]
    pub pick: f32,
    /// Hold an object beside a lamp that is on.
    #[garde(range(min = 0.0, max = 1e6))]
    pub look: f32,
    /// Put a clean object into or onto a receptacle.
    #[garde(range(min = 0.0, max = 1e6))]
    pub clean: f32,
    /// Put a hot object into or onto a receptacle.
    #[garde(range(min = 0.0, max = 1e6))]
    pub heat: f32,
    /// Put a cool object into or onto a receptacle.
    #[garde(range(min = 0.0, max = 1e6))]
    pub cool: f32,
    /// Put two objects into or onto one receptacle.
    #[garde(range(min = 0.0, max = 1e6))]
    pub pick2: f32,
}

impl Default for TaskMix {
    fn default() -> Self {
        Self { pick: 1.0, look: 1.0, clean: 1.0, heat: 1.0, cool: 1.0, pick2: 1.0 }
    }
}

impl TaskMix {
    fn weights(&self) -> [f32; 6] {
        [self.pick, self.look, self.clean, self.heat, self.cool, self.pick2]
    }

    /// Draws a kind of task.
    pub(super) fn draw(&self, rng: &mut ChaCha8Rng) -> TaskKind {
        let weights = self.weights();
        let mut rest = rng.random_range(0.0..weights.iter().sum::<f32>());
        for (kind, weight) in TaskKind::ALL.into_iter().zip(weights) {
            if rest < weight {
                return kind;
            }
            rest -= weight;
        }
        // Rounding can leave a rest, which belongs to the last kind with a weight above 0.
        let mut wanted = TaskKind::ALL.into_iter().zip(weights).filter(|(_, weight)| *weight > 0.0);
        wanted.next_back().map_or(TaskKind::Pick, |(kind, _)| kind)
    }
}

/// Settings of generated tasks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct GeneratorConfig {
    /// Difficulty of the tasks.
    #[garde(skip)]
    #[schemars(extend("x-flag" = "difficulty"))]
    pub difficulty: Difficulty,
    /// Relative frequencies of the kinds of task.
    #[garde(dive, custom(has_positive_weight))]
    pub mix: TaskMix,
    /// Number of receptacles in a room, instead of the range of the difficulty.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(range(min = 4, max = 60))]
    pub receptacles: Option<usize>,
    /// Number of objects that the task does not need.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(range(min = 0, max = 100))]
    pub objects: Option<usize>,
    /// Number of distractors among these objects, which resemble the wanted object; at most `objects`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(range(min = 0, max = 100), custom(at_most(&self.objects)))]
    pub distractors: Option<usize>,
}

/// A garde rule: at least one weight must be above 0.
fn has_positive_weight(mix: &TaskMix, _: &()) -> garde::Result {
    match mix.weights().iter().all(|weight| *weight == 0.0) {
        true => Err(garde::Error::new("all weights are 0, expected at least one above 0")),
        false => Ok(()),
    }
}

/// A garde rule: there are at most as many distractors as objects.
fn at_most(objects: &Option<usize>) -> impl Fn(&Option<usize>, &()) -> garde::Result {
    let max = objects.unwrap_or(usize::MAX);
    move |distractors, _| match distractors.filter(|&found| found > max) {
        Some(found) => {
            Err(garde::Error::new(format!("{found} is out of range, expected 0 to {max}")))
        }
        None => Ok(()),
    }
}

/// The ranges of a configuration.
#[derive(Debug, Clone)]
pub(super) struct Ranges {
    /// Number of surplus objects of the wanted kind.
    pub(super) spare: RangeInclusive<usize>,
    pub(super) receptacles: RangeInclusive<usize>,
    pub(super) objects: RangeInclusive<usize>,
    pub(super) distractors: RangeInclusive<usize>,
    /// Probability that an object is behind a door.
    pub(super) hidden: f64,
}

impl GeneratorConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// Returns [`Error::Setting`](crate::error::Error::Setting) if a setting is out of range.
    pub fn validate(&self) -> Result<()> {
        check(self, "env.generator")
    }

    /// The ranges of the difficulty, with the explicit settings in their place.
    pub(super) fn ranges(&self) -> Ranges {
        let (receptacles, objects, spare, distractors, hidden) = match self.difficulty {
            Difficulty::Easy => (6..=9, 4..=7, 1..=2, 1..=2, 0.1),
            Difficulty::Medium => (10..=16, 10..=18, 0..=1, 2..=5, 0.35),
            Difficulty::Hard => (18..=32, 20..=36, 0..=1, 5..=10, 0.6),
        };
        let exactly = |value: Option<usize>, range| value.map_or(range, |value| value..=value);
        Ranges {
            spare,
            receptacles: exactly(self.receptacles, receptacles),
            objects: exactly(self.objects, objects),
            distractors: exactly(self.distractors, distractors),
            hidden,
        }
    }
}
