//! One game: its rules, its task line and its walkthrough.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Deserializer};

use super::goal::Goal;
use super::grammar::Grammar;
use super::pddl::{self, Problem, domain};
use super::planning::{CompiledGame, Domain};
use super::task_kind::TaskKind;
use super::world::World;
use crate::error::{Error, Result};

/// A playable game.
#[derive(Debug, Clone)]
pub(crate) struct Game {
    /// `<split>/<task>/<trial>`.
    pub(crate) name: String,
    /// The task line of the grammar.
    pub(crate) task: Box<str>,
    pub(crate) rules: Rules,
    pub(crate) walkthrough: Vec<String>,
}

/// The rules, the world and the texts of a game.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all games are published ones, which every step reads"
)]
pub(crate) enum Rules {
    /// The rules of the published games, which this engine implements.
    Published(Published),
    /// The rules in the game's file, compiled.
    Compiled(Arc<CompiledGame>),
}

/// A game with the rules of the published games.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub(crate) world: World,
    pub(crate) goal: Goal,
    pub(crate) grammar: Arc<Grammar>,
}

impl Game {
    /// The task line without its introduction, which ends with a colon.
    pub(crate) fn goal_text(&self) -> &str {
        self.task.split_once(": ").map_or(&*self.task, |(_, goal)| goal)
    }

    /// The kind of task.
    pub(crate) fn kind(&self) -> TaskKind {
        match &self.rules {
            Rules::Published(published) => published.goal.kind(),
            Rules::Compiled(compiled) => compiled.kind(),
        }
    }

    /// The parts of a game with the rules of the published games.
    ///
    /// # Errors
    /// Returns an error if the game has other rules.
    pub(crate) fn published(&self) -> Result<&Published> {
        match &self.rules {
            Rules::Published(published) => Ok(published),
            Rules::Compiled(_) => Err(Error::input(
                &self.name,
                "the game has other rules than the published games, so its texts cannot be changed",
            )),
        }
    }
}

/// The contents of a game file.
#[derive(Deserialize)]
struct GameFile {
    pddl_domain: String,
    grammar: String,
    pddl_problem: String,
    #[serde(default = "solvable_by_default")]
    #[cfg_attr(not(feature = "fs"), expect(dead_code, reason = "only folders leave games out"))]
    solvable: bool,
    #[serde(default, deserialize_with = "null_is_empty")]
    walkthrough: Vec<String>,
}

/// A game without a walkthrough can have `null` in its place.
fn null_is_empty<'de, D: Deserializer<'de>>(
    input: D,
) -> std::result::Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(input)?.unwrap_or_default())
}

fn solvable_by_default() -> bool {
    true
}

/// Adds the place of a file to an error.
fn at(place: &str) -> impl Fn(Error) -> Error {
    move |error| match error {
        Error::Input { place: inner, message } if inner.is_empty() => Error::input(place, message),
        Error::Input { place: inner, message } => {
            Error::input(format!("{place}: {inner}"), message)
        }
        other => other,
    }
}

/// Maximum number of domains, and of compiled grammars, in the cache.
const MAX_CACHED: usize = 64;

/// Reads games. Nearly all files contain the same domain and the same grammar, so the reader checks or
/// compiles each of these once and then only compares the texts.
#[derive(Default)]
pub(crate) struct GameReader {
    cache: Mutex<Cache>,
    #[cfg(any(test, feature = "fuzzing"))]
    any_domain: bool,
    #[cfg(all(test, feature = "fs"))]
    compiles_all: bool,
}

#[derive(Default)]
struct Cache {
    domains: Vec<KnownDomain>,
    grammars: Vec<Arc<Grammar>>,
}

/// A domain that was read.
#[derive(Clone)]
struct KnownDomain {
    text: Arc<str>,
    is_published: bool,
    rules: Arc<Domain>,
}

