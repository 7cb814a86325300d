//! ALFWorld: household tasks in text, played natively.
//!
//! Games come from files ([`AlfWorld::load`]): each holds a planning problem, which becomes a typed
//! world, and a grammar, which says how that world speaks. Tasks of the same sort, in words of our
//! own, are generated ([`generate`]). State and text are kept apart: actions change a small state, and
//! texts are made from it only when asked for.
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
mod fact;
mod game;
mod generator;
mod goal;
mod grammar;
mod names;
mod paraphrase;
mod pddl;
mod relation;
mod reword;
mod session;
mod source;
mod state;
mod world;
mod write;

pub use expert::Expert;
pub use generator::{Difficulty, GeneratorConfig, TaskMix, generate};
pub use session::AlfWorldSession;
pub use write::write_games;

use std::collections::BTreeSet;
use std::iter::{repeat, zip};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Environment, Session};
use crate::error::{Error, Result};
use game::{Game, Reader};
use goal::TaskKind;
use paraphrase::Paraphrase;
use reword::reword;
use source::Source;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use generator::WORDING as OWN_GRAMMAR;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use game::Reader as GameReader;

/// How many games are read between two reports of progress.
const BATCH: usize = 64;

/// After how many bytes of them there is one anyway.
const BATCH_BYTES: usize = 48 << 20;

/// Settings of the environment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlfWorldConfig {
    /// After how many steps an episode is cut off.
    pub max_steps: usize,
    /// The reward for reaching the goal.
    pub success_reward: f32,
    /// The reward of every step, whatever it does.
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
    /// Fails with [`Error::Setting`] where one is out of range.
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

/// The games of ALFWorld, or tasks like them.
#[derive(Debug, Clone)]
pub struct AlfWorld {
    /// The registry's name: the games' own, or that of tasks like them.
    name: &'static str,
    games: Vec<Arc<Game>>,
    config: AlfWorldConfig,
    /// Other words for observations, where they are wanted.
    paraphrase: Option<Arc<Paraphrase>>,
    /// The domain of games that came from files, as it stands there.
    domain: Option<Arc<str>>,
}

impl AlfWorld {
    /// Loads games, sorted by name.
    ///
    /// `path` is the folder `json_2.1.1`, a folder that holds it, the folder of one split, the
    /// archive `json_2.1.1.tar.xz` or a folder that holds that. With a `split`, only its games are
    /// loaded. A task's name is `<split>/<task>/<trial>`.
    ///
    /// Files need not be trusted. Nothing in them is run, nothing is written, and paths in an archive
    /// are names and nothing else. Reading a game's file takes at most 32 times its size in memory,
    /// and 16 MiB besides; as many files are read at once as there are cores. A file may have 16 MiB,
    /// an archive 16 GiB unpacked, of which 64 MiB are held at a time, and 256 MiB to unpack it with. Goals and grammars that could
    /// take long to work out in a game's world, or whose texts could get long there, are refused.
    ///
    /// # Errors
    /// Fails where there are no such games, or where a file is not a game of the known domain or goes
    /// beyond these bounds.
    pub fn load(path: &Path, split: Option<&str>, config: AlfWorldConfig) -> Result<Self> {
        Self::load_with(path, split, config, &mut |_, _| {})
    }

