//! Checkpoints that somebody altered and made whole again: sizes and checksums are right, and what
//! they vouch for is not. Such a checkpoint is refused in one line, or holds numbers that fit.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::support::checkpoint::replace;
use burn::tensor::Device;
use proptest::prelude::*;
use proxmo::env::alfworld::{AlfWorldConfig, GeneratorConfig, generate};
use proxmo::policy::scorer::{Scorer, ScorerEncoder, Vocabulary};
use proxmo::runs::checkpoint::{self, PolicyDescription};
use proxmo::train::{Config, Trainer};

const FILES: [&str; 5] =
    ["state.json", "policy.json", "weights.safetensors", "optimizer.bpk", "reference.safetensors"];

/// A checkpoint as it was written.
struct Written {
    folder: PathBuf,
    files: Vec<Vec<u8>>,
    vocabulary: Vocabulary,
    _kept: tempfile::TempDir,
}

fn trainer(vocabulary: &Vocabulary) -> Trainer<Scorer> {
    let mut config = Config::default();
    (config.policy.embedding, config.policy.hidden) = (4, 4);
    (config.rollout.groups, config.rollout.group_size) = (2, 2);
    let network = config.policy.network(vocabulary.len());
    let scorer = Scorer::new(&network, 0, &Device::flex().autodiff());
    let encoder = ScorerEncoder { vocabulary: vocabulary.clone(), max_steps: 5 };
    Trainer::new(config, scorer, encoder)
}

fn write() -> Written {
    let world = generate(&GeneratorConfig::default(), 7, 2).unwrap();
    let world = world.with_config(AlfWorldConfig { max_steps: 5, ..AlfWorldConfig::default() });
    let vocabulary = Vocabulary::from_environment(&world, 1, 8, 0).unwrap();
    let mut trainer = trainer(&vocabulary);
    // The optimizer is to have something to keep.
    trainer.iterate(&world, 0.0).unwrap();
    let description = PolicyDescription {
        kind: "scorer".into(),
        size: trainer.config.policy.clone(),
        max_steps: 5,
        vocabulary: vocabulary.clone(),
    };
    let run = tempfile::tempdir().unwrap();
    let folder = checkpoint::save(run.path(), &trainer, &description, 1.0, None).unwrap();
    let files = FILES.iter().map(|name| fs::read(folder.join(name)).unwrap()).collect();
    Written { folder, files, vocabulary, _kept: run }
}

fn written() -> MutexGuard<'static, Written> {
    static WRITTEN: OnceLock<Mutex<Written>> = OnceLock::new();
    let written = WRITTEN.get_or_init(|| Mutex::new(write())).lock();
    written.unwrap_or_else(PoisonError::into_inner)
}

/// Reads everything of a checkpoint one of whose files holds something else.
fn read_with(altered: usize, content: &[u8]) -> Result<(), proxmo::Error> {
    let written = written();
    let Written { folder, files, vocabulary, .. } = &*written;
    for (at, (name, whole)) in FILES.iter().zip(files).enumerate() {
        replace(folder, name, if at == altered { content } else { whole });
    }
    checkpoint::read_state(folder)?;
    let (scorer, _) = checkpoint::read_description(folder)?.scorer(1, &Device::flex());
    checkpoint::load_weights(scorer, folder)?;
    checkpoint::restore(&mut trainer(vocabulary), folder).map(drop)
}

fn expect_readable(altered: usize, content: &[u8]) {
    if let Err(error) = read_with(altered, content) {
        let text = error.to_string();
        assert!(text.chars().count() < 5_000 && !text.contains(char::is_control), "{text:?}");
        assert!(text.contains("checkpoints/000001"), "{text} names no file");
    }
}

#[test]
fn the_checkpoint_itself_is_read() {
    read_with(usize::MAX, &[]).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn altered_files_are_refused_or_fit(
        file in 0..FILES.len(), at in any::<prop::sample::Index>(), removed in 0usize..40,
        inserted in proptest::collection::vec(any::<u8>(), 0..12), early in any::<bool>(),
    ) {
        let whole = written().files[file].clone();
        // What describes tensors stands at a file's beginning.
        let within = if early { whole.len().min(400) } else { whole.len() };
        let from = at.index(within);
        let to = (from + removed).min(whole.len());
        expect_readable(file, &[&whole[..from], &inserted, &whole[to..]].concat());
    }

    #[test]
    fn files_of_anything_are_refused(
        file in 0..FILES.len(), content in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        expect_readable(file, &content);
    }
}
