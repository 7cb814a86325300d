//! A run's `metrics.jsonl`: one line per iteration.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::recorder::Recorder;
use crate::error::{Error, Result};
use crate::files::write_atomic;
use crate::train::{IterationMetrics, read_metrics};

/// The file, open for appending.
pub(super) struct MetricsFile {
    path: PathBuf,
    file: File,
}

impl MetricsFile {
    /// Opens the file in a run's folder, or creates it.
    pub(super) fn open(run: &Path) -> Result<Self> {
        let path = path(run);
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(Error::io("open", &path))?;
        Ok(Self { path, file })
    }
}

impl Recorder for MetricsFile {
    fn iteration(&mut self, line: &IterationMetrics) -> Result<()> {
        let mut text = serde_json::to_vec(line)
            .map_err(|error| Error::file(&self.path, format!("cannot be written: {error}")))?;
        text.push(b'\n');
        self.file.write_all(&text).map_err(Error::io("write", &self.path))
    }

    fn sync(&mut self) -> Result<()> {
        self.file.sync_data().map_err(Error::io("write", &self.path))
    }
}

fn path(run: &Path) -> PathBuf {
    run.join("metrics.jsonl")
}

/// Removes the lines after `iteration`, which will be recorded again, and an incomplete last line.
/// Earlier lines keep their bytes. Returns a warning for each missing line.
pub(super) fn truncate(run: &Path, iteration: u64) -> Result<Vec<String>> {
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
        // Only the last line can be incomplete.
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

/// Removes all lines if none belongs to a trained iteration.
///
/// # Errors
/// Fails if the file has lines of trained iterations.
pub(super) fn clear(run: &Path) -> Result<()> {
    let path = path(run);
    let text = match fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        text => text.map_err(Error::io("read", &path))?,
    };
    let trained = text.split_inclusive(|&byte| byte == b'\n').skip(1).count();
    if trained > 0 {
        let message = format!(
            "has {trained} trained iterations, but checkpoints/ is empty, so the run cannot resume; \
             restore the checkpoints, or train into another folder"
        );
        return Err(Error::file(&path, message));
    }
    write_atomic(&path, b"")
}

/// The iteration of a line, or `None` if the line is incomplete.
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
        iterations.iter().for_each(|&iteration| file.iteration(&line(iteration)).unwrap());
        file.sync().unwrap();
        folder
    }

    fn text(folder: &tempfile::TempDir) -> String {
        fs::read_to_string(path(folder.path())).unwrap()
    }

    #[test]
    fn later_and_incomplete_lines_are_removed_and_earlier_lines_keep_their_bytes() {
        let (cut_short, expected) = (folder(&[0, 1, 2, 3]), text(&folder(&[0, 1, 2])));
        // As if the process was killed while it wrote a line.
        let incomplete = format!("{}{}", text(&cut_short), r#"{"iteration":4,"st"#);
        fs::write(path(cut_short.path()), incomplete).unwrap();
        assert_eq!(truncate(cut_short.path(), 2).unwrap(), Vec::<String>::new());
        assert_eq!(text(&cut_short), expected);
        // Garbage after the last line that is kept is removed.
        fs::write(path(cut_short.path()), format!("{expected}\0\0\0\n")).unwrap();
        truncate(cut_short.path(), 2).unwrap();
        assert_eq!(text(&cut_short), expected);
    }

    #[test]
    fn missing_and_malformed_lines_are_named() {
        let gap = folder(&[0, 2, 5]);
        let missing = truncate(gap.path(), 3).unwrap();
        assert_eq!(missing.len(), 2);
        assert!(missing[0].ends_with("no line of iteration 1"), "{missing:?}");
        assert!(missing[1].ends_with("no line of iteration 3"), "{missing:?}");
        assert_eq!(text(&gap), text(&folder(&[0, 2])));
        let malformed = folder(&[0, 1, 2]);
        let text = text(&malformed).replacen("\"iteration\":1", "\"iteration\":x", 1);
        fs::write(path(malformed.path()), text).unwrap();
        let message = truncate(malformed.path(), 2).unwrap_err().to_string();
        assert!(message.contains("metrics.jsonl:2: not a metrics line"), "{message}");
    }

    #[test]
    fn lines_are_cleared_only_if_nothing_was_trained() {
        for iterations in [&[][..], &[0]] {
            let folder = folder(iterations);
            clear(folder.path()).unwrap();
            assert_eq!(text(&folder), "");
        }
        let trained = folder(&[0, 1]);
        let message = clear(trained.path()).unwrap_err().to_string();
        assert!(message.contains("has 1 trained iterations"), "{message}");
        assert_ne!(text(&trained), "");
    }
}
