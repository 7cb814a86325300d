//! The checkpoints of a run: listing, checking, selecting and removing them.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::files::{REQUIRED, STATE, folder};
use super::manifest::{MANIFEST, Manifest};
use super::state::{expect_version, read_state};
use crate::error::{Error, Result};
use crate::files::{is_held, remove_folder, rename};

/// Selects a checkpoint of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CheckpointSelector {
    /// The newest.
    #[default]
    Latest,
    /// The one with the best evaluation on held-out tasks; the latest of equally good ones.
    Best,
    /// The one of an iteration.
    Iteration(u64),
}

impl FromStr for CheckpointSelector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "latest" => Ok(Self::Latest),
            "best" => Ok(Self::Best),
            _ => text
                .parse()
                .map(Self::Iteration)
                .map_err(|_| "expected latest, best or an iteration number".into()),
        }
    }
}

/// The iterations of a run's checkpoints, ascending.
///
/// # Errors
/// Fails if the folder cannot be read.
pub fn list(run: &Path) -> Result<Vec<u64>> {
    let mut iterations: Vec<u64> =
        entries(run)?.iter().filter_map(|path| path.file_name()?.to_str()?.parse().ok()).collect();
    iterations.sort_unstable();
    Ok(iterations)
}

/// All entries of a run's folder of checkpoints.
fn entries(run: &Path) -> Result<Vec<PathBuf>> {
    let folder = run.join("checkpoints");
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(&folder).map_err(Error::io("read", &folder))?;
    entries.map(|entry| Ok(entry.map_err(Error::io("read", &folder))?.path())).collect()
}

/// Removes checkpoints that a killed process left half written or half removed. Only the process that
/// trains into the run may call this.
///
/// # Errors
/// Fails if the file system fails.
pub fn clear_leftovers(run: &Path) -> Result<()> {
    for path in entries(run)? {
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("filling" | "removed")) {
            match remove_folder(&path) {
                // Another program reads it; it is removed the next time.
                Err(error) if is_held(&error) => {}
                removed => removed.map_err(Error::io("remove", &path))?,
            }
        }
    }
    Ok(())
}

/// Removes a checkpoint. It is renamed first, so that a partial checkpoint never has a checkpoint's name.
pub(super) fn discard(checkpoint: &Path) -> Result<()> {
    let removed = checkpoint.with_extension("removed");
    rename(checkpoint, &removed).map_err(Error::io("remove", checkpoint))?;
    remove_folder(&removed).map_err(Error::io("remove", &removed))
}

/// Removes all but the newest `keep` checkpoints, and those of the `spared` iterations. A checkpoint that
/// another program reads, which Windows does not let go, is left for the next time.
pub(super) fn prune(run: &Path, keep: usize, spared: &[Option<u64>]) -> Result<()> {
    let all = list(run)?;
    let mut old =
        all.iter().rev().skip(keep).filter(|&&iteration| !spared.contains(&Some(iteration)));
    old.try_for_each(|&iteration| match discard(&folder(run, iteration)) {
        Err(Error::Io { source, .. }) if is_held(&source) => Ok(()),
        discarded => discarded,
    })
}

/// Why a checkpoint is not used.
enum Rejection {
    /// Its files are not as they were written. An earlier checkpoint may be used instead.
    Corrupt(Error),
    /// It is intact but of another version, or the file system fails.
    Refused(Error),
}

/// Checks every file of a checkpoint, and its version.
fn examine(checkpoint: &Path) -> Result<(), Rejection> {
    let classify = |error| match &error {
        Error::Io { source, .. } if source.kind() != ErrorKind::NotFound => {
            Rejection::Refused(error)
        }
        _ => Rejection::Corrupt(error),
    };
    if !checkpoint.join(MANIFEST).exists() {
        // Checkpoints of the first version had no manifest.
        expect_version(&fs::read(checkpoint.join(STATE)).unwrap_or_default(), checkpoint)
            .map_err(Rejection::Refused)?;
    }
    let manifest = Manifest::open(checkpoint).map_err(classify)?;
    manifest.verify(checkpoint, &REQUIRED).map_err(classify)?;
    read_state(checkpoint).map(drop).map_err(Rejection::Refused)
}

