//! ALFWorld: a native engine for household tasks in text.
//!
//! Games are loaded from files ([`AlfWorld::load`]). Each file contains a planning problem, which
//! becomes a typed world, and a grammar, which turns the state of that world into text. Tasks of the
//! same kinds with another wording are generated ([`generate`]). State and text are separate: actions
//! change a small state, and texts are written only on request.
//!
//! ```
//! use proxmo::env::alfworld::{GeneratorConfig, generate};
//! use proxmo::env::{Environment, Session, Texts};
//!
//! let world = generate(&GeneratorConfig::default(), 7, 10)?;
//! let mut session = world.start(0, 0)?;
//! let mut texts = Texts::new();
//! session.admissible(&mut texts);
//! assert!(texts.position("look").is_some());
//!
//! let mut success = false;
//! for command in world.walkthrough(0) {
//!     success = session.step(command)?.success;
//! }
//! assert!(success);
//! # Ok::<(), proxmo::error::Error>(())
//! ```

mod action;
mod archive;
mod expert;
mod game;
mod generator;
mod goal;
mod grammar;
mod id;
mod names;
mod paraphrase;
mod pddl;
mod pddl_tokens;
mod predicate;
mod relation;
mod reword;
mod session;
mod source;
mod state;
mod task_kind;
mod world;
mod write;

pub use expert::Expert;
pub use generator::{Difficulty, GeneratorConfig, TaskMix, generate};
pub use session::AlfWorldSession;
pub use write::write_games;

pub(crate) use game::GameReader;

use std::collections::BTreeSet;
use std::iter::{repeat, zip};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Environment, Session};
use crate::error::{Error, Result};
use game::Game;
use paraphrase::Paraphrase;
use reword::reword;
use source::Source;
use task_kind::TaskKind;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use generator::wording::HOUSEHOLD_GRAMMAR;

/// Maximum number of games per batch. Progress is reported after each batch.
const BATCH_GAMES: usize = 64;

/// Number of bytes after which a batch from an archive ends early.
const BATCH_BYTES: usize = 48 << 20;

/// Settings of the environment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlfWorldConfig {
    /// Maximum number of steps per episode.
    pub max_steps: usize,
    /// Reward for reaching the goal.
    pub success_reward: f32,
    /// Reward of every step.
    pub step_reward: f32,
}

impl Default for AlfWorldConfig {
    fn default() -> Self {
        Self { max_steps: 50, success_reward: 1.0, step_reward: 0.0 }
    }
}

impl AlfWorldConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// Returns [`Error::Setting`] if a setting is out of range.
    pub fn validate(&self) -> Result<()> {
        if self.max_steps == 0 {
            return Err(Error::setting("max_steps", "must be at least 1, found 0"));
        }
        for (key, value) in
            [("success_reward", self.success_reward), ("step_reward", self.step_reward)]
        {
            if !value.is_finite() {
                return Err(Error::setting(key, format!("must be a finite number, found {value}")));
            }
        }
        Ok(())
    }
}

/// An environment of ALFWorld games or of generated household tasks.
#[derive(Debug, Clone)]
pub struct AlfWorld {
    /// The name in the registry: `alfworld` for games, `household` for generated tasks.
    name: &'static str,
    games: Vec<Arc<Game>>,
    config: AlfWorldConfig,
    /// The paraphrase of observations, if there is one.
    paraphrase: Option<Arc<Paraphrase>>,
    /// The text of the domain of games from files.
    domain: Option<Arc<str>>,
}

impl AlfWorld {
    /// Loads games, sorted by name.
    ///
    /// `path` is the folder `json_2.1.1`, the archive `json_2.1.1.tar.xz`, a folder that contains one
    /// of these, or the folder of one split. With a `split`, only its games are loaded. The name of a
    /// task is `<split>/<task>/<trial>`.
    ///
    /// The files can be untrusted. Nothing in them is executed, nothing is written to disk, and paths
    /// in an archive are used only as names. Reading a game file takes at most 16 MiB of memory plus
    /// 32 times the size of the file; as many files are read at once as there are cores. Limits: 16 MiB
    /// for a file; 16 GiB for an unpacked archive, of which at most 64 MiB are in memory at a time; 256
    /// MiB of memory for decompression. Goals and grammars whose evaluation could take too long, or
    /// whose texts could become too long, are rejected.
    ///
    /// # Errors
    /// Returns an error if there are no such games, if a file is not a game of the known domain, or if
    /// a file exceeds these limits.
    pub fn load(path: &Path, split: Option<&str>, config: AlfWorldConfig) -> Result<Self> {
        Self::load_with(path, split, config, &mut |_, _| {})
    }

