//! One game: a world, a goal, a task line and a grammar.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;

use super::goal::Goal;
use super::grammar::Grammar;
use super::pddl::{self, Problem, domain};
use super::world::World;
use crate::error::{Error, Result};

/// A playable game.
#[derive(Debug, Clone)]
pub(crate) struct Game {
    /// `<split>/<task>/<trial>`.
    pub(crate) name: String,
    pub(crate) world: World,
    pub(crate) goal: Goal,
    /// The task line of the grammar.
    pub(crate) task: Box<str>,
    pub(crate) grammar: Arc<Grammar>,
    pub(crate) walkthrough: Vec<String>,
}

impl Game {
    /// The task line without its introduction, which ends with a colon.
    pub(crate) fn goal_text(&self) -> &str {
        self.task.split_once(": ").map_or(&*self.task, |(_, goal)| goal)
    }
}

/// The contents of a game file.
#[derive(Deserialize)]
struct GameFile {
    pddl_domain: String,
    grammar: String,
    pddl_problem: String,
    #[serde(default = "solvable_by_default")]
    solvable: bool,
    /// Absent or null if no solution is known.
    #[serde(default)]
    walkthrough: Option<Vec<String>>,
}

fn solvable_by_default() -> bool {
    true
}

/// Maximum number of compiled grammars in the cache.
const MAX_CACHED_GRAMMARS: usize = 64;

/// Reads games. Nearly all files contain the same domain and the same grammar, so the reader checks or
/// compiles each of these once and then only compares the texts.
#[derive(Default)]
pub(crate) struct GameReader {
    cache: Mutex<Cache>,
    #[cfg(any(test, feature = "fuzzing"))]
    any_domain: bool,
}

#[derive(Default)]
struct Cache {
    domain: Option<Arc<str>>,
    grammars: Vec<Arc<Grammar>>,
}

impl GameReader {
    /// Reads the game in `bytes`, the contents of the file `place`. Returns `None` if the file marks
    /// the game as unsolvable.
    ///
    /// # Errors
    /// Returns an error if the file is not a game of the known domain.
    pub(crate) fn read(&self, name: String, place: &str, bytes: &[u8]) -> Result<Option<Game>> {
        self.game(name, bytes).map_err(|error| match error {
            Error::Input { place: inner, message } if inner.is_empty() => {
                Error::input(place, message)
            }
            Error::Input { place: inner, message } => {
                Error::input(format!("{place}: {inner}"), message)
            }
            other => other,
        })
    }

    fn game(&self, name: String, bytes: &[u8]) -> Result<Option<Game>> {
        let file: GameFile = serde_json::from_slice(bytes)
            .map_err(|error| Error::input("", format!("not a game file: {error}")))?;
        if !file.solvable {
            return Ok(None);
        }
        self.check_domain(file.pddl_domain)?;
        let (grammar, task) = self.grammar(&file.grammar)?;
        let Problem { world, goal } = pddl::parse(&file.pddl_problem.to_ascii_lowercase())?;
        grammar.check_costs(&world, &task)?;
        let task = task.into();
        Ok(Some(Game {
            name,
            world,
            goal,
            task,
            grammar,
            walkthrough: file.walkthrough.unwrap_or_default(),
        }))
    }

    /// The domain of the games that were read, or `None` before the first.
    pub(crate) fn domain(&self) -> Option<Arc<str>> {
        self.lock().domain.clone()
    }

    /// A reader that accepts any domain. The repository does not contain the text of the known one.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn accepting_any_domain() -> Self {
        Self { any_domain: true, ..Self::default() }
    }

    fn check_domain(&self, domain: String) -> Result<()> {
        #[cfg(any(test, feature = "fuzzing"))]
        if self.any_domain {
            return Ok(());
        }
        let known = self.lock().domain.clone();
        if known.is_none_or(|known| *known != *domain) {
            domain::check(&domain)?;
            self.lock().domain = Some(domain.into());
        }
        Ok(())
    }

    /// The compiled grammar of a text, and its task line.
    fn grammar(&self, text: &str) -> Result<(Arc<Grammar>, String)> {
        let known = self.lock().grammars.clone();
        let known = known.into_iter().find_map(|grammar| Some((grammar.task_of(text)?, grammar)));
        if let Some((task, grammar)) = known {
            return Ok((grammar, task));
        }
        let (grammar, task) = Grammar::compile(text)?;
        let grammar = Arc::new(grammar);
        let mut cache = self.lock();
        if cache.grammars.len() < MAX_CACHED_GRAMMARS {
            cache.grammars.push(grammar.clone());
        }
        drop(cache);
        Ok((grammar, task))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Cache> {
        // No holder of the lock can panic halfway through a change.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
