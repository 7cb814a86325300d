//! The environment, which is a list of games.

use std::iter::{repeat, zip};
use std::sync::Arc;

use super::config::AlfWorldConfig;
use super::expert::{Expert, Replay};
use super::game::{Game, GameReader};
use super::paraphrase::Paraphrase;
use super::reword::reword;
use super::session::AlfWorldSession;
use super::task_kind::TaskKind;
use super::variation::varied;
use crate::env::environment::{Environment, Player, Session, Split};
use crate::error::{Error, Result};
use crate::stream::{Purpose, Stream};

/// Maximum number of bytes of a game file. The published files have about 100 KB.
pub(crate) const MAX_GAME_BYTES: u64 = 16 << 20;

/// An environment of ALFWorld games or of generated household tasks.
#[derive(Debug, Clone)]
pub struct AlfWorld {
    /// The name in the registry: `alfworld` for games, `household` for generated tasks.
    name: &'static str,
    pub(super) games: Vec<Arc<Game>>,
    splits: Vec<Split>,
    config: AlfWorldConfig,
    /// The paraphrase of observations, if there is one.
    paraphrase: Option<Arc<Paraphrase>>,
    /// The seed of variations, if the tasks are varied.
    variation: Option<u64>,
    /// Remarks on the loading of the games.
    pub(super) notes: Vec<String>,
    /// The text of the domain of games from files.
    #[cfg_attr(not(feature = "fs"), expect(dead_code, reason = "only written games need it"))]
    pub(super) domain: Option<Arc<str>>,
}

impl AlfWorld {
    /// An environment of games, which are sorted by split. Their names begin with their splits.
    pub(super) fn from_games(
        name: &'static str,
        games: Vec<Game>,
        config: AlfWorldConfig,
        domain: Option<Arc<str>>,
    ) -> Self {
        let mut splits: Vec<Split> = Vec::new();
        for game in &games {
            let split = game.name.split('/').next().unwrap_or_default();
            match splits.last_mut().filter(|last| last.name == split) {
                Some(last) => last.tasks += 1,
                None => splits.push(Split { name: split.into(), tasks: 1 }),
            }
        }
        let games = games.into_iter().map(Arc::new).collect();
        Self {
            name,
            games,
            splits,
            config,
            paraphrase: None,
            variation: None,
            notes: Vec::new(),
            domain,
        }
    }

    /// Reads one game from the bytes of its file, which can be untrusted as for `AlfWorld::load`.
    /// `name` is the name of the task, and that of the file in errors.
    ///
    /// # Errors
    /// Returns an error if the bytes are not a game, if its goal cannot be reached, or if it exceeds
    /// the limits of `AlfWorld::load`. Like in the original, a mark that the game is unsolvable counts
    /// only where the games of a folder are collected.
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
        if bytes.len() as u64 > MAX_GAME_BYTES {
            let found = bytes.len();
            let message =
                format!("expected a game of at most {MAX_GAME_BYTES} bytes, found {found}");
            return Err(Error::input(name, message));
        }
        let game = reader.read_any(name.to_string(), name, bytes)?;
        Ok(Self::from_games("alfworld", vec![game], config, reader.domain()))
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

    /// Variations of the tasks, as `seed` decides: objects have changed places, receptacles are missing,
    /// and half of the tasks ask for another object or another target. The names of tasks stay; the tasks
    /// have no walkthroughs. Games with other rules than the published ones stay as they are.
    #[must_use]
    pub fn with_variations(self, seed: u64) -> Self {
        Self { variation: Some(seed), ..self }
    }

    /// The same tasks in the wording of other games. Each task gets the grammar and the form of the task
    /// line of a game of its kind. Worlds, goals and names do not change; walkthroughs contain the same
    /// actions in the new wording.
    ///
    /// # Errors
    /// Returns an error if `models` has no game of the kind of a task.
    pub fn worded_like(self, models: &Self) -> Result<Self> {
        let tasks = 0..self.games.len();
        let games = tasks.map(|task| Ok(Arc::new(reword(self.game(task)?, &models.games)?)));
        Ok(Self { games: games.collect::<Result<_>>()?, ..self })
    }

    /// Appends the tasks of `other`.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.games.extend(other.games);
        self.splits.extend(other.splits);
        self
    }

    /// The same tasks as one split.
    pub(crate) fn into_split(self, name: &str) -> Self {
        let splits = vec![Split { name: name.into(), tasks: self.games.len() as u64 }];
        Self { splits, ..self }
    }

    /// The settings.
    pub fn config(&self) -> &AlfWorldConfig {
        &self.config
    }

    /// The commands that solve a task. The list is empty if the task's file has none.
    pub fn walkthrough(&self, task: usize) -> &[String] {
        if self.variation.is_some() {
            return &[];
        }
        self.games.get(task).map_or(&[], |game| &game.walkthrough)
    }

    /// Starts an episode like [`Environment::start`] and returns its concrete type.
    ///
    /// # Errors
    /// Returns an error if there is no such task.
    pub fn session(&self, task: usize, seed: u64) -> Result<AlfWorldSession> {
        let session = AlfWorldSession::new(self.played_game(task)?, self.config);
        Ok(match &self.paraphrase {
            Some(paraphrase) => session.paraphrased(paraphrase.clone(), seed, task),
            None => session,
        })
    }

    /// The game that is played for a task: its own or a variation.
    fn played_game(&self, task: usize) -> Result<Arc<Game>> {
        let game = self.game(task)?;
        Ok(match self.variation {
            Some(seed) => {
                let stream = Stream::new(seed, Purpose::Variation);
                Arc::new(varied(game, &mut stream.of(task, 0).rng()))
            }
            None => game.clone(),
        })
    }

    /// The game of a task, without variation.
    pub(super) fn game(&self, task: usize) -> Result<&Arc<Game>> {
        self.games.get(task).ok_or_else(|| {
            Error::Environment(format!("there is no task {task}: there are {}", self.games.len()))
        })
    }
}

impl Environment for AlfWorld {
    fn name(&self) -> &str {
        self.name
    }

    fn tasks(&self) -> usize {
        self.games.len()
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }

    fn task_name(&self, task: usize) -> &str {
        self.games.get(task).map_or("", |game| &game.name)
    }

    fn task_kind(&self, task: usize) -> usize {
        self.games.get(task).map_or(0, |game| game.kind() as usize)
    }

    fn kinds(&self) -> Vec<String> {
        TaskKind::NAMES.map(str::to_string).into()
    }

    fn max_steps(&self) -> usize {
        self.config.max_steps
    }

    fn splits(&self) -> Vec<Split> {
        self.splits.clone()
    }

    fn start(&self, task: usize, seed: u64) -> Result<Box<dyn Session>> {
        Ok(Box::new(self.session(task, seed)?))
    }

    fn expert(&self, task: usize) -> Option<Box<dyn Player>> {
        let game = self.played_game(task).ok()?;
        Some(match game.published() {
            Ok(published) => Box::new(Expert::new(&game, published)),
            // The rules can ask for more than the expert knows.
            Err(_) => Box::new(Replay::new(&game.walkthrough)?),
        })
    }

    fn varied(&self, seed: u64) -> Option<Box<dyn Environment>> {
        Some(Box::new(self.clone().with_variations(seed)))
    }

    fn walkthrough(&self, task: usize) -> Option<&[String]> {
        let commands = self.walkthrough(task);
        (!commands.is_empty()).then_some(commands)
    }
}