    /// Loads games like [`AlfWorld::load`] and reports progress: calls `progress` with the number of
    /// games read so far and the total, which is `None` for archives.
    ///
    /// # Errors
    /// Returns the errors of [`AlfWorld::load`].
    pub fn load_with(
        path: &Path,
        split: Option<&str>,
        config: AlfWorldConfig,
        progress: &mut dyn FnMut(usize, Option<usize>),
    ) -> Result<Self> {
        config.validate()?;
        let mut splits = BTreeSet::new();
        let mut is_wanted = |name: &str| {
            let found = source::split_of(name);
            if !splits.contains(found) {
                splits.insert(found.to_string());
            }
            split.is_none_or(|split| split == found)
        };
        let reader = GameReader::default();
        let mut games = match Source::find(path)? {
            Source::Files(mut files) => {
                files.retain(|(name, _)| is_wanted(name));
                read_files(&reader, &files, progress)?
            }
            Source::Archive(archive) => read_archive(&reader, &archive, &mut is_wanted, progress)?,
        };
        if games.is_empty() {
            let splits: Vec<String> = splits.into_iter().collect();
            let message = match (split, splits.as_slice()) {
                (Some(split), [_, ..]) => {
                    format!("there is no split '{split}'; found {}", splits.join(", "))
                }
                _ => "found no solvable games".to_string(),
            };
            return Err(Error::file(path, message));
        }
        games.sort_by(|a, b| a.name.cmp(&b.name));
        let games = games.into_iter().map(Arc::new).collect();
        Ok(Self { name: "alfworld", games, config, paraphrase: None, domain: reader.domain() })
    }

    /// Reads one game from the bytes of its file, which can be untrusted as for [`AlfWorld::load`].
    /// `name` is the name of the task, and that of the file in errors.
    ///
    /// # Errors
    /// Returns an error if the bytes are not a game of the known domain, if the game is marked as
    /// unsolvable, or if it exceeds the limits of [`AlfWorld::load`].
    pub fn read(name: &str, bytes: &[u8], config: AlfWorldConfig) -> Result<Self> {
        Self::read_with(&GameReader::default(), name, bytes, config)
    }

    /// Reads one game like [`AlfWorld::read`], with the cache of `reader`.
    pub(crate) fn read_with(
        reader: &GameReader,
        name: &str,
        bytes: &[u8],
        config: AlfWorldConfig,
    ) -> Result<Self> {
        config.validate()?;
        source::check_size(bytes.len() as u64).map_err(|message| Error::input(name, message))?;
        let game = reader.read(name.to_string(), name, bytes)?;
        let game = game.ok_or_else(|| Error::input(name, "the game is marked as unsolvable"))?;
        let games = vec![Arc::new(game)];
        Ok(Self { name: "alfworld", games, config, paraphrase: None, domain: reader.domain() })
    }

    /// The same tasks with other settings.
    #[must_use]
    pub fn with_config(self, config: AlfWorldConfig) -> Self {
        Self { config, ..self }
    }

    /// The same tasks with paraphrased observations. With the given probability an observation gets
    /// another wording, its lists get another order, and an irrelevant sentence is sometimes added.
    /// The seed of the episode determines these choices. Goals and commands do not change.
    ///
    /// # Errors
    /// Returns [`Error::Setting`] if `probability` is not in 0 to 1, and another error if a paraphrased
    /// observation could take too long in the world of a game.
    pub fn with_paraphrase(self, probability: f64) -> Result<Self> {
        let paraphrase = match probability {
            0.0 => None,
            _ => Some(Arc::new(Paraphrase::new(probability)?)),
        };
        for (paraphrase, game) in paraphrase.iter().flat_map(|one| zip(repeat(one), &self.games)) {
            paraphrase.check_costs(game)?;
        }
        Ok(Self { paraphrase, ..self })
    }

    /// The same tasks in the wording of other games. Each task gets the grammar and the form of the task
    /// line of a game of its kind. Worlds, goals and names do not change; walkthroughs contain the same
    /// actions in the new wording.
    ///
    /// # Errors
    /// Returns an error if `models` has no game of the kind of a task.
    pub fn worded_like(self, models: &Self) -> Result<Self> {
        let tasks = 0..self.games.len();
        let games = tasks.map(|task| Ok(Arc::new(reword(&self, task, models)?)));
        Ok(Self { games: games.collect::<Result<_>>()?, ..self })
    }

