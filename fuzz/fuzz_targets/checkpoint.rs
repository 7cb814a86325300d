//! A checkpoint, one file of which is altered. Its size and checksum in the manifest are made right
//! again, so that what lies behind them is reached.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use burn::tensor::Device;
use libfuzzer_sys::fuzz_target;
use proxmo::env::alfworld::{GeneratorConfig, generate};
use proxmo::fuzzing::expect_readable;
use proxmo::policy::PolicySpec;
use proxmo::policy::scorer::{Scorer, ScorerConfig, ScorerSpec, Vocabulary};
use proxmo::runs::{TrainedPolicy, checkpoint};
use proxmo::train::{Config, Trainer};
use proxmo_fuzz::with_memory_limit;
use serde_json::json;
use sha2::{Digest, Sha256};

/// What every input may take in memory.
const MEMORY: usize = 256 << 20;

const FILES: [&str; 5] =
    ["state.json", "policy.json", "weights.safetensors", "optimizer.bpk", "reference.safetensors"];

/// A checkpoint as it was written, and where.
struct Written {
    folder: PathBuf,
    files: Vec<(&'static str, Vec<u8>)>,
    spec: ScorerSpec,
}

fn size() -> ScorerConfig {
    ScorerConfig { embedding: 4, hidden: 4, ..ScorerConfig::default() }
}

fn config() -> Config {
    let mut config = Config { policy: size().into(), ..Config::default() };
    config.rollout.groups = 2;
    config.rollout.group_size = 2;
    config.update.epochs = 1;
    config
}

fn trainer(spec: &ScorerSpec) -> Trainer<Scorer> {
    let (scorer, encoder) = spec.build(0, &Device::flex().autodiff()).expect("a policy is built");
    Trainer::new(config(), scorer, encoder)
}

/// Trains a little, so that the optimizer has something to keep, and saves.
fn write() -> Written {
    let world = generate(&GeneratorConfig::default(), 7, 2).expect("tasks are made");
    let config_of_world = proxmo::env::alfworld::AlfWorldConfig { max_steps: 5, ..*world.config() };
    let world = world.with_config(config_of_world);
    let vocabulary = Vocabulary::from_environment(&world, 1, 8, 0).expect("tasks have words");
    let spec = ScorerSpec { size: size(), max_steps: 5, vocabulary, value_head: false };
    let mut trainer = trainer(&spec);
    trainer.iterate(&world, 0.0).expect("an iteration is trained");
    let shared = Path::new("/dev/shm");
    let run = match shared.is_dir() {
        true => tempfile::tempdir_in(shared),
        false => tempfile::tempdir(),
    };
    let run = run.expect("there is room for a checkpoint").keep();
    let folder = checkpoint::save(&run, &trainer, &spec, 1.0, None).expect("it is written");
    let read = |name| (name, fs::read(folder.join(name)).expect("a file was written"));
    Written { files: FILES.map(read).to_vec(), folder, spec }
}

fuzz_target!(|bytes: &[u8]| {
    static WRITTEN: OnceLock<Written> = OnceLock::new();
    let written = WRITTEN.get_or_init(write);
    let Some((altered, content)) = alter(written, bytes) else { return };
    for (at, (name, whole)) in written.files.iter().enumerate() {
        let content = if at == altered { &content } else { whole };
        fs::write(written.folder.join(name), content).expect("a file is written");
    }
    fs::write(written.folder.join("manifest.json"), manifest(written, altered, &content))
        .expect("the manifest is written");
    with_memory_limit(MEMORY, || read(written));
});

/// Which file is altered, and what it holds then: the input itself, or the input in place of a part.
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
    let refused = |error: &proxmo::Error| expect_readable(error, &[&place]);
    if let Err(error) = TrainedPolicy::load(folder, &Device::flex()) {
        refused(&error);
    }
    if let Err(error) = checkpoint::restore(&mut trainer(&written.spec), folder) {
        refused(&error);
    }
}
