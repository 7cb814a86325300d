//! Finding and reading game files: in folders, or in the archive that they are published in.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files::write_atomic;

/// The file that holds a game.
pub(crate) const GAME: &str = "game.tw-pddl";

/// The folder that the games are published in, and the archive of it.
const FOLDER: &str = "json_2.1.1";
const ARCHIVE: &str = "json_2.1.1.tar.xz";

/// The most bytes of a game's file. The published ones have some 100 KB.
pub(crate) const MAX_BYTES: u64 = 16 << 20;

/// The most files and folders that are looked at for games. Links may lead in circles.
const MAX_ENTRIES: usize = 200_000;

/// Where games come from.
pub(crate) enum Source {
    /// Game files, by the names of their games.
    Files(Vec<(String, PathBuf)>),
    /// An archive of them.
    Archive(PathBuf),
}

impl Source {
    /// Finds the games at `path`: an archive, the folder of all splits, one split, or a folder that
    /// holds one of these.
    ///
    /// # Errors
    /// Fails where there are no games.
    pub(crate) fn find(path: &Path) -> Result<Self> {
        if fs::metadata(path).map_err(Error::io("open", path))?.is_file() {
            return Ok(Self::Archive(path.to_path_buf()));
        }
        let mut walk = Walk { left: MAX_ENTRIES };
        for folder in [path.join(FOLDER), path.to_path_buf()] {
            let files = match walk.depth(&folder, 4)? {
                Some(3) => walk.one_split(&folder)?,
                Some(4) => walk.all_splits(&folder)?,
                _ => continue,
            };
            return Ok(Self::Files(files));
        }
        let archive = path.join(ARCHIVE);
        if archive.is_file() {
            return Ok(Self::Archive(archive));
        }
        let looked_for = format!(
            "found no games: looked for <split>/<task>/<trial>/{GAME} here and in {FOLDER}/, for \
             <task>/<trial>/{GAME}, and for {ARCHIVE}"
        );
        Err(Error::file(path, looked_for))
    }
}

/// A walk through folders that ends.
struct Walk {
    /// How many more files and folders are looked at.
    left: usize,
}

impl Walk {
    /// How many folders lie between `folder` and the first game in it, at most `most`; a game in the
    /// folder itself would be at 1.
    fn depth(&mut self, folder: &Path, most: usize) -> Result<Option<usize>> {
        if folder.join(GAME).is_file() {
            return Ok(Some(1));
        }
        if most == 1 {
            return Ok(None);
        }
        let folders = match self.folders(folder) {
            Ok(folders) => folders,
            Err(error) if self.left == 0 => return Err(error),
            // What cannot be listed may lie beside games.
            Err(_) => return Ok(None),
        };
        for inner in folders {
            if let Some(depth) = self.depth(&inner, most - 1)? {
                return Ok(Some(depth + 1));
            }
        }
        Ok(None)
    }

    /// The folders in a folder.
    fn folders(&mut self, folder: &Path) -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(folder).map_err(Error::io("list", folder))?;
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Error::io("list", folder))?;
            self.left = self.left.checked_sub(1).ok_or_else(|| {
                let message = format!(
                    "looked for games among {MAX_ENTRIES} files and folders, and there are more: \
                     do links lead in a circle?"
                );
                Error::file(folder, message)
            })?;
            let kind = entry.file_type().map_err(Error::io("list", folder))?;
            if kind.is_dir() || kind.is_symlink() && entry.path().is_dir() {
                found.push(entry.path());
            }
        }
        Ok(found)
    }

    fn all_splits(&mut self, folder: &Path) -> Result<Vec<(String, PathBuf)>> {
        let mut found = Vec::new();
        for split in self.folders(folder)? {
            found.extend(self.one_split(&split)?);
        }
        Ok(found)
    }

    fn one_split(&mut self, split: &Path) -> Result<Vec<(String, PathBuf)>> {
        // The path may be ".", which says nothing of the folder's name.
        let name = file_name(&split.canonicalize().map_err(Error::io("open", split))?);
        let mut found = Vec::new();
        for task in self.folders(split)? {
            for trial in self.folders(&task)? {
                let file = trial.join(GAME);
                if file.is_file() {
                    let name = format!("{name}/{}/{}", file_name(&task), file_name(&trial));
                    check_name(&trial, &name)?;
                    found.push((name, file));
                }
            }
        }
        Ok(found)
    }
}

pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Refuses a name that would command a terminal which shows it.
pub(super) fn check_name(place: &Path, name: &str) -> Result<()> {
    if name.contains(char::is_control) {
        return Err(Error::file(place, format!("the name {name:?} holds control characters")));
    }
    Ok(())
}

/// Reads one file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let file = fs::File::open(path).map_err(Error::io("read", path))?;
    let size = file.metadata().map_or(0, |found| found.len());
    read_game(file, size).map_err(|message| Error::file(path, message))
}

/// Reads a game, about `size` bytes.
pub(super) fn read_game(input: impl Read, size: u64) -> Result<Vec<u8>, String> {
    read_at_most(input, size, MAX_BYTES).map_err(|error| format!("cannot read the game: {error}"))
}

/// Refuses a game's file for its size.
pub(super) fn check_size(size: u64) -> Result<(), String> {
    let too_large = || format!("expected a game of at most {MAX_BYTES} bytes, found {size}");
    if size > MAX_BYTES { Err(too_large()) } else { Ok(()) }
}

/// Reads about `size` and at most `most` bytes; more are an error.
pub(super) fn read_at_most(input: impl Read, size: u64, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(size.min(most) as usize + 1);
    input.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("it has more than {most} bytes")));
    }
    Ok(bytes)
}

/// Writes one file of a game's folder, which is made where it does not exist.
pub(crate) fn write(folder: &Path, name: &str, content: &serde_json::Value) -> Result<()> {
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    write_atomic(&folder.join(name), content.to_string().as_bytes())
}

/// The split in a game's name.
pub(crate) fn split_of(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}