    /// Appends the tasks of `other`.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.games.extend(other.games);
        self
    }

    /// The settings.
    pub fn config(&self) -> &AlfWorldConfig {
        &self.config
    }

    /// The commands that solve a task. The list is empty if the task's file has none.
    pub fn walkthrough(&self, task: usize) -> &[String] {
        self.games.get(task).map_or(&[], |game| &game.walkthrough)
    }

    /// Starts an episode like [`Environment::start`] and returns its concrete type.
    ///
    /// # Errors
    /// Returns an error if there is no such task.
    pub fn session(&self, task: usize, seed: u64) -> Result<AlfWorldSession> {
        let session = AlfWorldSession::new(self.game(task)?.clone(), self.config);
        Ok(match &self.paraphrase {
            Some(paraphrase) => session.paraphrased(paraphrase.clone(), seed, task),
            None => session,
        })
    }

    fn game(&self, task: usize) -> Result<&Arc<Game>> {
        self.games.get(task).ok_or_else(|| {
            Error::Environment(format!(
                "there is no task {task}, expected less than {}",
                self.games.len()
            ))
        })
    }
}

type Progress<'a> = &'a mut dyn FnMut(usize, Option<usize>);

fn read_files(
    reader: &GameReader,
    files: &[(String, std::path::PathBuf)],
    progress: Progress,
) -> Result<Vec<Game>> {
    let mut games = Vec::with_capacity(files.len());
    for batch in files.chunks(BATCH_GAMES) {
        let read = par_map(batch, |(name, path)| {
            reader.read(name.clone(), &path.display().to_string(), &source::read(path)?)
        });
        for game in read {
            games.extend(game?);
        }
        progress(games.len(), Some(files.len()));
    }
    Ok(games)
}

fn read_archive(
    reader: &GameReader,
    archive: &Path,
    is_wanted: &mut dyn FnMut(&str) -> bool,
    progress: Progress,
) -> Result<Vec<Game>> {
    let mut games = Vec::new();
    let mut batch: Vec<(String, Vec<u8>)> = Vec::with_capacity(BATCH_GAMES);
    let mut batch_bytes = 0;
    let mut read_batch = |batch: &mut Vec<(String, Vec<u8>)>| -> Result<()> {
        let read = par_map(batch, |(name, bytes)| {
            reader.read(name.clone(), &format!("{}: {name}", archive.display()), bytes)
        });
        for game in read {
            games.extend(game?);
        }
        progress(games.len(), None);
        batch.clear();
        Ok(())
    };
    archive::unpack(archive, &mut |name, bytes| {
        if is_wanted(&name) {
            batch_bytes += bytes.len();
            batch.push((name, bytes));
        }
        if batch.len() == BATCH_GAMES || batch_bytes > BATCH_BYTES {
            batch_bytes = 0;
            return read_batch(&mut batch);
        }
        Ok(())
    })?;
    read_batch(&mut batch)?;
    Ok(games)
}

/// Maps a batch, on all cores if the feature `parallel` is on.
fn par_map<T: Sync, R: Send>(batch: &[T], work: impl Fn(&T) -> R + Sync + Send) -> Vec<R> {
    #[cfg(feature = "parallel")]
    {
        use rayon::prelude::*;
        batch.par_iter().map(work).collect()
    }
    #[cfg(not(feature = "parallel"))]
    {
        batch.iter().map(work).collect()
    }
}

impl Environment for AlfWorld {
    fn name(&self) -> &str {
        self.name
    }

    fn tasks(&self) -> usize {
        self.games.len()
    }

    fn task_name(&self, task: usize) -> &str {
        self.games.get(task).map_or("", |game| &game.name)
    }

    fn task_kind(&self, task: usize) -> usize {
        self.games.get(task).map_or(0, |game| game.goal.kind() as usize)
    }

    fn kinds(&self) -> &[&'static str] {
        &TaskKind::NAMES
    }

    fn max_steps(&self) -> usize {
        self.config.max_steps
    }

    fn start(&self, task: usize, seed: u64) -> Result<Box<dyn Session>> {
        Ok(Box::new(self.session(task, seed)?))
    }
}
