//! Loads games from folders and archives.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::annotations::{Annotations, annotated, sentences};
use super::archive::{Format, Visitor, unpack};
use super::config::AlfWorldConfig;
use super::environment::AlfWorld;
use super::game::{Game, GameReader};
use super::game_file::{self, GAME, TRAJECTORY};
use super::list::GameList;
use super::source::Source;
use crate::error::{Error, Result};
use crate::parallel::par_map;

/// Maximum number of games per batch. Progress is reported after each batch.
const BATCH_GAMES: usize = 64;

/// Number of bytes after which a batch from an archive ends early.
const BATCH_BYTES: usize = 48 << 20;

/// Maximum number of broken games that are named.
const MAX_NAMED: usize = 10;

/// Which games to load, and how.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The split to load; all splits if it is `None`.
    pub split: Option<String>,
    /// A file that lists the games to load: one name or path of a game or a task a line, absolute or not,
    /// with or without the split and the file name `game.tw-pddl`; or a JSON file with such texts.
    pub list: Option<PathBuf>,
    /// Pass over games that cannot be read. [`Environment::notes`](crate::env::Environment::notes)
    /// names them.
    pub skip_broken: bool,
    /// The wording of goals.
    pub annotations: Annotations,
    /// Step limit and rewards.
    pub rules: AlfWorldConfig,
}

impl AlfWorld {
    /// Loads games, sorted by name.
    ///
    /// `path` is the folder `json_2.1.1`, an archive of it (zip, or tar as it is or compressed with gzip,
    /// xz or zstd), a folder that contains one of these, the folder of one split, task or game, or one
    /// game file. With a `split`, only its games are loaded; one game file is loaded whatever its split.
    /// The name of a task is `<split>/<task>/<trial>`. Games that their files mark as unsolvable are left
    /// out.
    ///
    /// The files can be untrusted. Nothing in them is executed, nothing is written to disk, and paths
    /// in an archive are used only as names. Reading a game file takes at most 16 MiB of memory plus
    /// 32 times the size of the file; as many files are read at once as there are cores. Limits: 16 MiB
    /// for a file; 16 GiB for an unpacked archive, of which at most 64 MiB are in memory at a time; 256
    /// MiB of memory for decompression. Domains, goals and grammars whose evaluation could take too long, or
    /// whose texts could become too long, are rejected.
    ///
    /// # Errors
    /// Returns an error if there are no such games, if a file is not a game or its goal cannot be
    /// reached, or if a file exceeds these limits.
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
        let split = split.map(str::to_string);
        let options = LoadOptions { split, rules: config, ..LoadOptions::default() };
        Self::load_options(path, &options, progress)
    }

    /// Loads games like [`AlfWorld::load_with`], with more options.
    ///
    /// # Errors
    /// Returns the errors of [`AlfWorld::load`], an error if a listed game is not found, and an error if
    /// no game has annotations and they are asked for.
    pub fn load_options(
        path: &Path,
        options: &LoadOptions,
        progress: &mut dyn FnMut(usize, Option<usize>),
    ) -> Result<Self> {
        options.rules.validate()?;
        let list = options.list.as_deref().map(GameList::read).transpose()?;
        let source = Source::find(path)?;
        let listed = match &list {
            Some(list) => Some(list.select(&names(&source)?)?),
            None => None,
        };
        let is_single = matches!(source, Source::File(..));
        let mut loader = Loader::new(options, listed, is_single);
        match source {
            Source::File(name, file) => loader.files(vec![(name, file)], progress)?,
            Source::Files(files) => loader.files(files, progress)?,
            Source::Archive(archive, format) => loader.archive(&archive, format, progress)?,
        }
        loader.finish(path)
    }
}

type Progress<'a> = &'a mut dyn FnMut(usize, Option<usize>);

/// The names of all games of a source.
fn names(source: &Source) -> Result<Vec<String>> {
    struct Names(Vec<String>);
    impl Visitor for Names {
        fn wants(&mut self, name: &str, file: &'static str) -> bool {
            if file == GAME {
                self.0.push(name.to_string());
            }
            false
        }

        fn found(&mut self, _: String, _: &'static str, _: Result<Vec<u8>, String>) -> Result<()> {
            Ok(())
        }
    }
    Ok(match source {
        Source::File(name, _) => vec![name.clone()],
        Source::Files(files) => files.iter().map(|(name, _)| name.clone()).collect(),
        Source::Archive(path, format) => {
            let mut names = Names(Vec::new());
            unpack(path, *format, &mut names)?;
            names.0
        }
    })
}

/// A game of an archive: its name, its place in errors, and the contents of its file.
struct Entry {
    name: String,
    place: String,
    bytes: Vec<u8>,
}

