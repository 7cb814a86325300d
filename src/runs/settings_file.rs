//! A run's `config.toml`: its settings, and how each start of the run came about.
//!
//! `config.toml` holds the settings that the run trains with now, every choice resolved, and one
//! `[[provenance]]` table for each start that differs from the one before. If a resume changes settings,
//! `configs/<iteration>.toml` keeps the file that was in force until that iteration.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::device::{Backend, Opened};
use crate::error::{Error, Result};
use crate::files::write_atomic;
use crate::train::{Config, SettingChanges, differences};

/// Maximum number of starts that the file lists. Of more, the first and the newest are kept.
const MAX_STARTS: usize = 100;

/// Settings that change how far a run goes and what it keeps, but not what it trains.
const LIMITS: [&str; 7] = [
    "run.iterations",
    "run.minutes",
    "run.checkpoint_every",
    "run.checkpoint_minutes",
    "run.keep_checkpoints",
    "run.save_episodes",
    "distributed.timeout",
];

/// How one start of a run came about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Provenance {
    /// Iterations done before.
    iteration: u64,
    /// Version of this crate.
    version: String,
    /// Commit that the program was built from; absent if it was built outside of a checkout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    /// The device, by its name.
    device: String,
    /// The words of the command line.
    command_line: Vec<String>,
}

impl Provenance {
    fn of_this_process(iteration: u64, opened: &Opened) -> Self {
        let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
        Self {
            iteration,
            version: env!("CARGO_PKG_VERSION").into(),
            commit: option_env!("PROXMO_COMMIT").map(Into::into),
            device: opened.adapter.name.clone(),
            command_line: words.collect(),
        }
    }

    fn is_same_start(&self, other: &Self) -> bool {
        *self == Self { iteration: self.iteration, ..other.clone() }
    }
}

#[derive(Default, Serialize, Deserialize)]
struct Starts {
    #[serde(default)]
    provenance: Vec<Provenance>,
}

/// The file as it was read.
pub(super) struct SettingsFile {
    text: String,
    /// The settings in it, with the length of schedules fixed.
    pub(super) config: Config,
}

impl SettingsFile {
    /// Reads the file. `None` if there is none.
    ///
    /// # Errors
    /// Fails if it cannot be read or is malformed.
    pub(super) fn read(run: &Path) -> Result<Option<Self>> {
        Self::read_from(&path(run))
    }

    fn read_from(path: &Path) -> Result<Option<Self>> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text.map_err(Error::io("read", path))?,
        };
        let mut config = Config::from_toml(&text, &path.display().to_string())?;
        config.fix_schedule();
        // Earlier versions trained in one process.
        config.distributed.fix_parts(1);
        Ok(Some(Self { text, config }))
    }

    /// The settings of a resumed run: `wanted`, with the schedules of the run's start unless `wanted`
    /// names others.
    ///
    /// # Errors
    /// Refuses another seed: every random draw of the run derives from it.
    pub(super) fn resumed(&self, mut wanted: Config) -> Result<Config> {
        let (seed, other) = (self.config.run.seed, wanted.run.seed);
        if seed != other {
            let message = format!(
                "is {other}, but the run has the seed {seed}, from which all its random draws derive; \
                 resume it without another seed, or start another run"
            );
            return Err(Error::setting("run.seed", message));
        }
        let update = &self.config.update;
        if (wanted.update.schedule_iterations, wanted.update.schedule_minutes) == (0, 0.0) {
            wanted.update.schedule_iterations = update.schedule_iterations;
            wanted.update.schedule_minutes = update.schedule_minutes;
        }
        wanted.distributed.fix_parts(self.config.distributed.parts);
        Ok(wanted)
    }
}

/// Resolves what a start on `ranks` ranks decides: the device, the length of the schedules and the number
/// of parts of the work.
pub(super) fn resolve(mut config: Config, opened: &Opened, ranks: usize) -> Config {
    config.run.backend = opened.adapter.backend;
    config.run.device = opened.adapter.index;
    config.fix_schedule();
    config.distributed.fix_parts(ranks);
    config
}

/// Writes the file of a new run.
///
/// # Errors
/// Fails if the file cannot be written.
pub(super) fn create(run: &Path, config: &Config, opened: &Opened) -> Result<()> {
    write(run, config, &[Provenance::of_this_process(0, opened)])
}

