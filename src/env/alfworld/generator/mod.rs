//! Generated household tasks: the world and rules of the published games, with other words.

mod build;
mod config;
mod rooms;
mod solve;
pub(crate) mod wording;

use std::sync::Arc;

use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::game::{Game, Published, Rules};
use super::grammar::{Grammar, texts_of};
use super::task_kind::TaskKind;
use super::{AlfWorld, AlfWorldConfig};
use crate::error::Result;
use crate::stream::{Purpose, Stream};
use build::Draft;
use wording::HOUSEHOLD_GRAMMAR;

pub use config::{Difficulty, GeneratorConfig, TaskMix};
pub(super) use rooms::{has_door, likely_place};

/// Generates `count` tasks. Each task is solvable: its walkthrough has been played. Task `i` depends
/// only on the configuration, `seed` and `i`, so a shorter list is a prefix of a longer one.
///
/// # Errors
/// Returns [`Error::Setting`](crate::error::Error::Setting) if a setting is out of range, or if no room
/// with these settings has enough objects for a task.
pub fn generate(config: &GeneratorConfig, seed: u64, count: usize) -> Result<AlfWorld> {
    config.validate()?;
    let (grammar, _) = Grammar::compile(HOUSEHOLD_GRAMMAR)?;
    let writer = GameWriter {
        seed,
        grammar: Arc::new(grammar),
        task_lines: texts_of(HOUSEHOLD_GRAMMAR, "errand.")?,
    };
    let mut games = Vec::with_capacity(count);
    for index in 0..count {
        let mut rng = Stream::new(seed, Purpose::Generator).of(index, 0).rng();
        let draft = build::build(config, &mut rng)?;
        games.push(writer.game(index, draft, &mut rng));
    }
    Ok(AlfWorld::from_games("household", games, AlfWorldConfig::default(), None))
}

/// Turns generated tasks into games by adding their texts.
struct GameWriter {
    seed: u64,
    grammar: Arc<Grammar>,
    /// The forms of the task line, by kind of task.
    task_lines: Vec<(String, Vec<String>)>,
}

impl GameWriter {
    fn game(&self, index: usize, draft: Draft, rng: &mut ChaCha8Rng) -> Game {
        let Draft { kind, object, receptacle, world, goal, walkthrough } = draft;
        let name = TaskKind::NAMES[kind as usize].to_lowercase();
        let forms = self.task_lines.iter().find(|(kind, _)| *kind == name);
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
        let rules = Rules::Published(Published { world, goal, grammar });
        Game { name, walkthrough, task: task.into(), rules }
    }
}
