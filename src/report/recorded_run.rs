//! Reads runs from their folders.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::train::{Config, IterationMetrics, read_metrics};

/// A run, as read from its folder.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedRun {
    /// The folder's name.
    pub name: String,
    /// Its settings.
    pub config: Config,
    /// Its metrics, by ascending iteration.
    pub metrics: Vec<IterationMetrics>,
}

impl RecordedRun {
    /// Whether the run has reached its limit of iterations or minutes.
    pub fn is_finished(&self) -> bool {
        let Some(last) = self.metrics.last() else {
            return false;
        };
        let run = &self.config.run;
        let by_iterations = run.iterations > 0 && last.iteration >= run.iterations;
        let by_time = run.minutes > 0.0 && last.seconds.elapsed >= 60.0 * run.minutes;
        by_iterations || by_time
    }
}

/// The run folders that `paths` name, without repetition. A path is a run folder, or a folder of run
/// folders, which are sorted by name.
///
/// # Errors
/// Fails if a folder is absent, cannot be read or contains no run.
pub fn find_runs(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = Vec::new();
    for path in paths {
        let runs = if is_run(path) { vec![path.clone()] } else { runs_below(path)? };
        for run in runs {
            let run = fs::canonicalize(&run).map_err(Error::io("find", &run))?;
            if !found.contains(&run) {
                found.push(run);
            }
        }
    }
    Ok(found)
}

fn is_run(folder: &Path) -> bool {
    folder.join("config.toml").is_file()
}

fn runs_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut runs = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let path = entry.map_err(Error::io("read", folder))?.path();
        if is_run(&path) {
            runs.push(path);
        }
    }
    if runs.is_empty() {
        let message = "is neither a run nor a folder of runs: expected config.toml in it or in its \
                       subfolders";
        return Err(Error::file(folder, message));
    }
    runs.sort();
    Ok(runs)
}

/// Reads a run's folder. A new run may have no metrics yet. A running one may have an incomplete last
/// line, which is ignored.
///
/// # Errors
/// Fails if a file cannot be read or has an invalid line; the error names file, line and defect.
pub fn read_run(folder: &Path) -> Result<RecordedRun> {
    let settings = folder.join("config.toml");
    let text = fs::read_to_string(&settings).map_err(Error::io("read", &settings))?;
    let config = Config::from_toml(&text, &settings.display().to_string())?;
    let path = folder.join("metrics.jsonl");
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        read => read.map_err(Error::io("read", &path))?,
    };
    let metrics = read_lines(&bytes, &path.display().to_string())?;
    let folder = fs::canonicalize(folder).map_err(Error::io("find", folder))?;
    let name = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned();
    Ok(RecordedRun { name, config, metrics })
}

fn read_lines(bytes: &[u8], name: &str) -> Result<Vec<IterationMetrics>> {
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let mut lines = read_metrics(&mut &bytes[..whole], name)?;
    // A last line without a line break may still be complete.
    lines.extend(read_metrics(&mut &bytes[whole..], name).unwrap_or_default());
    for (at, pair) in lines.windows(2).enumerate() {
        if pair[1].iteration <= pair[0].iteration || pair[1].steps < pair[0].steps {
            let message = format!(
                "iteration {} at {} steps comes after iteration {} at {}, expected both to rise",
                pair[1].iteration, pair[1].steps, pair[0].iteration, pair[0].steps
            );
            return Err(Error::input(format!("{name}:{}", at + 2), message));
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(iteration: u64) -> String {
        let line = IterationMetrics { iteration, steps: 10 * iteration, ..Default::default() };
        serde_json::to_string(&line).unwrap() + "\n"
    }

    fn read(text: &str) -> Result<Vec<u64>> {
        Ok(read_lines(text.as_bytes(), "m")?.iter().map(|line| line.iteration).collect())
    }

    #[test]
    fn an_incomplete_last_line_is_ignored_and_any_other_is_an_error() {
        let (one, two) = (line(1), line(2));
        assert_eq!(read(&format!("{one}{two}")).unwrap(), [1, 2]);
        assert_eq!(read(&format!("{one}{}", two.trim_end())).unwrap(), [1, 2]);
        assert_eq!(read(&format!("{one}{}", &two[..30])).unwrap(), [1]);
        assert_eq!(read(&one[..7]).unwrap(), [0; 0]);
        let incomplete = read(&format!("{one}{}\n{two}", &two[..30])).unwrap_err().to_string();
        assert!(incomplete.starts_with("m:2: not a metrics line"), "{incomplete}");
        let backwards = read(&format!("{two}{one}")).unwrap_err().to_string();
        assert!(backwards.starts_with("m:2: iteration 1 at 10 steps"), "{backwards}");
    }

    #[test]
    fn a_run_is_finished_at_its_limit_of_iterations_or_minutes() {
        let mut run =
            RecordedRun { name: "a".into(), config: Config::default(), metrics: Vec::new() };
        run.config.run.iterations = 2;
        assert!(!run.is_finished());
        run.metrics = read_lines((line(1) + &line(2)).as_bytes(), "m").unwrap();
        assert!(run.is_finished());
        run.config.run.iterations = 0;
        run.config.run.minutes = 1.0;
        assert!(!run.is_finished());
        run.metrics[1].seconds.elapsed = 60.0;
        assert!(run.is_finished());
    }

    #[test]
    fn runs_are_found_once_by_their_own_path_or_below_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        for name in ["b", "a", "other"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        for name in ["a", "b"] {
            fs::write(root.join(name).join("config.toml"), "").unwrap();
        }
        let found = find_runs(&[root.join("b"), root.clone()]).unwrap();
        assert_eq!(found, [root.join("b"), root.join("a")]);
        let message = find_runs(&[root.join("other")]).unwrap_err().to_string();
        assert!(message.contains("neither a run nor a folder of runs"), "{message}");
        find_runs(&[root.join("absent")]).unwrap_err();
        let new = read_run(&root.join("a")).unwrap();
        assert_eq!((new.name.as_str(), new.metrics.len()), ("a", 0));
    }
}
