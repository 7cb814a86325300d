//! Loads games from folders and archives.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::archive;
use super::config::AlfWorldConfig;
use super::environment::AlfWorld;
use super::game::{Game, GameReader};
use super::source::{self, Source};
use crate::error::{Error, Result};
use crate::parallel::par_map;

/// Maximum number of games per batch. Progress is reported after each batch.
const BATCH_GAMES: usize = 64;

/// Number of bytes after which a batch from an archive ends early.
const BATCH_BYTES: usize = 48 << 20;

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
        Ok(Self::from_games("alfworld", games, config, reader.domain()))
    }
}

type Progress<'a> = &'a mut dyn FnMut(usize, Option<usize>);

fn read_files(
    reader: &GameReader,
    files: &[(String, PathBuf)],
    progress: Progress,
) -> Result<Vec<Game>> {
    let mut games = Vec::with_capacity(files.len());
    for batch in files.chunks(BATCH_GAMES) {
        let read = par_map(batch.len(), |place| {
            let (name, path) = &batch[place];
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
        let read = par_map(batch.len(), |place| {
            let (name, bytes) = &batch[place];
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