/// The state of loading.
struct Loader<'a> {
    reader: GameReader,
    options: &'a LoadOptions,
    /// The names of the games to load; all if it is `None`.
    listed: Option<HashSet<String>>,
    /// There is only one game, which is loaded whatever its split.
    is_single: bool,
    /// The number of listed games by split.
    splits: BTreeMap<String, usize>,
    games: Vec<Game>,
    /// The annotators' sentences by game, from an archive.
    sentences: HashMap<String, Result<Vec<String>, String>>,
    unsolvable: usize,
    broken: usize,
    /// The errors of the first broken games.
    errors: Vec<Error>,
    without_annotations: usize,
}

impl<'a> Loader<'a> {
    fn new(options: &'a LoadOptions, listed: Option<HashSet<String>>, is_single: bool) -> Self {
        Self {
            reader: GameReader::default(),
            options,
            listed,
            is_single,
            splits: BTreeMap::new(),
            games: Vec::new(),
            sentences: HashMap::new(),
            unsolvable: 0,
            broken: 0,
            errors: Vec::new(),
            without_annotations: 0,
        }
    }

    /// Whether a game is to be loaded. Counts its split.
    fn wants_game(&mut self, name: &str) -> bool {
        if self.listed.as_ref().is_some_and(|listed| !listed.contains(name)) {
            return false;
        }
        let split = game_file::split_of(name);
        match self.splits.get_mut(split) {
            Some(count) => *count += 1,
            None => {
                self.splits.insert(split.to_string(), 1);
            }
        }
        self.is_single || self.options.split.as_deref().is_none_or(|wanted| wanted == split)
    }

    fn files(&mut self, mut files: Vec<(String, PathBuf)>, progress: Progress) -> Result<()> {
        files.retain(|(name, _)| self.wants_game(name));
        let mut done = 0;
        for batch in files.chunks(BATCH_GAMES) {
            // Files are read where they are parsed, so that few are in memory at once.
            let read = par_map(batch.len(), |at| {
                let (name, path) = &batch[at];
                let place = path.display().to_string();
                let game = game_file::read(path).and_then(|bytes| self.parse(name, &place, &bytes));
                (game, self.annotations_beside(path))
            });
            for ((game, sentences), (name, _)) in read.into_iter().zip(batch) {
                if let Some(sentences) = sentences {
                    self.sentences.insert(name.clone(), sentences);
                }
                self.keep(game)?;
            }
            done += batch.len();
            progress(done, Some(files.len()));
        }
        Ok(())
    }

    /// The annotators' sentences beside a game file, if they are asked for and there are any.
    fn annotations_beside(&self, game: &Path) -> Option<Result<Vec<String>, String>> {
        let path = game.with_file_name(TRAJECTORY);
        if self.options.annotations == Annotations::Templated || !path.is_file() {
            return None;
        }
        let bytes = game_file::read(&path).map_err(|error| error.to_string());
        let place = |error| format!("{}: {error}", path.display());
        Some(bytes.and_then(|bytes| sentences(&bytes).map_err(place)))
    }

    fn archive(&mut self, archive: &Path, format: Format, progress: Progress) -> Result<()> {
        let mut batches = ArchiveBatches {
            archive,
            loader: self,
            batch: Vec::new(),
            bytes: 0,
            done: 0,
            progress,
        };
        unpack(archive, format, &mut batches)?;
        batches.read_batch()
    }

    fn parse(&self, name: &str, place: &str, bytes: &[u8]) -> Result<Option<Game>> {
        self.reader.read(name.to_string(), place, bytes)
    }

    /// Keeps a game, counts it as unsolvable, or passes over it.
    fn keep(&mut self, game: Result<Option<Game>>) -> Result<()> {
        match game {
            Ok(Some(game)) => self.games.push(game),
            Ok(None) => self.unsolvable += 1,
            Err(error) => self.pass_over(error)?,
        }
        Ok(())
    }

    /// Counts a broken game, or returns its error with the way to pass over it.
    fn pass_over(&mut self, error: Error) -> Result<()> {
        match error {
            error if self.options.skip_broken => {
                self.broken += 1;
                if self.errors.len() < MAX_NAMED {
                    self.errors.push(error);
                }
                Ok(())
            }
            Error::Input { place, message } if !self.is_single => {
                let advice = "set env.skip_broken to pass over games that cannot be read";
                Err(Error::input(place, format!("{message}; {advice}")))
            }
            error => Err(error),
        }
    }

    /// Gives the games the goals of annotators.
    fn annotate(&mut self) -> Result<()> {
        if self.options.annotations == Annotations::Templated {
            return Ok(());
        }
        for game in std::mem::take(&mut self.games) {
            let name = game.name.clone();
            match self.sentences.remove(&name) {
                None => self.without_annotations += 1,
                Some(Err(message)) => self.pass_over(Error::input(&name, message))?,
                Some(Ok(sentences)) => {
                    match annotated(game, &sentences, self.options.annotations) {
                        Ok(games) => self.games.extend(games),
                        Err(error) => self.pass_over(Error::input(&name, error.to_string()))?,
                    }
                }
            }
        }
        Ok(())
    }

