//! Altered checkpoints with a matching manifest: sizes and checksums are right, the content is altered.
//! Such a checkpoint is refused with a one-line error, or its values are valid.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::support::checkpoint::replace;
use burn::tensor::Device;
use proptest::prelude::*;
use proxmo::env::alfworld::{AlfWorldConfig, GeneratorConfig, generate};
use proxmo::policy::PolicySpec;
use proxmo::policy::scorer::{Scorer, ScorerConfig, ScorerSpec, Vocabulary};
use proxmo::runs::{TrainedPolicy, checkpoint};
use proxmo::train::{Config, Trainer};

const FILES: [&str; 5] =
    ["state.json", "policy.json", "weights.safetensors", "optimizer.bpk", "reference.safetensors"];

/// A checkpoint and its original files.
struct Written {
    folder: PathBuf,
    files: Vec<Vec<u8>>,
    spec: ScorerSpec,
    _kept: tempfile::TempDir,
}

fn trainer(spec: &ScorerSpec) -> Trainer<Scorer> {
    let mut config = Config { policy: spec.size.clone().into(), ..Config::default() };
    (config.rollout.groups, config.rollout.group_size) = (2, 2);
    let (scorer, encoder) = spec.build(0, &Device::flex().autodiff()).unwrap();
    Trainer::new(config, scorer, encoder)
}

fn write() -> Written {
    let world = generate(&GeneratorConfig::default(), 7, 2).unwrap();
    let world = world.with_config(AlfWorldConfig { max_steps: 5, ..AlfWorldConfig::default() });
    let spec = ScorerSpec {
        size: ScorerConfig { embedding: 4, hidden: 4, ..ScorerConfig::default() },
        max_steps: 5,
        vocabulary: Vocabulary::from_environment(&world, 1, 8, 0).unwrap(),
        value_head: false,
    };
    let mut trainer = trainer(&spec);
    // One update fills the optimizer's state.
    trainer.iterate(&world, 0.0).unwrap();
    let run = tempfile::tempdir().unwrap();
    let folder = checkpoint::save(run.path(), &trainer, &spec, 1.0, None).unwrap();
    let files = FILES.iter().map(|name| fs::read(folder.join(name)).unwrap()).collect();
    Written { folder, files, spec, _kept: run }
}

fn written() -> MutexGuard<'static, Written> {
    static WRITTEN: OnceLock<Mutex<Written>> = OnceLock::new();
    let written = WRITTEN.get_or_init(|| Mutex::new(write())).lock();
    written.unwrap_or_else(PoisonError::into_inner)
}

/// Reads every part of a checkpoint, one file of which is replaced.
fn read_with(altered: usize, content: &[u8]) -> Result<(), proxmo::Error> {
    let written = written();
    let Written { folder, files, spec, .. } = &*written;
    for (at, (name, whole)) in FILES.iter().zip(files).enumerate() {
        replace(folder, name, if at == altered { content } else { whole });
    }
    TrainedPolicy::load(folder, &Device::flex())?;
    checkpoint::restore(&mut trainer(spec), folder).map(drop)
}

fn expect_readable(altered: usize, content: &[u8]) {
    if let Err(error) = read_with(altered, content) {
        let text = error.to_string();
        assert!(text.chars().count() < 5_000 && !text.contains(char::is_control), "{text:?}");
        assert!(text.contains("checkpoints/000001"), "{text} names no file");
    }
}

#[test]
fn the_unaltered_checkpoint_is_read() {
    read_with(usize::MAX, &[]).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn altered_files_are_refused_or_valid(
        file in 0..FILES.len(), at in any::<prop::sample::Index>(), removed in 0usize..40,
        inserted in proptest::collection::vec(any::<u8>(), 0..12), early in any::<bool>(),
    ) {
        let whole = written().files[file].clone();
        // The descriptions of tensors are at the beginning of a file.
        let within = if early { whole.len().min(400) } else { whole.len() };
        let from = at.index(within);
        let to = (from + removed).min(whole.len());
        expect_readable(file, &[&whole[..from], &inserted, &whole[to..]].concat());
    }

    #[test]
    fn files_of_random_bytes_are_refused(
        file in 0..FILES.len(), content in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        expect_readable(file, &content);
    }
}