/// Records that the run is resumed after `iteration` with the settings `config`, and returns the changes
/// against the settings with which that iteration was trained.
///
/// # Errors
/// Fails if the files cannot be read or written.
pub(super) fn resume(
    run: &Path,
    before: Option<SettingsFile>,
    iteration: u64,
    config: &Config,
    opened: &Opened,
) -> Result<SettingChanges> {
    let Some(newest) = before else { return create(run, config, opened).map(|()| BTreeMap::new()) };
    let mut starts = starts_of(&newest.text);
    let later: Vec<u64> = versions(run)?.into_iter().filter(|&end| end >= iteration).collect();
    // If the run goes back behind a change, the settings from before that change were in force.
    let in_force = match later.first() {
        Some(&end) => SettingsFile::read_from(&version_path(run, end))?,
        None => None,
    };
    let in_force = in_force.as_ref().unwrap_or(&newest);
    let changed = differences(&in_force.config, config);
    let changes: SettingChanges = changed
        .iter()
        .filter(|one| !LIMITS.contains(&one.key.as_str()) && !is_first_choice(in_force, &one.key))
        .map(|one| (one.key.clone(), (one.first.clone(), one.second.clone())))
        .collect();
    if !changes.is_empty() {
        let kept = version_path(run, iteration);
        if let Some(folder) = kept.parent() {
            fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        }
        write_atomic(&kept, in_force.text.as_bytes())?;
    }
    let start = Provenance::of_this_process(iteration, opened);
    let is_new = starts.last().is_none_or(|last| !last.is_same_start(&start));
    if is_new {
        starts.push(start);
        if starts.len() > MAX_STARTS {
            starts.remove(1);
        }
    }
    if is_new || newest.config != *config {
        write(run, config, &starts)?;
    }
    for end in later {
        if end > iteration || changes.is_empty() {
            let path = version_path(run, end);
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(changes)
}

/// Whether a difference is only that a device is recorded which was left open before.
fn is_first_choice(before: &SettingsFile, key: &str) -> bool {
    before.config.run.backend == Backend::Auto && ["run.backend", "run.device"].contains(&key)
}

fn write(run: &Path, config: &Config, starts: &[Provenance]) -> Result<()> {
    let starts = Starts { provenance: starts.to_vec() };
    let starts =
        toml::to_string(&starts).map_err(|error| Error::setting("config", error.to_string()))?;
    write_atomic(&path(run), format!("{}\n{starts}", config.to_toml()?).as_bytes())
}

/// The starts that a file lists. A malformed list is empty.
fn starts_of(text: &str) -> Vec<Provenance> {
    toml::from_str::<Starts>(text).unwrap_or_default().provenance
}

fn path(run: &Path) -> PathBuf {
    run.join("config.toml")
}

fn version_path(run: &Path, end: u64) -> PathBuf {
    run.join("configs").join(format!("{end:06}.toml"))
}

/// The iterations after which settings were changed, ascending.
fn versions(run: &Path) -> Result<Vec<u64>> {
    let folder = run.join("configs");
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::io("read", &folder))?,
    };
    let mut ends = Vec::new();
    for entry in entries {
        let name = entry.map_err(Error::io("read", &folder))?.file_name();
        let name = name.to_string_lossy();
        ends.extend(name.strip_suffix(".toml").and_then(|end| end.parse::<u64>().ok()));
    }
    ends.sort_unstable();
    Ok(ends)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::open;

    fn rate(run: &Path, rate: f64, iteration: u64) -> SettingChanges {
        let before = SettingsFile::read(run).unwrap();
        let mut config = before.as_ref().unwrap().config.clone();
        config.update.learning_rate = rate;
        resume(run, before, iteration, &config, &open(Backend::Flex, 0).unwrap()).unwrap()
    }

    #[test]
    fn changes_are_those_against_the_settings_of_the_last_iteration_that_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path();
        let opened = open(Backend::Flex, 0).unwrap();
        create(run, &resolve(Config::default(), &opened, 1), &opened).unwrap();
        assert!(rate(run, 0.001, 2).is_empty(), "nothing changes");
        assert!(!run.join("configs").exists());
        assert_eq!(rate(run, 0.01, 4)["update.learning_rate"], ("0.001".into(), "0.01".into()));
        // Killed before the next checkpoint: the change is recorded again.
        assert_eq!(rate(run, 0.01, 4).len(), 1);
        assert!(rate(run, 0.01, 6).is_empty(), "iteration 6 has the new rate");
        assert_eq!(rate(run, 0.02, 8)["update.learning_rate"], ("0.01".into(), "0.02".into()));
        assert_eq!(versions(run).unwrap(), [4, 8]);
        // Back behind both changes, because later checkpoints are corrupt.
        assert_eq!(rate(run, 0.02, 2)["update.learning_rate"], ("0.001".into(), "0.02".into()));
        assert_eq!(versions(run).unwrap(), [2]);
        assert!(rate(run, 0.001, 2).is_empty(), "the change is taken back");
        assert_eq!(versions(run).unwrap(), [0; 0]);
        let now = SettingsFile::read(run).unwrap().unwrap();
        let starts = starts_of(&now.text);
        assert_eq!(starts.len(), 1, "the same command line is listed once");
        assert_eq!(starts[0].version, env!("CARGO_PKG_VERSION"));
        assert!(!starts[0].device.is_empty() && !starts[0].command_line.is_empty());
    }
}