impl GameReader {
    /// Reads the game in `bytes`, the contents of the file `place`. Returns `None` if the file marks
    /// the game as unsolvable.
    ///
    /// # Errors
    /// Returns an error if the file is not a game.
    #[cfg(feature = "fs")]
    pub(crate) fn read(&self, name: String, place: &str, bytes: &[u8]) -> Result<Option<Game>> {
        self.file(bytes)
            .and_then(|file| file.solvable.then(|| self.game(name, file)).transpose())
            .map_err(at(place))
    }

    /// Reads the game in `bytes` like [`GameReader::read`], whether or not the file marks it as
    /// unsolvable.
    ///
    /// # Errors
    /// Returns an error if the file is not a game.
    pub(crate) fn read_any(&self, name: String, place: &str, bytes: &[u8]) -> Result<Game> {
        self.file(bytes).and_then(|file| self.game(name, file)).map_err(at(place))
    }

    fn file(&self, bytes: &[u8]) -> Result<GameFile> {
        serde_json::from_slice(bytes)
            .map_err(|error| Error::input("", format!("not a game file: {error}")))
    }

    fn game(&self, name: String, file: GameFile) -> Result<Game> {
        let domain = self.domain_of(&file.pddl_domain)?;
        let problem = file.pddl_problem.to_ascii_lowercase();
        let published = match &domain {
            Some(known) if !known.is_published || self.compiles_all() => None,
            _ => match self.published(&problem, &file.grammar) {
                Err(error) if domain.is_none() => return Err(error),
                result => result.ok(),
            },
        };
        let (rules, task) = match (published, domain) {
            (Some((published, task)), _) => (Rules::Published(published), task),
            // A game with the published domain can have another goal or another grammar.
            (None, Some(known)) => {
                let (game, task) = CompiledGame::new(known.rules, &problem, &file.grammar)?;
                (Rules::Compiled(Arc::new(game)), task)
            }
            (None, None) => return Err(Error::input("pddl_domain", "there are no rules")),
        };
        Ok(Game { name, task: task.into(), rules, walkthrough: file.walkthrough })
    }

    /// The problem and the grammar of a game with the published domain, and its task line.
    fn published(&self, problem: &str, grammar: &str) -> Result<(Published, String)> {
        let (grammar, task) = self.grammar(grammar)?;
        let Problem { world, goal } = pddl::parse(problem)?;
        if !goal.is_possible(&world) {
            let message =
                "the goal cannot be reached: it requires a fact that no action can change";
            return Err(Error::input("pddl_problem", message));
        }
        grammar.check_costs(&world, &task)?;
        Ok((Published { world, goal, grammar }, task))
    }

    /// The text of the published domain, or `None` if no game with it was read.
    pub(crate) fn domain(&self) -> Option<Arc<str>> {
        let cache = self.lock();
        cache.domains.iter().find(|known| known.is_published).map(|known| known.text.clone())
    }

    /// A reader that takes every domain for the published one. The repository does not contain its
    /// text.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn accepting_any_domain() -> Self {
        Self { any_domain: true, ..Self::default() }
    }

    /// A reader that compiles the published domain like any other.
    #[cfg(all(test, feature = "fs"))]
    pub(crate) fn compiling_all() -> Self {
        Self { compiles_all: true, ..Self::default() }
    }

    fn compiles_all(&self) -> bool {
        #[cfg(all(test, feature = "fs"))]
        return self.compiles_all;
        #[cfg(not(all(test, feature = "fs")))]
        false
    }

    /// The parsed domain, or `None` if the reader takes every domain for the published one.
    fn domain_of(&self, text: &str) -> Result<Option<KnownDomain>> {
        #[cfg(any(test, feature = "fuzzing"))]
        if self.any_domain {
            return Ok(None);
        }
        let known = self.lock().domains.iter().find(|known| *known.text == *text).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let rules = Arc::new(Domain::parse(&text.to_ascii_lowercase())?);
        let is_published = domain::is_published(text);
        let known = KnownDomain { text: text.into(), is_published, rules };
        let mut cache = self.lock();
        if cache.domains.len() < MAX_CACHED {
            cache.domains.push(known.clone());
        }
        Ok(Some(known))
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
        if cache.grammars.len() < MAX_CACHED {
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