/// The checkpoint from which a run can resume.
#[derive(Debug, Default)]
pub struct NewestCheckpoint {
    /// The newest intact checkpoint.
    pub intact: Option<PathBuf>,
    /// Newer checkpoints that are corrupt, with the error.
    pub corrupt: Vec<(PathBuf, Error)>,
}

/// Finds the newest intact checkpoint.
///
/// # Errors
/// Fails if it is of another version, if there are checkpoints and all are corrupt, or if the file system
/// fails.
pub fn newest(run: &Path) -> Result<NewestCheckpoint> {
    let mut found = NewestCheckpoint::default();
    for iteration in list(run)?.into_iter().rev() {
        let checkpoint = folder(run, iteration);
        match examine(&checkpoint) {
            Ok(()) => return Ok(NewestCheckpoint { intact: Some(checkpoint), ..found }),
            Err(Rejection::Refused(error)) => return Err(error),
            Err(Rejection::Corrupt(error)) => found.corrupt.push((checkpoint, error)),
        }
    }
    match found.corrupt.first() {
        Some((_, error)) => {
            Err(Error::file(run, format!("all its checkpoints are corrupt; the newest: {error}")))
        }
        None => Ok(found),
    }
}

/// Renames a corrupt checkpoint to `<iteration>.corrupt`.
///
/// # Errors
/// Fails if the file system fails.
pub fn set_aside(checkpoint: &Path) -> Result<()> {
    let aside = checkpoint.with_extension("corrupt");
    if aside.exists() {
        remove_folder(&aside).map_err(Error::io("remove", &aside))?;
    }
    rename(checkpoint, &aside).map_err(Error::io("rename", checkpoint))
}

/// Finds an intact checkpoint of a run.
///
/// # Errors
/// Fails if it does not exist, is corrupt or is of another version.
pub fn find(run: &Path, selector: CheckpointSelector) -> Result<PathBuf> {
    if !run.is_dir() {
        return Err(Error::file(run, "there is no such run folder"));
    }
    let all = list(run)?;
    let Some(&newest) = all.last() else {
        let message = "has no checkpoint, expected checkpoints/<iteration>/state.json";
        return Err(Error::file(run, message));
    };
    let iteration = match selector {
        CheckpointSelector::Latest => newest,
        CheckpointSelector::Iteration(iteration) => iteration,
        CheckpointSelector::Best => {
            let newest = find(run, CheckpointSelector::Latest)?;
            let best = read_state(&newest)?.best.map(|best| best.iteration);
            best.ok_or_else(|| Error::file(&newest.join(STATE), "the run has no evaluation yet"))?
        }
    };
    let checkpoint = folder(run, iteration);
    if !all.contains(&iteration) {
        let existing: Vec<String> = all.iter().map(u64::to_string).collect();
        let message = format!("there is no such checkpoint; the run has {}", existing.join(", "));
        return Err(Error::file(&checkpoint, message));
    }
    examine(&checkpoint).map(|()| checkpoint).map_err(|rejection| match rejection {
        Rejection::Refused(error) => error,
        Rejection::Corrupt(error) => {
            let previous = all.iter().rev().find(|&&other| other < iteration);
            let hint = previous.map_or_else(String::new, |previous| {
                format!("; the previous checkpoint is {previous}")
            });
            Error::file(&folder(run, iteration), format!("is corrupt: {error}{hint}"))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_a_word_or_a_number() {
        assert_eq!("best".parse(), Ok(CheckpointSelector::Best));
        assert_eq!("latest".parse(), Ok(CheckpointSelector::Latest));
        assert_eq!("25".parse(), Ok(CheckpointSelector::Iteration(25)));
        assert!("newest".parse::<CheckpointSelector>().unwrap_err().contains("latest, best"));
    }
}
