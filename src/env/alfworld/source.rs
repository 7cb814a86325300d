//! Finding and reading game files: in folders, or in the archive that they are published in.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files::write_whole;

/// The file that holds a game.
pub(crate) const GAME: &str = "game.tw-pddl";

/// The folder that the games are published in, and the archive of it.
const FOLDER: &str = "json_2.1.1";
const ARCHIVE: &str = "json_2.1.1.tar.xz";

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
        for folder in [path.join(FOLDER), path.to_path_buf()] {
            let files = match depth(&folder, 4, &mut 20_000) {
                Some(3) => one_split(&folder)?,
                Some(4) => all_splits(&folder)?,
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

/// How many folders lie between `folder` and the first game in it, at most `most`; a game in the
/// folder itself would be at 1. `budget` bounds how many folders are looked into.
fn depth(folder: &Path, most: usize, budget: &mut usize) -> Option<usize> {
    if folder.join(GAME).is_file() {
        return Some(1);
    }
    *budget = budget.checked_sub(1)?;
    if most == 1 {
        return None;
    }
    folders(folder).ok()?.iter().find_map(|inner| Some(depth(inner, most - 1, budget)? + 1))
}

/// The folders in a folder.
fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(Error::io("list", folder))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io("list", folder))?;
        let kind = entry.file_type().map_err(Error::io("list", folder))?;
        if kind.is_dir() || kind.is_symlink() && entry.path().is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn all_splits(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for split in folders(folder)? {
        found.extend(one_split(&split)?);
    }
    Ok(found)
}

fn one_split(split: &Path) -> Result<Vec<(String, PathBuf)>> {
    // The path may be ".", which says nothing of the folder's name.
    let name = file_name(&split.canonicalize().map_err(Error::io("open", split))?);
    let mut found = Vec::new();
    for task in folders(split)? {
        for trial in folders(&task)? {
            let file = trial.join(GAME);
            if file.is_file() {
                found.push((format!("{name}/{}/{}", file_name(&task), file_name(&trial)), file));
            }
        }
    }
    Ok(found)
}

/// Reads one file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(Error::io("read", path))
}

/// Writes one file of a game's folder, which is made where it does not exist.
pub(crate) fn write(folder: &Path, name: &str, content: &serde_json::Value) -> Result<()> {
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    write_whole(&folder.join(name), content.to_string().as_bytes())
}

/// Unpacks an archive and hands the games of it to `found`, each with its name.
///
/// # Errors
/// Fails where the archive cannot be read, and where `found` does.
pub(crate) fn unpack(
    path: &Path,
    found: &mut dyn FnMut(String, Vec<u8>) -> Result<()>,
) -> Result<()> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let damaged = |error: std::io::Error| {
        Error::file(path, format!("cannot be read as a .tar.xz archive of games: {error}"))
    };
    let mut archive = tar::Archive::new(liblzma::read::XzDecoder::new(file));
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let inner = entry.path().map_err(damaged)?.into_owned();
        let Some(name) = game_name(&inner) else { continue };
        let mut bytes = Vec::with_capacity(entry.size().min(1 << 24) as usize);
        entry.read_to_end(&mut bytes).map_err(damaged)?;
        found(name, bytes)?;
    }
    Ok(())
}

/// The name of the game in a file of an archive, `…/<split>/<task>/<trial>/game.tw-pddl`.
fn game_name(path: &Path) -> Option<String> {
    let trial = path.parent().filter(|_| file_name(path) == GAME)?;
    let task = trial.parent()?;
    let split = task.parent()?;
    let parts = [split, task, trial].map(file_name);
    parts.iter().all(|part| !part.is_empty()).then(|| parts.join("/"))
}

/// The split in a game's name.
pub(crate) fn split_of(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}
