//! Finds and reads game files in folders or in the published archive.

use std::fs;
use std::path::{Path, PathBuf};

use super::archive::Format;
use super::game_file::{GAME, check_name, file_name};
use crate::error::{Error, Result};

/// The folder of the published games, and the endings of its archives.
const FOLDER: &str = "json_2.1.1";
const ENDINGS: [&str; 5] = [".tar.xz", ".zip", ".tar.gz", ".tar.zst", ".tar"];

/// The split of a game whose path names none.
const NO_SPLIT: &str = "games";

/// Maximum number of files and folders in the search for games. Links can form cycles.
const MAX_ENTRIES: usize = 200_000;

/// The location of games.
pub(crate) enum Source {
    /// Game files, each with the name of its game.
    Files(Vec<(String, PathBuf)>),
    /// One game file with the name of its game.
    File(String, PathBuf),
    /// An archive of game files.
    Archive(PathBuf, Format),
}

impl Source {
    /// Finds the games at `path`: a game file, an archive, the folder of all splits, of one split, of
    /// one task or of one game, or a folder that contains an archive or all splits.
    ///
    /// # Errors
    /// Returns an error if there are no games.
    pub(crate) fn find(path: &Path) -> Result<Self> {
        if fs::metadata(path).map_err(Error::io("open", path))?.is_file() {
            return Ok(match Format::detect(path)? {
                Format::Game => Self::File(name_of(path)?, path.to_path_buf()),
                format => Self::Archive(path.to_path_buf(), format),
            });
        }
        if path.join(GAME).is_file() {
            return Ok(Self::File(name_of(&path.join(GAME))?, path.join(GAME)));
        }
        let mut search = FolderSearch { remaining: MAX_ENTRIES };
        for folder in [path.join(FOLDER), path.to_path_buf()] {
            let files = match search.depth(&folder, 4)? {
                Some(2) => search.one_task(&folder)?,
                Some(3) => search.one_split(&folder)?,
                Some(4) => search.all_splits(&folder)?,
                _ => continue,
            };
            return Ok(Self::Files(files));
        }
        for ending in ENDINGS {
            let archive = path.join(format!("{FOLDER}{ending}"));
            if archive.is_file() {
                let format = Format::detect(&archive)?;
                return Ok(Self::Archive(archive, format));
            }
        }
        let looked_for = format!(
            "found no games: looked for <split>/<task>/<trial>/{GAME} here and in {FOLDER}/, for \
             <task>/<trial>/{GAME}, for <trial>/{GAME}, and for {FOLDER} as {}",
            ENDINGS.join(", ")
        );
        Err(Error::file(path, looked_for))
    }
}

/// The name of the game in a file, from the folders that contain the file.
fn name_of(file: &Path) -> Result<String> {
    let file = file.canonicalize().map_err(Error::io("open", file))?;
    let folders = file.ancestors().skip(1).map(file_name).filter(|name| !name.is_empty());
    let mut names: Vec<String> = folders.take(3).collect();
    names.resize(3, NO_SPLIT.to_string());
    names.reverse();
    let name = names.join("/");
    check_name(&file, &name)?;
    Ok(name)
}

/// A search through folders with a limited number of entries.
struct FolderSearch {
    /// The remaining number of files and folders.
    remaining: usize,
}

impl FolderSearch {
    /// The number of path components from `folder` to the first game file in it, or `None` if it exceeds
    /// `max_depth`. A game file directly in the folder has depth 1.
    fn depth(&mut self, folder: &Path, max_depth: usize) -> Result<Option<usize>> {
        if folder.join(GAME).is_file() {
            return Ok(Some(1));
        }
        if max_depth == 1 {
            return Ok(None);
        }
        let folders = match self.folders(folder) {
            Ok(folders) => folders,
            Err(error) if self.remaining == 0 => return Err(error),
            // An unreadable folder can be next to the games.
            Err(_) => return Ok(None),
        };
        for inner in folders {
            if let Some(depth) = self.depth(&inner, max_depth - 1)? {
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
            self.remaining = self.remaining.checked_sub(1).ok_or_else(|| {
                let message = format!(
                    "there are more than {MAX_ENTRIES} files and folders: do links form a cycle?"
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

    /// The games of all splits in a folder.
    fn all_splits(&mut self, folder: &Path) -> Result<Vec<(String, PathBuf)>> {
        let mut found = Vec::new();
        for split in self.folders(folder)? {
            found.extend(self.one_split(&split)?);
        }
        Ok(found)
    }

    /// The games of one task.
    fn one_task(&mut self, task: &Path) -> Result<Vec<(String, PathBuf)>> {
        let mut found = Vec::new();
        for trial in self.folders(task)? {
            let file = trial.join(GAME);
            if file.is_file() {
                found.push((name_of(&file)?, file));
            }
        }
        Ok(found)
    }

    /// The games of one split.
    fn one_split(&mut self, split: &Path) -> Result<Vec<(String, PathBuf)>> {
        // The path can be ".", which does not contain the name of the folder.
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
