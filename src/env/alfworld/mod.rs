//! ALFWorld: household tasks in text, played natively.
//!
//! Games come from files ([`AlfWorld::load`]): each holds a planning problem, which becomes a typed
//! world, and a grammar, which says how that world speaks. State and text are kept apart: actions
//! change a small state, and texts are made from it only when asked for.

mod action;
mod fact;
mod game;
mod generator;
mod goal;
mod grammar;
mod names;
mod pddl;
mod relation;
mod session;
mod source;
mod state;
mod world;

pub use generator::{Difficulty, GeneratorConfig, TaskMix, generate};
pub use session::AlfWorldSession;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Environment, Session};
use crate::error::{Error, Result};
use game::{Game, Reader};
use goal::TaskKind;
use source::Source;

/// How many games are read between two reports of progress.
const BATCH: usize = 64;

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
    games: Vec<Arc<Game>>,
    config: AlfWorldConfig,
}

impl AlfWorld {
    /// Loads games, sorted by name.
    ///
    /// `path` is the folder `json_2.1.1`, a folder that holds it, the folder of one split, the
    /// archive `json_2.1.1.tar.xz` or a folder that holds that. With a `split`, only its games are
    /// loaded. A task's name is `<split>/<task>/<trial>`.
    ///
    /// # Errors
    /// Fails where there are no such games, or where a file is not a game of the known domain.
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
        let mut games = match Source::find(path)? {
            Source::Files(mut files) => {
                files.retain(|(name, _)| is_wanted(name));
                read_files(&files, progress)?
            }
            Source::Archive(archive) => read_archive(&archive, &mut is_wanted, progress)?,
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
        Ok(Self { games: games.into_iter().map(Arc::new).collect(), config })
    }

    /// The same tasks with other settings.
    #[must_use]
    pub fn with_config(self, config: AlfWorldConfig) -> Self {
        Self { config, ..self }
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
    pub fn session(&self, task: usize) -> Result<AlfWorldSession> {
        let game = self.games.get(task).ok_or_else(|| {
            Error::Environment(format!("there is no task {task}: there are {}", self.games.len()))
        })?;
        Ok(AlfWorldSession::new(game.clone(), self.config))
    }
}

type Progress<'a> = &'a mut dyn FnMut(usize, Option<usize>);

fn read_files(
    files: &[(String, std::path::PathBuf)],
    progress: Progress,
) -> Result<Vec<Game>> {
    let reader = Reader::default();
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
    archive: &Path,
    is_wanted: &mut dyn FnMut(&str) -> bool,
    progress: Progress,
) -> Result<Vec<Game>> {
    let reader = Reader::default();
    let mut games = Vec::new();
    let mut batch: Vec<(String, Vec<u8>)> = Vec::with_capacity(BATCH);
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
    source::unpack(archive, &mut |name, bytes| {
        if is_wanted(&name) {
            batch.push((name, bytes));
        }
        if batch.len() == BATCH { read_batch(&mut batch) } else { Ok(()) }
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
        "alfworld"
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

    fn start(&self, task: usize, _seed: u64) -> Result<Box<dyn Session>> {
        Ok(Box::new(self.session(task)?))
    }
}