    /// Loads games as [`AlfWorld::load`] does and calls `progress` now and then with how many have
    /// been read, and of how many; an archive does not tell its number before it has been read.
    ///
    /// # Errors
    /// As [`AlfWorld::load`].
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
        let reader = Reader::default();
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
                _ => "there are no games that can be solved in it".to_string(),
            };
            return Err(Error::file(path, message));
        }
        games.sort_by(|a, b| a.name.cmp(&b.name));
        let games = games.into_iter().map(Arc::new).collect();
        Ok(Self { name: "alfworld", games, config, paraphrase: None, domain: reader.domain() })
    }

    /// Reads one game from the bytes of its file, which need be no more trusted than those of
    /// [`AlfWorld::load`]. `name` names the task, and the file in errors.
    ///
    /// # Errors
    /// Fails where the bytes are no game of the known domain, where the game cannot be solved, and
    /// where it goes beyond the bounds of [`AlfWorld::load`].
    pub fn read(name: &str, bytes: &[u8], config: AlfWorldConfig) -> Result<Self> {
        Self::read_by(&Reader::default(), name, bytes, config)
    }

    /// [`AlfWorld::read`], with what has been read of other games.
    pub(crate) fn read_by(
        reader: &Reader,
        name: &str,
        bytes: &[u8],
        config: AlfWorldConfig,
    ) -> Result<Self> {
        config.validate()?;
        source::check_size(bytes.len() as u64).map_err(|message| Error::input(name, message))?;
        let game = reader.read(name.to_string(), name, bytes)?;
        let game = game.ok_or_else(|| Error::input(name, "the game cannot be solved"))?;
        let games = vec![Arc::new(game)];
        Ok(Self { name: "alfworld", games, config, paraphrase: None, domain: reader.domain() })
    }

    /// The same tasks with other settings.
    #[must_use]
    pub fn with_config(self, config: AlfWorldConfig) -> Self {
        Self { config, ..self }
    }

    /// The same tasks with observations paraphrased: each with the given probability is told in other
    /// words, its lists in another order, at times with an aside that means nothing. An episode's
    /// seed decides. Goals and commands stay as they are.
    ///
    /// # Errors
    /// Fails with [`Error::Setting`] where `probability` is not in 0 to 1, and where a game's world is
    /// so large that its observations would take too long to tell in other words.
    pub fn with_paraphrase(self, probability: f64) -> Result<Self> {
        let paraphrase = match probability {
            0.0 => None,
            _ => Some(Arc::new(Paraphrase::new(probability)?)),
        };
        for (words, game) in paraphrase.iter().flat_map(|words| zip(repeat(words), &self.games)) {
            words.check_costs(game)?;
        }
        Ok(Self { paraphrase, ..self })
    }

    /// The same tasks in the words of other games: each takes the grammar of a game of its kind, and
    /// that game's way of naming the task. Worlds, goals and names stay; walkthroughs are the same
    /// actions in the other words.
    ///
    /// # Errors
    /// Fails where `models` has no game of a kind that is needed.
    pub fn worded_like(self, models: &Self) -> Result<Self> {
        let tasks = 0..self.games.len();
        let games = tasks.map(|task| Ok(Arc::new(reword(&self, task, models)?)));
        Ok(Self { games: games.collect::<Result<_>>()?, ..self })
    }

    /// These tasks, and after them those of `other`.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.games.extend(other.games);
        self
    }

    /// The settings.
    pub fn config(&self) -> &AlfWorldConfig {
        &self.config
    }

    /// The commands that solve a task, or none where the task's file has none.
    pub fn walkthrough(&self, task: usize) -> &[String] {
        self.games.get(task).map_or(&[], |game| &game.walkthrough)
    }

    /// Starts an episode, as [`Environment::start`] does, without hiding its type.
    ///
    /// # Errors
    /// Fails where there is no such task.
    pub fn session(&self, task: usize, seed: u64) -> Result<AlfWorldSession> {
        let session = AlfWorldSession::new(self.game(task)?.clone(), self.config);
        Ok(match &self.paraphrase {
            Some(paraphrase) => session.paraphrased(paraphrase.clone(), seed, task),
            None => session,
        })
    }

    fn game(&self, task: usize) -> Result<&Arc<Game>> {
        self.games.get(task).ok_or_else(|| {
            Error::Environment(format!("there is no task {task}: there are {}", self.games.len()))
        })
    }
}

type Progress<'a> = &'a mut dyn FnMut(usize, Option<usize>);

fn read_files(
    reader: &Reader,
    files: &[(String, std::path::PathBuf)],
    progress: Progress,
) -> Result<Vec<Game>> {
    let mut games = Vec::with_capacity(files.len());
    for batch in files.chunks(BATCH) {
        let read = map(batch, |(name, path)| {
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
    reader: &Reader,
    archive: &Path,
    is_wanted: &mut dyn FnMut(&str) -> bool,
    progress: Progress,
) -> Result<Vec<Game>> {
    let mut games = Vec::new();
    let mut batch: Vec<(String, Vec<u8>)> = Vec::with_capacity(BATCH);
    let mut held = 0;
    let mut read_batch = |batch: &mut Vec<(String, Vec<u8>)>| -> Result<()> {
        let read = map(batch, |(name, bytes)| {
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
            held += bytes.len();
            batch.push((name, bytes));
        }
        if batch.len() == BATCH || held > BATCH_BYTES {
            held = 0;
            return read_batch(&mut batch);
        }
        Ok(())
    })?;
    read_batch(&mut batch)?;
    Ok(games)
}

/// Maps a batch, on all cores where threads are allowed.
fn map<T: Sync, R: Send>(batch: &[T], work: impl Fn(&T) -> R + Sync + Send) -> Vec<R> {
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
