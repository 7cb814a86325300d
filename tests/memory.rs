//! What reading games takes in memory: no more than a stated multiple of a file's size. A test binary
//! of its own, for everything that it allocates is counted.

#[allow(dead_code)] // The published games are not played here.
mod alfworld_support;
mod untrusted_support;

use std::fs;
use std::io::Write;
use std::path::Path;

use alfworld_support::game_file;
use peak_alloc::PeakAlloc;
use proxmo::env::alfworld::{AlfWorld, AlfWorldConfig};
use serde_json::{Value, json};
use untrusted_support::{header, refusal, xz, zeros};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const MIB: usize = 1 << 20;

/// What `AlfWorld::load` promises of a game's file: so many times its size, and so much besides.
const TIMES: usize = 32;
const BESIDES: usize = 16 * MIB;

/// The most that was allocated at once while `work` ran, beyond what was before.
fn peak<R>(work: impl FnOnce() -> R) -> (R, usize) {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let result = work();
    (result, MEMORY.peak_usage().saturating_sub(before))
}

/// Files of some mebibytes that take as much as their makers could think of.
fn hungry_files(sound: &str) -> Vec<(&'static str, String)> {
    let sound: Value = serde_json::from_str(sound).unwrap();
    let with = |field: &str, value: Value| {
        let mut file = sound.clone();
        file[field] = value;
        file.to_string()
    };
    let problem = sound["pddl_problem"].as_str().unwrap();
    let in_problem = |mark: &str, text: String| {
        with("pddl_problem", json!(problem.replacen(mark, &format!("{mark} {text}"), 1)))
    };
    let grammar = sound["grammar"].as_str().unwrap();
    let rules = |rules: String| {
        with("grammar", json!(format!("{grammar}\ngrammar :: \"\"\" {{ {rules} }} \"\"\";\n")))
    };
    let names = |count: usize| -> String { (0..count).map(|n| format!("n{n} ")).collect() };
    vec![
        ("empty commands", with("walkthrough", json!(vec![""; (2 << 20) + 1]))),
        ("short commands", with("walkthrough", json!(vec!["x"; (2 << 20) + 1]))),
        ("what nobody asks for", with("more", json!(vec![json!([]); 2 << 20]))),
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
            "a text told often",
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
fn reading_takes_no_more_than_a_stated_multiple_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("games.tar.xz");

    // Little is held of an archive, whatever it says of itself: the decoder's window and one file.
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

    let Some(sound) = game_file() else { return };
    let config = AlfWorldConfig::default();
    let files = hungry_files(&sound);
    let mut refused = 0;
    for (what, file) in &files {
        let (read, taken) = peak(|| AlfWorld::read("game", file.as_bytes(), config));
        println!("{what}: {} bytes took {taken}, {:?}", file.len(), read.as_ref().map(drop));
        assert!(taken <= TIMES * file.len() + BESIDES, "{what}: {} took {taken}", file.len());
        refused += usize::from(read.is_err());
    }
    assert!((6..files.len()).contains(&refused), "{refused} of {} were refused", files.len());
}
