//! Checkpoints that are truncated, changed, or of another run: they are named and never loaded.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use proxmo::env::Environment;
use proxmo::policy::scorer::ScorerConfig;
use proxmo::runs::checkpoint::{self, CheckpointSelector};
use proxmo::runs::{Run, TrainedPolicy};
use proxmo::stream::{Purpose, Stream};
use proxmo::train::Config;
use rand::Rng;

use super::runs::{BALLS, config, finish, flex, size, trainer};
use crate::support::balls::Balls;

/// A run with checkpoints 0, 2 and 4.
pub fn three_checkpoints(folder: &Path) -> PathBuf {
    let run = folder.join("run");
    let mut config = config();
    config.run.iterations = 4;
    finish(Run::create(&run, config, &flex(), &BALLS, &BALLS).unwrap()).0.unwrap();
    assert_eq!(checkpoint::list(&run).unwrap(), [0, 2, 4]);
    run
}

/// Reads every part of a checkpoint.
pub fn load(folder: &Path) -> proxmo::Result<()> {
    TrainedPolicy::load(folder, &Device::flex())?;
    checkpoint::restore(&mut trainer(config()), folder).map(drop)
}

const FILES: [&str; 6] = [
    "manifest.json",
    "state.json",
    "policy.json",
    "weights.safetensors",
    "reference.safetensors",
    "optimizer.bpk",
];

#[test]
fn a_truncated_or_changed_file_is_named_and_never_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let run = three_checkpoints(folder.path());
    let newest = checkpoint::folder(&run, 4);
    let mut rng = Stream::new(0, Purpose::Environment).rng();
    load(&newest).unwrap();
    for file in FILES {
        let path = newest.join(file);
        let whole = fs::read(&path).unwrap();
        let length = whole.len();
        let lengths = [0, 1, 7, 8, 9, 100, length / 2, length - 2, length - 1];
        let cut = lengths.iter().map(|&length| whole[..length].to_vec());
        let longer = [&whole[..], b"\n"].concat();
        // Every byte of the manifest, and of the others many.
        let places: Vec<usize> = match file {
            "manifest.json" => (0..length).collect(),
            _ => (0..60).map(|_| rng.random_range(0..length)).chain(0..20).collect(),
        };
        let flipped = places.into_iter().map(|place| {
            let mut bytes = whole.clone();
            bytes[place] ^= 1 << rng.random_range(0..8);
            bytes
        });
        for bytes in cut.chain([longer]).chain(flipped.collect::<Vec<_>>()) {
            fs::write(&path, bytes).unwrap();
            if file == "manifest.json" && load(&newest).is_ok() {
                // Only a manifest with equal content is accepted.
                let left: serde_json::Value =
                    serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                assert_eq!(left, serde_json::from_slice::<serde_json::Value>(&whole).unwrap());
                continue;
            }
            let error = load(&newest).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{error}");
            assert!(error.to_string().contains("000004"), "{error}");
            let found = checkpoint::newest(&run).unwrap();
            assert_eq!(found.intact, Some(checkpoint::folder(&run, 2)));
            assert_eq!(found.corrupt[0].0, newest);
            let refused =
                checkpoint::find(&run, CheckpointSelector::Latest).unwrap_err().to_string();
            assert!(
                refused.contains("is corrupt") && refused.contains("previous checkpoint is 2"),
                "{refused}"
            );
        }
        fs::remove_file(&path).unwrap();
        load(&newest).unwrap_err();
        assert_eq!(checkpoint::newest(&run).unwrap().corrupt.len(), 1);
        fs::write(&path, whole).unwrap();
    }
    load(&newest).unwrap();
}

/// The manifest bounds the memory that a file takes, and has at most 64 KiB itself, so a file of a
/// tebibyte is refused without being read.
#[test]
fn a_huge_file_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let run = three_checkpoints(folder.path());
    let newest = checkpoint::folder(&run, 4);
    for file in FILES {
        let path = newest.join(file);
        let whole = fs::read(&path).unwrap();
        // A sparse file, which takes no space on disk.
        let sparse = fs::File::options().write(true).open(&path).unwrap();
        if sparse.set_len(1 << 40).is_err() {
            println!("skipped: this file system has no sparse files");
            return;
        }
        let error = load(&newest).unwrap_err().to_string();
        assert!(error.contains("bytes"), "{error}");
        assert_eq!(checkpoint::newest(&run).unwrap().corrupt.len(), 1);
        fs::write(&path, whole).unwrap();
    }
    load(&newest).unwrap();
}

#[test]
fn a_checkpoint_that_does_not_fit_is_refused_with_the_difference() {
    let folder = tempfile::tempdir().unwrap();
    let run = three_checkpoints(folder.path());
    let resume = |change: &dyn Fn(&mut Config), environment: &dyn Environment| {
        let mut config = config();
        change(&mut config);
        let opened = flex();
        let error = Run::resume(&run, config, &opened, environment, &BALLS).err().unwrap();
        assert_eq!(error.exit_code(), 2, "{error}");
        error.to_string()
    };
    let wider =
        resume(&|config| config.policy = ScorerConfig { hidden: 16, ..size() }.into(), &BALLS);
    assert!(wider.contains("has policy.hidden 8, the settings have 16"), "{wider}");
    let seed = resume(&|config| config.run.seed = 9, &BALLS);
    assert!(seed.contains("'run.seed': is 9, but the run has the seed 0"), "{seed}");

    // A checkpoint of an older version, which has no manifest.
    let newest = checkpoint::folder(&run, 4);
    let state = fs::read_to_string(newest.join("state.json")).unwrap();
    let older = state.replacen("\"version\": 4", "\"version\": 1", 1);
    fs::write(newest.join("state.json"), &older).unwrap();
    fs::remove_file(newest.join("manifest.json")).unwrap();
    let version = resume(&|_| (), &BALLS);
    assert!(version.contains("checkpoint version 1, this program reads version 4"), "{version}");
    assert_eq!(checkpoint::list(&run).unwrap(), [0, 2, 4], "nothing is set aside");
}

/// An environment's texts may change from one start to the next.
#[test]
fn a_resumed_run_has_the_vocabulary_of_its_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let run = three_checkpoints(folder.path());
    let words = |iteration| fs::read(checkpoint::folder(&run, iteration).join("policy.json"));
    let before = words(4).unwrap();
    let mut config = config();
    config.run.iterations = 8;
    let fewer = Balls { tasks: 4, max_steps: 8 };
    finish(Run::resume(&run, config, &flex(), &fewer, &fewer).unwrap()).0.unwrap();
    assert!(words(8).unwrap() == before, "the vocabulary changed");
}

#[test]
fn a_missing_reference_policy_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut without = config();
    without.update.kl_weight = 0.0;
    without.run.iterations = 2;
    finish(Run::create(&run, without, &flex(), &BALLS, &BALLS).unwrap()).0.unwrap();
    let error = Run::resume(&run, config(), &flex(), &BALLS, &BALLS).err().unwrap().to_string();
    assert!(error.contains("no reference policy") && error.contains("kl_weight"), "{error}");
}
