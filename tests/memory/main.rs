//! Memory use of reading games, checkpoints and language models: at most a stated multiple of a file's size.
//! A separate test binary, because it counts all allocations of the process.

#[allow(dead_code)] // The published games are not played here.
#[path = "../it/support/alfworld.rs"]
mod alfworld;
#[path = "../it/support/checkpoint.rs"]
mod checkpoint_support;
mod lm;
#[path = "../it/support/shared.rs"]
mod shared;
#[path = "../it/support/untrusted/mod.rs"]
mod untrusted;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use alfworld::game_file;
use burn::tensor::{Bytes, DType, Device};
use checkpoint_support::replace;
use peak_alloc::PeakAlloc;
use proxmo::device::{Backend, open};
use proxmo::env::alfworld::{AlfWorld, AlfWorldConfig};
use proxmo::env::household::HouseholdConfig;
use proxmo::policy::scorer::{ScorerConfig, ScorerSpec};
use proxmo::policy::{PolicyKind, PolicySpec};
use proxmo::runs::{Run, TrainedPolicy, checkpoint};
use proxmo::train::{Config, Trainer};
use serde_json::{Value, json};
use untrusted::{header, refusal, xz, zeros};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const MIB: usize = 1 << 20;

/// Tests run one at a time, because they count the same memory.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The documented limit of `AlfWorld::load` and `checkpoint`: a multiple of the size of the files plus a
/// constant.
const FACTOR: usize = 32;
const CONSTANT: usize = 16 * MIB;

/// The peak of allocated memory while `work` runs, less the memory allocated before.
fn peak<R>(work: impl FnOnce() -> R) -> (R, usize) {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let result = work();
    (result, MEMORY.peak_usage().saturating_sub(before))
}

