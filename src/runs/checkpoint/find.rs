//! Which checkpoints a run has, which of them are whole, and which stay.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::manifest::{MANIFEST, Manifest};
use super::{NEEDED, STATE, expect_version, folder, read_state};
use crate::error::{Error, Result};

/// Which checkpoint of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// The newest.
    #[default]
    Latest,
    /// That of the best evaluation on held-out tasks; of equally good ones the latest.
    Best,
    /// That of an iteration.
    Iteration(u64),
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "latest" => Ok(Self::Latest),
            "best" => Ok(Self::Best),
            _ => text
                .parse()
                .map(Self::Iteration)
                .map_err(|_| "expected latest, best or the number of an iteration".into()),
        }
    }
}

/// The iterations that a run has checkpoints of, ascending.
///
/// # Errors
/// Where the folder cannot be read.
pub fn list(run: &Path) -> Result<Vec<u64>> {
    let mut iterations: Vec<u64> =
        entries(run)?.iter().filter_map(|path| path.file_name()?.to_str()?.parse().ok()).collect();
    iterations.sort_unstable();
    Ok(iterations)
}

/// Whatever lies in a run's folder of checkpoints.
fn entries(run: &Path) -> Result<Vec<PathBuf>> {
    let folder = run.join("checkpoints");
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(&folder).map_err(Error::io("read", &folder))?;
    entries.map(|entry| Ok(entry.map_err(Error::io("read", &folder))?.path())).collect()
}

/// Removes what a process that died was writing or removing. For whoever alone writes into the run.
///
/// # Errors
/// Where the file system refuses.
pub fn clear_leftovers(run: &Path) -> Result<()> {
    for path in entries(run)? {
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("filling" | "removed")) {
            fs::remove_dir_all(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Removes a checkpoint. It loses its name first: half a checkpoint never bears one.
pub(super) fn discard(checkpoint: &Path) -> Result<()> {
    let removed = checkpoint.with_extension("removed");
    fs::rename(checkpoint, &removed).map_err(Error::io("remove", checkpoint))?;
    fs::remove_dir_all(&removed).map_err(Error::io("remove", &removed))
}

pub(super) fn prune(run: &Path, keep: usize, spared: &[Option<u64>]) -> Result<()> {
    let all = list(run)?;
    let mut old =
        all.iter().rev().skip(keep).filter(|&&iteration| !spared.contains(&Some(iteration)));
    old.try_for_each(|&iteration| discard(&folder(run, iteration)))
}

/// Why a checkpoint is not used.
enum Fault {
    /// It is not what was written: the one before it may serve.
    Damaged(Error),
    /// It is whole and of another kind, or cannot be read at all.
    Refused(Error),
}

/// Checks every file of a checkpoint, and its version.
fn examine(checkpoint: &Path) -> Result<(), Fault> {
    let sort = |error| match &error {
        Error::Io { source, .. } if source.kind() != ErrorKind::NotFound => Fault::Refused(error),
        _ => Fault::Damaged(error),
    };
    if !checkpoint.join(MANIFEST).exists() {
        // Checkpoints of the first version had no manifest.
        expect_version(&fs::read(checkpoint.join(STATE)).unwrap_or_default(), checkpoint)
            .map_err(Fault::Refused)?;
    }
    let manifest = Manifest::open(checkpoint).map_err(sort)?;
    manifest.verify(checkpoint, &NEEDED).map_err(sort)?;
    read_state(checkpoint).map(drop).map_err(Fault::Refused)
}

/// What a run can go on from.
#[derive(Debug, Default)]
pub struct Found {
    /// The newest checkpoint that is whole.
    pub whole: Option<PathBuf>,
    /// Newer ones that are damaged, and how.
    pub damaged: Vec<(PathBuf, Error)>,
}

/// The newest checkpoint that is whole.
///
/// # Errors
/// Where it is of another version, where there are checkpoints and all are damaged, or where the file
/// system refuses.
pub fn newest_whole(run: &Path) -> Result<Found> {
    let mut found = Found::default();
    for iteration in list(run)?.into_iter().rev() {
        let checkpoint = folder(run, iteration);
        match examine(&checkpoint) {
            Ok(()) => return Ok(Found { whole: Some(checkpoint), ..found }),
            Err(Fault::Refused(error)) => return Err(error),
            Err(Fault::Damaged(error)) => found.damaged.push((checkpoint, error)),
        }
    }
    match found.damaged.first() {
        Some((_, error)) => {
            Err(Error::file(run, format!("all its checkpoints are damaged; the newest: {error}")))
        }
        None => Ok(found),
    }
}

/// Takes a damaged checkpoint out of the list and keeps it as `<iteration>.damaged`.
///
/// # Errors
/// Where the file system refuses.
pub fn set_aside(checkpoint: &Path) -> Result<()> {
    let aside = checkpoint.with_extension("damaged");
    if aside.exists() {
        fs::remove_dir_all(&aside).map_err(Error::io("remove", &aside))?;
    }
    fs::rename(checkpoint, &aside).map_err(Error::io("rename", checkpoint))
}

/// A whole checkpoint of a run.
///
/// # Errors
/// Where it is not there, or is damaged or of another version.
pub fn find(run: &Path, choice: Choice) -> Result<PathBuf> {
    if !run.is_dir() {
        return Err(Error::file(run, "there is no such run folder"));
    }
    let all = list(run)?;
    let Some(&newest) = all.last() else {
        let message = "no checkpoint is in it, expected checkpoints/<iteration>/state.json";
        return Err(Error::file(run, message));
    };
    let iteration = match choice {
        Choice::Latest => newest,
        Choice::Iteration(iteration) => iteration,
        Choice::Best => {
            let newest = find(run, Choice::Latest)?;
            let best = read_state(&newest)?.best.map(|best| best.iteration);
            best.ok_or_else(|| Error::file(&newest.join(STATE), "no evaluation was made so far"))?
        }
    };
    let checkpoint = folder(run, iteration);
    if !all.contains(&iteration) {
        let there: Vec<String> = all.iter().map(u64::to_string).collect();
        let message = format!("there is no such checkpoint, there are {}", there.join(", "));
        return Err(Error::file(&checkpoint, message));
    }
    examine(&checkpoint).map(|()| checkpoint).map_err(|fault| match fault {
        Fault::Refused(error) => error,
        Fault::Damaged(error) => {
            let before = all.iter().rev().find(|&&other| other < iteration);
            let instead = before.map_or_else(String::new, |before| {
                format!("; the one before it: --checkpoint {before}")
            });
            Error::file(&folder(run, iteration), format!("is damaged: {error}{instead}"))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_a_word_or_a_number() {
        assert_eq!("best".parse(), Ok(Choice::Best));
        assert_eq!("latest".parse(), Ok(Choice::Latest));
        assert_eq!("25".parse(), Ok(Choice::Iteration(25)));
        assert!("newest".parse::<Choice>().unwrap_err().contains("latest, best"));
    }
}
