//! Household tasks of our own: the same world and rules as the published games', other words.

mod build;
mod rooms;
mod solve;

use std::ops::RangeInclusive;
use std::sync::Arc;

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::game::Game;
use super::goal::TaskKind;
use super::grammar::{Grammar, texts_of};
use super::{AlfWorld, AlfWorldConfig};
use crate::error::{Error, Result};
use crate::stream::{Purpose, Stream};
use build::Draft;

pub(super) use rooms::{has_door, likely_place};

/// The wording of generated tasks.
pub(crate) const WORDING: &str = include_str!("household.twl");

/// How hard generated tasks are: it sets all ranges that are not set otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Difficulty {
    /// Small rooms, few objects, most of them in sight: random play wins now and then.
    #[default]
    Easy,
    /// Rooms of the size of the published games' small ones.
    Medium,
    /// Large rooms with many objects, many of them behind doors.
    Hard,
}

/// How often each kind of task is generated, relative to the others.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TaskMix {
    /// An object goes to a receptacle.
    pub pick: f32,
    /// An object is held by a lamp that has been switched on.
    pub look: f32,
    /// A clean object goes to a receptacle.
    pub clean: f32,
    /// A hot object goes to a receptacle.
    pub heat: f32,
    /// A cool object goes to a receptacle.
    pub cool: f32,
    /// Two objects go to one receptacle.
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

    fn pick(&self, rng: &mut ChaCha8Rng) -> TaskKind {
        let weights = self.weights();
        let mut rest = rng.random_range(0.0..weights.iter().sum::<f32>());
        for (kind, weight) in TaskKind::ALL.into_iter().zip(weights) {
            if rest < weight {
                return kind;
            }
            rest -= weight;
        }
        // Rounding may leave a rest: it belongs to the last kind that is wanted at all.
        let mut wanted = TaskKind::ALL.into_iter().zip(weights).filter(|(_, weight)| *weight > 0.0);
        wanted.next_back().map_or(TaskKind::Pick, |(kind, _)| kind)
    }
}

/// What generated tasks are like.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GeneratorConfig {
    /// How hard they are.
    #[schemars(extend("x-flag" = "difficulty"))]
    pub difficulty: Difficulty,
    /// How often each kind of task occurs.
    pub mix: TaskMix,
    /// How many receptacles a room has, in place of the difficulty's range: 4 to 60.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receptacles: Option<usize>,
    /// How many objects there are that the task does not need: 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<usize>,
    /// How many of these are distractors, easily taken for what the task needs: 0 to `objects`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distractors: Option<usize>,
}

/// The ranges that a configuration stands for.
#[derive(Debug, Clone)]
struct Ranges {
    /// How many objects of the wanted kind there are to spare.
    spare: RangeInclusive<usize>,
    receptacles: RangeInclusive<usize>,
    objects: RangeInclusive<usize>,
    distractors: RangeInclusive<usize>,
    /// How likely an object is behind a door.
    hidden: f64,
}

impl GeneratorConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// Fails with [`Error::Setting`] where one is out of range.
    pub fn validate(&self) -> Result<()> {
        let objects = self.objects.unwrap_or(100).min(100);
        let counts = [
            ("env.household.receptacles", self.receptacles, 4..=60),
            ("env.household.objects", self.objects, 0..=100),
            ("env.household.distractors", self.distractors, 0..=objects),
        ];
        for (key, value, allowed) in counts {
            if let Some(value) = value.filter(|value| !allowed.contains(value)) {
                let (least, most) = (allowed.start(), allowed.end());
                let message = format!("{value} is out of range, expected {least} to {most}");
                return Err(Error::setting(key, message));
            }
        }
        let weights = self.mix.weights();
        for (name, weight) in TaskKind::NAMES.iter().zip(weights) {
            if !(0.0..=1e6).contains(&weight) {
                let key = format!("env.household.mix.{}", name.to_lowercase());
                let message = format!("{weight} is out of range, expected 0 to 1e6");
                return Err(Error::setting(key, message));
            }
        }
        if weights.iter().all(|weight| *weight == 0.0) {
            let message = "all weights are 0, expected at least one above 0";
            return Err(Error::setting("env.household.mix", message));
        }
        Ok(())
    }

    fn ranges(&self) -> Ranges {
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

/// Generates `count` tasks. Each is solvable; its walkthrough has been played. Task `i` depends on
/// the configuration, on `seed` and on `i` alone, so that a longer list begins like a shorter one.
///
/// # Errors
/// Fails with [`Error::Setting`] where the configuration is out of range.
pub fn generate(config: &GeneratorConfig, seed: u64, count: usize) -> Result<AlfWorld> {
    config.validate()?;
    let (grammar, _) = Grammar::compile(WORDING)?;
    let writer =
        Writer { seed, grammar: Arc::new(grammar), errands: texts_of(WORDING, "errand.")? };
    let mut games = Vec::with_capacity(count);
    for index in 0..count {
        let mut rng = Stream::new(seed, Purpose::Generator).of(index, 0).rng();
        let draft = build::build(config, &mut rng)?;
        games.push(Arc::new(writer.game(index, draft, &mut rng)));
    }
    let (name, config) = ("household", AlfWorldConfig::default());
    Ok(AlfWorld { name, games, config, paraphrase: None, domain: None })
}

/// Gives generated tasks their words.
struct Writer {
    seed: u64,
    grammar: Arc<Grammar>,
    /// The forms of the task line, by kind of task.
    errands: Vec<(String, Vec<String>)>,
}

impl Writer {
    fn game(&self, index: usize, draft: Draft, rng: &mut ChaCha8Rng) -> Game {
        let Draft { kind, object, receptacle, world, goal, walkthrough } = draft;
        let name = TaskKind::NAMES[kind as usize].to_lowercase();
        let forms = self.errands.iter().find(|(errand, _)| *errand == name);
        let form = forms.and_then(|(_, forms)| forms.choose(rng)).map_or("", String::as_str);
        let task = form
            .replace("{object}", object)
            .replace("{receptacle}", receptacle)
            .replace("{lamp}", rooms::LAMP.name);
        let place = if receptacle.is_empty() { rooms::LAMP.name } else { receptacle };
        let name = format!("household-{}/{name}-{object}-{place}/{index:06}", self.seed);
        let commands = walkthrough.iter().map(|action| self.grammar.command(&world, *action));
        let walkthrough = commands.collect();
        let grammar = self.grammar.clone();
        Game { name, walkthrough, world, goal, task: task.into(), grammar }
    }
}
