//! The runs of a comparison, and the progress of each.

use std::path::{Path, PathBuf};

use super::variants::Variant;
use crate::cli::settings::read_config;
use crate::device::Backend;
use crate::error::{Error, Result};
use crate::report::seed_suffix;
use crate::runs::checkpoint;
use crate::train::{Config, differences};

/// A run of the comparison, new or existing.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedRun {
    /// `<variant>-s<seed>`.
    pub name: String,
    /// The name of its variant.
    pub variant: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its settings, with its seed.
    pub config: Config,
    /// Its progress.
    pub progress: Progress,
    /// Iterations that its newest checkpoint has done.
    pub iterations: u64,
}

/// The progress of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress {
    /// The run has no folder yet.
    New,
    /// This share of the run, from 0 to 1, is done. Without a checkpoint it starts again.
    Started(f64),
    /// The run is finished.
    Finished,
}

impl PlannedRun {
    /// The share of the run that is done.
    pub fn done(&self) -> f64 {
        match self.progress {
            Progress::New => 0.0,
            Progress::Started(share) => share,
            Progress::Finished => 1.0,
        }
    }
}

/// All runs, ordered by seed, then by variant.
pub fn plan(folder: &Path, variants: &[Variant], seeds: &[u64]) -> Result<Vec<PlannedRun>> {
    let mut all = Vec::new();
    for &seed in seeds {
        for variant in variants {
            let mut config = variant.config.clone();
            config.run.seed = seed;
            config.validate()?;
            let name = format!("{}{}", variant.name, seed_suffix(seed));
            let folder = folder.join(&name);
            let (progress, iterations) = progress(&folder, &config)?;
            let variant = variant.name.clone();
            all.push(PlannedRun { name, variant, folder, config, progress, iterations });
        }
    }
    Ok(all)
}

/// The progress of the run in `folder`, and the iterations that its newest checkpoint has done. A run with
/// other settings is refused.
fn progress(folder: &Path, wanted: &Config) -> Result<(Progress, u64)> {
    let path = folder.join("config.toml");
    if !path.exists() {
        return Ok((Progress::New, 0));
    }
    let mut there = read_config(&path)?;
    let mut here = wanted.clone();
    // What the run there decided at its start is no other setting.
    for config in [&mut there, &mut here] {
        config.fix_schedule();
        config.distributed.fix_parts(1);
    }
    if here.run.backend == Backend::Auto {
        (here.run.backend, here.run.device) = (there.run.backend, there.run.device);
    }
    expect_same(&path, &there, &here)?;
    let Some(newest) = checkpoint::newest(folder)?.intact else {
        return Ok((Progress::Started(0.0), 0));
    };
    let state = checkpoint::read_state(&newest)?;
    let share = wanted.run.share_done(state.iteration, state.elapsed);
    let progress = if share < 1.0 { Progress::Started(share) } else { Progress::Finished };
    Ok((progress, state.iteration))
}

fn expect_same(path: &Path, there: &Config, wanted: &Config) -> Result<()> {
    let differing: Vec<String> = differences(there, wanted)
        .into_iter()
        .map(|one| format!("{} is {} there and {} here", one.key, one.first, one.second))
        .collect();
    if differing.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the run there has other settings: {}; use the same settings or another --run-folder",
        differing.join(", ")
    );
    Err(Error::file(path, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn runs_are_ordered_by_seed_and_have_their_own_folders() {
        let variant = |name: &str, epochs| {
            let mut config = Config::default();
            config.update.epochs = epochs;
            Variant { name: name.into(), config }
        };
        let folder = tempfile::tempdir().unwrap();
        let all = plan(folder.path(), &[variant("a", 1), variant("b", 2)], &[3, 4]).unwrap();
        let names: Vec<_> = all.iter().map(|run| run.name.as_str()).collect();
        assert_eq!(names, ["a-s3", "b-s3", "a-s4", "b-s4"]);
        assert_eq!((all[1].config.run.seed, all[1].config.update.epochs), (3, 2));
        assert!(all.iter().all(|run| run.progress == Progress::New && run.done() == 0.0));
    }

    #[test]
    fn a_run_with_other_settings_is_refused_and_one_without_checkpoint_starts_again() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::default();
        let path = folder.path().join("config.toml");
        fs::write(&path, config.to_toml().unwrap()).unwrap();
        assert_eq!(progress(folder.path(), &config).unwrap(), (Progress::Started(0.0), 0));

        let mut wanted = config.clone();
        wanted.update.epochs = 5;
        wanted.credit.gamma = 0.5;
        let message = progress(folder.path(), &wanted).unwrap_err().to_string();
        assert!(message.contains("credit.gamma is 0.95 there and 0.5 here, update.epochs is 2"));
    }
}
