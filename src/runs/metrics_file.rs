//! A run's `metrics.jsonl`: one line an iteration, appended.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files::write_atomic;
use crate::train::{IterationMetrics, read_metrics};

/// The file, open to append to.
pub(super) struct MetricsFile {
    path: PathBuf,
    file: File,
}

impl MetricsFile {
    /// Opens the file in a run's folder, or begins it.
    pub(super) fn open(run: &Path) -> Result<Self> {
        let path = path(run);
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(Error::io("open", &path))?;
        Ok(Self { path, file })
    }

    /// Appends a line.
    pub(super) fn append(&mut self, line: &IterationMetrics) -> Result<()> {
        let mut text = serde_json::to_vec(line)
            .map_err(|error| Error::file(&self.path, format!("cannot be written: {error}")))?;
        text.push(b'\n');
        self.file.write_all(&text).map_err(Error::io("write", &self.path))
    }

    /// Waits until all lines are on the disk.
    pub(super) fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(Error::io("write", &self.path))
    }
}

fn path(run: &Path) -> PathBuf {
    run.join("metrics.jsonl")
}

/// Takes away the lines of iterations after `iteration`, which are about to be lived again, and
/// whatever is unfinished. The lines before stay byte for byte; says which of them are missing.
pub(super) fn cut(run: &Path, iteration: u64) -> Result<Vec<String>> {
    let path = path(run);
    let text = match fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        text => text.map_err(Error::io("read", &path))?,
    };
    let mut kept = Vec::new();
    let mut next = 0;
    let mut missing = Vec::new();
    for (number, line) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
        if next > iteration {
            break;
        }
        let place = format!("{}:{}", path.display(), number + 1);
        // Only the last line can be one that was never finished.
        let Some(found) = read_line(line, &place)? else { break };
        if found > iteration {
            break;
        }
        missing.extend(next..found);
        kept.extend_from_slice(line);
        next = found + 1;
    }
    missing.extend(next..=iteration);
    write_atomic(&path, &kept)?;
    Ok(missing
        .iter()
        .map(|iteration| format!("{} has no line of iteration {iteration}", path.display()))
        .collect())
}

/// Takes all lines away, where none is of an iteration that was trained.
pub(super) fn begin_again(run: &Path) -> Result<()> {
    let path = path(run);
    let text = match fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        text => text.map_err(Error::io("read", &path))?,
    };
    let trained = text.split_inclusive(|&byte| byte == b'\n').skip(1).count();
    if trained > 0 {
        let message = format!(
            "tells of {trained} iterations, but checkpoints/ is empty: there is nothing to go on \
             from; bring the checkpoints back, or train into another folder"
        );
        return Err(Error::file(&path, message));
    }
    write_atomic(&path, b"")
}

/// The iteration of a line; nothing if the line was never finished.
fn read_line(line: &[u8], place: &str) -> Result<Option<u64>> {
    if line.last() != Some(&b'\n') {
        return Ok(None);
    }
    match read_metrics(&mut &*line, place) {
        Ok(read) => Ok(read.first().map(|line| line.iteration)),
        Err(Error::Input { message, .. }) => Err(Error::input(place, message)),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(iteration: u64) -> IterationMetrics {
        IterationMetrics { iteration, loss: 0.1 + 0.2, ..IterationMetrics::default() }
    }

    fn folder(iterations: &[u64]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mut file = MetricsFile::open(folder.path()).unwrap();
        iterations.iter().for_each(|&iteration| file.append(&line(iteration)).unwrap());
        file.sync().unwrap();
        folder
    }

    fn text(folder: &tempfile::TempDir) -> String {
        fs::read_to_string(path(folder.path())).unwrap()
    }

    #[test]
    fn what_is_about_to_be_lived_again_goes_and_the_rest_stays_as_it_was() {
        let (cut_short, expected) = (folder(&[0, 1, 2, 3]), text(&folder(&[0, 1, 2])));
        // As if the process had died while it wrote.
        let unfinished = format!("{}{}", text(&cut_short), r#"{"iteration":4,"st"#);
        fs::write(path(cut_short.path()), unfinished).unwrap();
        assert_eq!(cut(cut_short.path(), 2).unwrap(), Vec::<String>::new());
        assert_eq!(text(&cut_short), expected);
        // Where the last line kept is whole, what follows does not matter.
        fs::write(path(cut_short.path()), format!("{expected}\0\0\0\n")).unwrap();
        cut(cut_short.path(), 2).unwrap();
        assert_eq!(text(&cut_short), expected);
    }

    #[test]
    fn what_is_missing_or_damaged_is_named() {
        let gap = folder(&[0, 2, 5]);
        let missing = cut(gap.path(), 3).unwrap();
        assert_eq!(missing.len(), 2);
        assert!(missing[0].ends_with("no line of iteration 1"), "{missing:?}");
        assert!(missing[1].ends_with("no line of iteration 3"), "{missing:?}");
        assert_eq!(text(&gap), text(&folder(&[0, 2])));
        let damaged = folder(&[0, 1, 2]);
        let text = text(&damaged).replacen("\"iteration\":1", "\"iteration\":x", 1);
        fs::write(path(damaged.path()), text).unwrap();
        let message = cut(damaged.path(), 2).unwrap_err().to_string();
        assert!(message.contains("metrics.jsonl:2: not a metrics line"), "{message}");
    }

    #[test]
    fn a_run_begins_again_only_where_nothing_was_trained() {
        for iterations in [&[][..], &[0]] {
            let folder = folder(iterations);
            begin_again(folder.path()).unwrap();
            assert_eq!(text(&folder), "");
        }
        let trained = folder(&[0, 1]);
        let message = begin_again(trained.path()).unwrap_err().to_string();
        assert!(message.contains("tells of 1 iterations"), "{message}");
        assert_ne!(text(&trained), "");
    }
}
