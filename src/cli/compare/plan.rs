//! Which runs are to be, and how far each has come.

use std::path::{Path, PathBuf};

use super::variants::Variant;
use crate::cli::settings::read_config;
use crate::error::{Error, Result};
use crate::report::{differences, seed_ending};
use crate::runs::checkpoint;
use crate::train::Config;

/// A run that is to be, or is there already.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// `<variant>-s<seed>`.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its settings, seed and all.
    pub config: Config,
    /// How far it has come.
    pub standing: Standing,
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Standing {
    /// Its folder is not there.
    New,
    /// It goes on, or begins again where it ended before its first checkpoint; this share of it, in [0, 1], is done.
    Begun(f64),
    /// It has come to its end.
    Finished,
}

impl Planned {
    /// The share of the run that is done.
    pub fn done(&self) -> f64 {
        match self.standing {
            Standing::New => 0.0,
            Standing::Begun(share) => share,
            Standing::Finished => 1.0,
        }
    }
}

/// All runs, seed by seed, each with all variants.
pub fn plan(folder: &Path, variants: &[Variant], seeds: &[u64]) -> Result<Vec<Planned>> {
    let mut all = Vec::new();
    for &seed in seeds {
        for variant in variants {
            let mut config = variant.config.clone();
            config.run.seed = seed;
            config.validate()?;
            let name = format!("{}{}", variant.name, seed_ending(seed));
            let folder = folder.join(&name);
            let standing = standing(&folder, &config)?;
            all.push(Planned { name, folder, config, standing });
        }
    }
    Ok(all)
}

/// How far the run in `folder` has come. One that has other settings is refused.
fn standing(folder: &Path, wanted: &Config) -> Result<Standing> {
    let path = folder.join("config.toml");
    if !path.exists() {
        return Ok(Standing::New);
    }
    expect_same(&path, &read_config(&path)?, wanted)?;
    let Some(newest) = checkpoint::newest(folder)?.intact else {
        return Ok(Standing::Begun(0.0));
    };
    let state = checkpoint::read_state(&newest)?;
    let share = wanted.run.share_done(state.iteration, state.elapsed);
    Ok(if share < 1.0 { Standing::Begun(share) } else { Standing::Finished })
}

fn expect_same(path: &Path, there: &Config, wanted: &Config) -> Result<()> {
    let differing: Vec<String> = differences(there, wanted)
        .into_iter()
        .map(|(key, there, wanted)| format!("{key} is {there} there and {wanted} here"))
        .collect();
    if differing.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the run there has other settings: {}; give the same, or another --run-folder",
        differing.join(", ")
    );
    Err(Error::file(path, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn runs_come_seed_by_seed_and_each_has_its_folder() {
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
        assert!(all.iter().all(|run| run.standing == Standing::New && run.done() == 0.0));
    }

    #[test]
    fn a_run_of_other_settings_is_refused_and_one_without_checkpoint_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::default();
        let path = folder.path().join("config.toml");
        fs::write(&path, config.to_toml().unwrap()).unwrap();
        assert_eq!(standing(folder.path(), &config).unwrap(), Standing::Begun(0.0));

        let mut wanted = config.clone();
        wanted.update.epochs = 5;
        wanted.credit.gamma = 0.5;
        let message = standing(folder.path(), &wanted).unwrap_err().to_string();
        assert!(message.contains("credit.gamma is 0.95 there and 0.5 here, update.epochs is 2"));
    }
}
