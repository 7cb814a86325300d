//! Shared code of the tests with untrusted input.

#![allow(dead_code)] // Each test binary uses a part of it.

pub mod alter;

use std::io::Write;
use std::path::Path;

use liblzma::write::XzEncoder;
use proxmo::Error;
use proxmo::env::alfworld::{AlfWorld, AlfWorldConfig};

/// A game file with valid JSON and an unknown domain.
pub const GAME_FILE: &str =
    r#"{"pddl_domain":"(define (domain d) (rules))","grammar":"","pddl_problem":"(define)"}"#;

/// Loads games of all splits.
pub fn load(path: &Path) -> Result<AlfWorld, Error> {
    AlfWorld::load(path, None, AlfWorldConfig::default())
}

/// The error from loading invalid games: one line that begins with the path.
pub fn refusal(path: &Path) -> String {
    let error = load(path).expect_err("the games are invalid");
    let text = error.to_string();
    assert!(text.starts_with(&path.display().to_string()), "{text} does not begin with the path");
    assert!(text.chars().count() < 5_000 && !text.contains(char::is_control), "{text:?}");
    assert_eq!(error.exit_code(), 2, "{text}");
    text
}

/// The header of an archive entry with a given type, path and size.
pub fn header(kind: tar::EntryType, path: &[u8], size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..path.len()].copy_from_slice(path);
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_cksum();
    header
}

/// Writes an archive of files. The paths can be invalid.
pub fn write_archive(path: &Path, files: &[(&[u8], &[u8])]) {
    let mut archive = xz(path);
    for (name, content) in files {
        let header = header(tar::EntryType::Regular, name, content.len() as u64);
        archive.write_all(header.as_bytes()).unwrap();
        archive.write_all(content).unwrap();
        archive.write_all(&vec![0; content.len().next_multiple_of(512) - content.len()]).unwrap();
    }
    archive.write_all(&[0; 1024]).unwrap();
    archive.finish().unwrap();
}

/// Creates a compressed file.
pub fn xz(path: &Path) -> XzEncoder<std::fs::File> {
    XzEncoder::new(std::fs::File::create(path).unwrap(), 1)
}

/// Writes zeros.
pub fn zeros(out: &mut impl Write, mebibytes: usize) {
    let piece = vec![0; 1 << 20];
    (0..mebibytes).for_each(|_| out.write_all(&piece).unwrap());
}