    fn finish(mut self, path: &Path) -> Result<AlfWorld> {
        self.annotate()?;
        if self.games.is_empty() {
            return Err(Error::file(path, self.nothing_found()));
        }
        let notes = self.notes();
        let mut games = self.games;
        games.sort_by(|a, b| a.name.cmp(&b.name));
        let domain = self.reader.domain();
        let mut world = AlfWorld::from_games("alfworld", games, self.options.rules, domain);
        world.notes = notes;
        Ok(world)
    }

    /// The reason why there are no games.
    fn nothing_found(&self) -> String {
        let listed = if self.listed.is_some() { "listed " } else { "" };
        let all = self.unsolvable + self.broken + self.without_annotations;
        if all == 0 {
            return match (&self.options.split, self.splits.is_empty()) {
                (Some(split), false) => {
                    let splits: Vec<&str> = self.splits.keys().map(String::as_str).collect();
                    let of = if self.listed.is_some() { " among the listed games" } else { "" };
                    format!("there is no split '{split}'{of}; found {}", splits.join(", "))
                }
                _ => format!("found no games: expected files <split>/<task>/<trial>/{GAME}"),
            };
        }
        let split = self.options.split.as_ref().filter(|_| !self.is_single);
        let of = split.map(|split| format!(" of the split '{split}'")).unwrap_or_default();
        let games = format!("{all} {listed}games{of}");
        if all == self.unsolvable {
            return format!("all {games} are marked as unsolvable");
        }
        if all == self.broken {
            let first = self.errors.first().map(Error::to_string).unwrap_or_default();
            return format!("none of the {games} can be read; the first error: {first}");
        }
        let parts = [
            (self.unsolvable, "marked as unsolvable".to_string()),
            (self.broken, "broken".to_string()),
            (self.without_annotations, format!("without {TRAJECTORY} beside the game")),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts.map(|(count, text)| format!("{count} {text}")).collect();
        format!("none of the {games} can be played: {}", parts.join(", "))
    }

    /// Remarks on the games that were left out.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.unsolvable > 0 {
            notes.push(format!("{} games are marked as unsolvable and left out", self.unsolvable));
        }
        if self.without_annotations > 0 {
            let count = self.without_annotations;
            notes.push(format!("{count} games have no {TRAJECTORY} beside them and are left out"));
        }
        if self.broken > 0 {
            notes.push(format!("{} games cannot be read and are passed over:", self.broken));
            notes.extend(self.errors.iter().map(|error| format!("  {error}")));
            if self.broken > self.errors.len() {
                notes.push(format!("  and {} more", self.broken - self.errors.len()));
            }
        }
        notes
    }
}

/// The games of an archive, which are parsed in batches.
struct ArchiveBatches<'l, 'a, 'p> {
    archive: &'l Path,
    loader: &'l mut Loader<'a>,
    batch: Vec<Entry>,
    /// The number of bytes in the batch.
    bytes: usize,
    /// The number of games that were read.
    done: usize,
    progress: Progress<'p>,
}

impl ArchiveBatches<'_, '_, '_> {
    fn read_batch(&mut self) -> Result<()> {
        let (loader, batch) = (&mut *self.loader, &self.batch);
        let read = par_map(batch.len(), |at| {
            let Entry { name, place, bytes } = &batch[at];
            loader.parse(name, place, bytes)
        });
        read.into_iter().try_for_each(|game| loader.keep(game))?;
        self.done += self.batch.len();
        (self.progress)(self.done, None);
        self.batch.clear();
        self.bytes = 0;
        Ok(())
    }
}

impl Visitor for ArchiveBatches<'_, '_, '_> {
    fn wants(&mut self, name: &str, file: &'static str) -> bool {
        match file {
            GAME => self.loader.wants_game(name),
            _ => self.loader.options.annotations != Annotations::Templated,
        }
    }

    fn found(
        &mut self,
        name: String,
        file: &'static str,
        content: Result<Vec<u8>, String>,
    ) -> Result<()> {
        let place = format!("{}: {name}", self.archive.display());
        if file == TRAJECTORY {
            let found = content.and_then(|bytes| sentences(&bytes));
            self.loader.sentences.insert(name, found.map_err(|error| format!("{place}: {error}")));
            return Ok(());
        }
        match content {
            Ok(bytes) => {
                self.bytes += bytes.len();
                self.batch.push(Entry { name, place, bytes });
            }
            Err(message) => self.loader.pass_over(Error::input(place, message))?,
        }
        if self.batch.len() == BATCH_GAMES || self.bytes > BATCH_BYTES {
            return self.read_batch();
        }
        Ok(())
    }
}