/// Game files of several mebibytes, made to take as much memory as possible.
fn hungry_files(valid: &str) -> Vec<(&'static str, String)> {
    let valid: Value = serde_json::from_str(valid).unwrap();
    let with = |field: &str, value: Value| {
        let mut file = valid.clone();
        file[field] = value;
        file.to_string()
    };
    let problem = valid["pddl_problem"].as_str().unwrap();
    let in_problem = |mark: &str, text: String| {
        with("pddl_problem", json!(problem.replacen(mark, &format!("{mark} {text}"), 1)))
    };
    let grammar = valid["grammar"].as_str().unwrap();
    let rules = |rules: String| {
        with("grammar", json!(format!("{grammar}\ngrammar :: \"\"\" {{ {rules} }} \"\"\";\n")))
    };
    let names = |count: usize| -> String { (0..count).map(|n| format!("n{n} ")).collect() };
    vec![
        ("empty commands", with("walkthrough", json!(vec![""; (2 << 20) + 1]))),
        ("short commands", with("walkthrough", json!(vec!["x"; (2 << 20) + 1]))),
        ("an unknown field", with("more", json!(vec![json!([]); 2 << 20]))),
        ("one long text", with("pddl_domain", json!("x".repeat(8 * MIB)))),
        ("marks written as numbers", with("grammar", json!("\u{1}".repeat(MIB)))),
        ("brackets", with("pddl_problem", json!("(".repeat(8 * MIB)))),
        ("names", in_problem("(:objects", names(MIB))),
        ("facts", in_problem("(:init", "(= x)".repeat(MIB))),
        ("a goal", in_problem("(:goal", "(and ".repeat(MIB))),
        ("references", rules(format!(r#""intro": [{{"rhs": "{}"}}]"#, "#x#".repeat(MIB / 4)))),
        ("short rules", rules(vec![r#""x":[]"#; MIB / 8].join(","))),
        ("alternatives", rules(format!(r#""x":[{}]"#, vec![r#"{"rhs":""}"#; MIB / 16].join(",")))),
        (
            "a text repeated often",
            rules(format!(
                r#""intro": [{{"rhs": "{}"}}], "x": [{{"rhs": "{}"}}]"#,
                "#x#".repeat(9_000),
                "x".repeat(MIB / 2)
            )),
        ),
    ]
}

/// An archive whose header asks for a window of 4 GiB to unpack with.
fn greedy_archive(path: &Path) {
    let mut archive = xz(path);
    zeros(&mut archive, 1);
    archive.finish().unwrap();
    let mut bytes = fs::read(path).unwrap();
    // After twelve bytes of its own the stream has a block's header: its length in fours, flags, the
    // filter and the length of its settings, the window's size as an exponent, and a sum at the end.
    let length = 4 * (usize::from(bytes[12]) + 1);
    let header = 12..12 + length - 4;
    let window = bytes[header.clone()].windows(2).position(|pair| pair == [0x21, 1]).unwrap();
    bytes[12 + window + 2] = 40;
    let sum = crc32(&bytes[header.clone()]);
    bytes[header.end..header.end + 4].copy_from_slice(&sum.to_le_bytes());
    fs::write(path, bytes).unwrap();
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 };
    !bytes.iter().fold(!0, |sum, &byte| (0..8).fold(sum ^ u32::from(byte), step))
}

#[test]
fn reading_a_game_takes_at_most_the_stated_multiple_of_its_size() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("games.tar.xz");

    // Of an archive, only the decoder's window and one file are in memory, whatever its header says.
    greedy_archive(&path);
    let (text, taken) = peak(|| refusal(&path));
    assert!(text.contains("Memory") || text.contains("memory"), "{text}");
    assert!(taken < 8 * MIB, "a header had {taken} bytes taken");
    for kind in [tar::EntryType::GNULongName, tar::EntryType::XHeader, tar::EntryType::Regular] {
        let mut archive = xz(&path);
        let entry = header(kind, b"s/t/u/game.tw-pddl", 1 << 40);
        archive.write_all(entry.as_bytes()).unwrap();
        zeros(&mut archive, 64);
        archive.finish().unwrap();
        assert!(fs::metadata(&path).unwrap().len() < MIB as u64 / 8);
        let (text, taken) = peak(|| refusal(&path));
        assert!(text.contains("it has more than"), "{text}");
        assert!(taken < 40 * MIB, "{kind:?} had {taken} bytes taken");
    }

    let Some(valid) = game_file() else { return };
    let config = AlfWorldConfig::default();
    let files = hungry_files(&valid);
    let mut refused = 0;
    for (what, file) in &files {
        let (read, taken) = peak(|| AlfWorld::read("game", file.as_bytes(), config));
        println!("{what}: {} bytes took {taken}, {:?}", file.len(), read.as_ref().map(drop));
        assert!(taken <= FACTOR * file.len() + CONSTANT, "{what}: {} took {taken}", file.len());
        refused += usize::from(read.is_err());
    }
    assert!((6..files.len()).contains(&refused), "{refused} of {} were refused", files.len());
}

#[test]
fn archives_of_every_format_take_bounded_memory() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("games");
    let entry = header(tar::EntryType::Regular, b"s/t/u/game.tw-pddl", 1 << 40);
    let unpacked = [entry.as_bytes().as_slice(), &vec![0; 64 * MIB]].concat();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&unpacked).unwrap();
    let fastest = ruzstd::encoding::CompressionLevel::Fastest;
    let zstd = ruzstd::encoding::compress_to_vec(&unpacked[..], fastest);
    let options = zip::write::SimpleFileOptions::default();
    let mut one = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    one.start_file("s/t/u/game.tw-pddl", options).unwrap();
    one.write_all(&unpacked).unwrap();
    let one = one.finish().unwrap().into_inner();
    for (what, packed) in [("gzip", gzip.finish().unwrap()), ("zstd", zstd), ("zip", one)] {
        fs::write(&path, &packed).unwrap();
        let (text, taken) = peak(|| refusal(&path));
        assert!(text.contains("it has more than"), "{what}: {text}");
        assert!(taken < 40 * MIB, "{what}: {} bytes had {taken} taken", packed.len());
    }
    let mut many = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for number in 0..50_000 {
        many.start_file(format!("{number}"), options).unwrap();
    }
    fs::write(&path, many.finish().unwrap().into_inner()).unwrap();
    let size = fs::metadata(&path).unwrap().len() as usize;
    let (text, taken) = peak(|| refusal(&path));
    assert!(text.contains("found no games"), "{text}");
    assert!(taken <= FACTOR * size + CONSTANT, "{size} bytes had {taken} taken");
}

fn size() -> ScorerConfig {
    ScorerConfig { embedding: 128, hidden: 512, ..ScorerConfig::default() }
}

/// A run after one iteration, with several mebibytes of weights.
fn trained(folder: &Path) -> (Config, ScorerSpec, PathBuf) {
    let env = HouseholdConfig { tasks: 10, held_out: 2, ..HouseholdConfig::default() }.into();
    let mut config = Config { env, ..Config::default() };
    (config.rollout.groups, config.rollout.group_size) = (1, 2);
    config.policy = size().into();
    (config.run.iterations, config.eval.tasks, config.eval.split) = (1, 1, "valid".into());
    let opened = open(Backend::Flex, 0).unwrap();
    let (training, held_out) =
        (config.env.open("train").unwrap(), config.env.open("valid").unwrap());
    let run = Run::create(folder, config.clone(), &opened, &*training, &*held_out).unwrap();
    run.train(&|| false).unwrap();
    let spec = size().spec(&*training, config.run.seed).unwrap();
    (config, spec, checkpoint::folder(folder, 1))
}

/// Reads every part of a checkpoint: the policy alone, then the state of a run.
fn load(config: &Config, spec: &ScorerSpec, from: &Path) -> proxmo::Result<()> {
    drop(TrainedPolicy::load(from, &Device::flex())?);
    let (scorer, encoder) = spec.build(1, &Device::flex().autodiff())?;
    checkpoint::restore(&mut Trainer::new(config.clone(), scorer, encoder), from).map(drop)
}

/// Checkpoint files of several mebibytes, made to take as much memory as possible.
fn hungry_parts(policy: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut policy: Value = serde_json::from_slice(policy).unwrap();
    policy["spec"]["vocabulary"] =
        json!({ "words": vec!["a"; MIB / 2], "weights": vec![0; MIB / 2] });
    let weight = json!({ "dtype": "F32", "shape": [0], "data_offsets": [0, 0] });
    let weights: BTreeMap<String, &Value> =
        (0..MIB / 32).map(|number| (number.to_string(), &weight)).collect();
    let mut header = serde_json::to_vec(&weights).unwrap();
    header.resize(header.len().next_multiple_of(8), b' ');
    let safetensors = [&(header.len() as u64).to_le_bytes()[..], &header].concat();
    let mut scalars = burn_pack::Writer::new(Vec::new());
    for number in 0..MIB / 8 {
        scalars = scalars.with_scalar(&number.to_string(), burn_pack::Scalar::UInt(1));
    }
    let tensor = |number: usize| {
        let nothing = Bytes::from_bytes_vec(Vec::new());
        burn_pack::Tensor::new(number.to_string(), DType::F32, [0], None, nothing)
    };
    let tensors = burn_pack::Writer::new((0..MIB / 16).map(tensor).collect());
    vec![
        ("policy.json", policy.to_string().into_bytes()),
        ("state.json", format!("{{\"credit\":{}", "[".repeat(8 * MIB)).into_bytes()),
        ("weights.safetensors", safetensors),
        ("optimizer.bpk", scalars.into_bytes().unwrap().to_vec()),
        ("optimizer.bpk", tensors.into_bytes().unwrap().to_vec()),
    ]
}

#[test]
fn reading_a_checkpoint_takes_at_most_the_stated_multiple_of_its_size() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let (config, spec, newest) = trained(folder.path());
    let size = || -> usize {
        let files = fs::read_dir(&newest).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len() as usize).sum()
    };
    let (read, taken) = peak(|| load(&config, &spec, &newest));
    read.unwrap();
    println!("valid: {} bytes took {taken}", size());
    assert!(size() > 4 * MIB && taken < 4 * size(), "{} took {taken}", size());
    for (name, bytes) in hungry_parts(&fs::read(newest.join("policy.json")).unwrap()) {
        let whole = fs::read(newest.join(name)).unwrap();
        replace(&newest, name, &bytes);
        let (read, taken) = peak(|| load(&config, &spec, &newest));
        println!("{name}: {} bytes took {taken}, {read:?}", size());
        assert!(read.is_err() && taken <= FACTOR * size() + CONSTANT, "{} took {taken}", size());
        replace(&newest, name, &whole);
    }
    load(&config, &spec, &newest).unwrap();
}
