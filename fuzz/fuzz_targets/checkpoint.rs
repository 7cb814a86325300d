//! A checkpoint with one changed file. The manifest gets the new size and checksum, so that the changed
//! contents are parsed.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use burn::tensor::Device;
use libfuzzer_sys::fuzz_target;
use proxmo::env::alfworld::{GeneratorConfig, generate};
use proxmo::fuzzing::expect_readable;
use proxmo::policy::scorer::{Scorer, ScorerEncoder, Vocabulary};
use proxmo::runs::checkpoint::{self, PolicyDescription};
use proxmo::train::{Config, Trainer};
use proxmo_fuzz::with_memory_limit;
use serde_json::json;
use sha2::{Digest, Sha256};

/// Memory limit for one input.
const MEMORY_LIMIT: usize = 256 << 20;

const FILES: [&str; 5] =
    ["state.json", "policy.json", "weights.safetensors", "optimizer.bpk", "reference.safetensors"];

/// A valid checkpoint: its folder and the contents of its files.
struct Written {
    folder: PathBuf,
    files: Vec<(&'static str, Vec<u8>)>,
    vocabulary: Vocabulary,
}

fn config() -> Config {
    let mut config = Config::default();
    (config.policy.embedding, config.policy.hidden) = (4, 4);
    config.rollout.groups = 2;
    config.rollout.episodes = 2;
    config.update.epochs = 1;
    config
}

fn trainer(vocabulary: &Vocabulary) -> Trainer<Scorer> {
    let network = config().policy.network(vocabulary.len());
    let scorer = Scorer::new(&network, 0, &Device::flex().autodiff());
    let encoder = ScorerEncoder { vocabulary: vocabulary.clone(), max_steps: 5 };
    Trainer::new(config(), scorer, encoder)
}

/// Trains one iteration, so that the optimizer has a state, and saves a checkpoint.
fn write() -> Written {
    let world = generate(&GeneratorConfig::default(), 7, 2).expect("tasks can be generated");
    let config_of_world = proxmo::env::alfworld::AlfWorldConfig { max_steps: 5, ..*world.config() };
    let world = world.with_config(config_of_world);
    let vocabulary = Vocabulary::from_environment(&world, 1, 8, 0).expect("tasks have words");
    let mut trainer = trainer(&vocabulary);
    trainer.iterate(&world, 0.0).expect("an iteration is trained");
    let description = PolicyDescription {
        kind: "scorer".into(),
        size: config().policy,
        max_steps: 5,
        vocabulary: vocabulary.clone(),
    };
    let shared = Path::new("/dev/shm");
    let run = match shared.is_dir() {
        true => tempfile::tempdir_in(shared),
        false => tempfile::tempdir(),
    };
    let run = run.expect("a temporary folder can be created").keep();
    let folder = checkpoint::save(&run, &trainer, &description, 1.0, None)
        .expect("the checkpoint can be saved");
    let read = |name| (name, fs::read(folder.join(name)).expect("the file exists"));
    Written { files: FILES.map(read).to_vec(), folder, vocabulary }
}

fuzz_target!(|bytes: &[u8]| {
    static WRITTEN: OnceLock<Written> = OnceLock::new();
    let written = WRITTEN.get_or_init(write);
    let Some((altered, content)) = alter(written, bytes) else { return };
    for (at, (name, whole)) in written.files.iter().enumerate() {
        let content = if at == altered { &content } else { whole };
        fs::write(written.folder.join(name), content).expect("the file can be written");
    }
    fs::write(written.folder.join("manifest.json"), manifest(written, altered, &content))
        .expect("the manifest can be written");
    with_memory_limit(MEMORY_LIMIT, || read(written));
});

/// The index of the changed file and its new contents: the input alone, or the input in place of a part.
fn alter(written: &Written, bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
    let [chosen, how, low, high, removed, rest @ ..] = bytes else { return None };
    let file = usize::from(*chosen) % written.files.len();
    let whole = &written.files[file].1;
    if how % 2 == 0 {
        return Some((file, rest.to_vec()));
    }
    let from = usize::from(u16::from_le_bytes([*low, *high])) % whole.len();
    let to = (from + usize::from(*removed)).min(whole.len());
    Some((file, [&whole[..from], rest, &whole[to..]].concat()))
}

fn manifest(written: &Written, altered: usize, content: &[u8]) -> Vec<u8> {
    let files = written.files.iter().enumerate().map(|(at, (name, whole))| {
        let bytes = if at == altered { content } else { whole };
        let sum: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        json!({ "name": name, "bytes": bytes.len(), "sha256": sum })
    });
    json!({ "files": files.collect::<Vec<_>>() }).to_string().into_bytes()
}

fn read(written: &Written) {
    let folder = &written.folder;
    let place = folder.display().to_string();
    let check_error = |error: &proxmo::Error| expect_readable(error, &[&place]);
    if let Err(error) = checkpoint::read_state(folder) {
        check_error(&error);
    }
    match checkpoint::read_description(folder) {
        Err(error) => check_error(&error),
        Ok(description) => {
            let (scorer, _) = description.scorer(1, &Device::flex());
            if let Err(error) = checkpoint::load_weights(scorer, folder) {
                check_error(&error);
            }
        }
    }
    if let Err(error) = checkpoint::restore(&mut trainer(&written.vocabulary), folder) {
        check_error(&error);
    }
}
