//! The files of a game: their names, and reading and writing them.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use super::environment::MAX_GAME_BYTES;
use crate::error::{Error, Result};
use crate::files::write_atomic;

/// The file name of a game.
pub(crate) const GAME: &str = "game.tw-pddl";

/// The file beside a game with the sentences of annotators.
pub(super) const TRAJECTORY: &str = "traj_data.json";

/// The files that are read from archives.
pub(super) const ENTRIES: [&str; 2] = [GAME, TRAJECTORY];

/// The last component of a path.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Rejects a name with control characters, which a terminal would execute.
pub(super) fn check_name(place: &Path, name: &str) -> Result<()> {
    if name.contains(char::is_control) {
        return Err(Error::file(place, format!("the name {name:?} contains control characters")));
    }
    Ok(())
}

/// Reads a game file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let file = fs::File::open(path).map_err(Error::io("read", path))?;
    let size = file.metadata().map_or(0, |found| found.len());
    read_game(file, size).map_err(|message| Error::file(path, message))
}

/// Reads a game of about `size` bytes.
pub(super) fn read_game(input: impl Read, size: u64) -> Result<Vec<u8>, String> {
    read_at_most(input, size, MAX_GAME_BYTES)
        .map_err(|error| format!("cannot read the game: {error}"))
}

/// Reads about `size` bytes.
///
/// # Errors
/// Returns an error if there are more than `max` bytes.
pub(super) fn read_at_most(input: impl Read, size: u64, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(size.min(max) as usize + 1);
    input.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::other(format!("it has more than {max} bytes")));
    }
    Ok(bytes)
}

/// Writes a file of a game. Creates the folder if it does not exist.
pub(crate) fn write(folder: &Path, name: &str, content: &serde_json::Value) -> Result<()> {
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    write_atomic(&folder.join(name), content.to_string().as_bytes())
}

/// The split in the name of a game.
pub(crate) fn split_of(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}
