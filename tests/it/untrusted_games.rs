//! Untrusted folders and archives of games: reading them writes no files and always ends.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::support::untrusted::{GAME_FILE, header, refusal, write_archive, xz, zeros};
use proptest::prelude::*;

/// The sorted paths of the entries in a folder.
fn listing(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

#[test]
fn paths_in_an_archive_are_used_only_as_names() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("inner");
    fs::create_dir(&folder).unwrap();
    let archive = folder.join("games.tar.xz");
    let absolute = format!("{}/s/t/u/game.tw-pddl", outer.path().display());
    for path in
        ["../../s/t/u/game.tw-pddl", "/s/t/u/game.tw-pddl", "s/./t//u/game.tw-pddl", &absolute]
    {
        write_archive(&archive, &[(path.as_bytes(), GAME_FILE.as_bytes())]);
        let before = (listing(outer.path()), listing(&folder));
        let text = refusal(&archive);
        assert!(
            text.contains("games.tar.xz: s/t/u: pddl_domain, line 1: unknown section"),
            "{path}: {text}"
        );
        assert_eq!((listing(outer.path()), listing(&folder)), before, "{path}");
    }
    for path in ["s/t/../game.tw-pddl", "../t/u/game.tw-pddl", "game.tw-pddl"] {
        write_archive(&archive, &[(path.as_bytes(), GAME_FILE.as_bytes())]);
        assert!(refusal(&archive).contains("found no games"), "{path}");
    }
}

#[test]
fn names_with_control_characters_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("games.tar.xz");
    write_archive(&archive, &[(b"s/\x1b[2J/u/game.tw-pddl", GAME_FILE.as_bytes())]);
    assert!(refusal(&archive).contains(r#"the name "s/\u{1b}[2J/u" contains control"#));
    write_archive(&archive, &[(b"s/\xff\xfe/u/game.tw-pddl", GAME_FILE.as_bytes())]);
    assert!(refusal(&archive).contains("s/\u{fffd}\u{fffd}/u: pddl_domain"));
}

#[cfg(unix)]
#[test]
fn folder_names_with_control_characters_and_cycles_of_links_are_rejected() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str| {
        let trial = folder.path().join("split").join(name).join("trial");
        fs::create_dir_all(&trial).unwrap();
        fs::write(trial.join("game.tw-pddl"), GAME_FILE).unwrap();
    };
    put("new\nline");
    assert!(
        refusal_below(folder.path())
            .contains(r#"the name "split/new\nline/trial" contains control"#)
    );

    let links = |to: &Path| {
        let folder = tempfile::tempdir().unwrap();
        (0..200).for_each(|name| symlink(to, folder.path().join(name.to_string())).unwrap());
        folder
    };
    let cycle = tempfile::tempdir().unwrap();
    (0..200).for_each(|name| symlink(cycle.path(), cycle.path().join(name.to_string())).unwrap());
    assert!(refusal_below(cycle.path()).contains("do links form a cycle?"));
    // One game at the end of eight million paths.
    let trial = tempfile::tempdir().unwrap();
    fs::write(trial.path().join("game.tw-pddl"), GAME_FILE).unwrap();
    let task = links(trial.path());
    let split = links(task.path());
    let outer = links(split.path());
    assert!(refusal_below(outer.path()).contains("do links form a cycle?"));
}

#[test]
fn oversized_files_and_archive_entries_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let trial = folder.path().join("split/task/trial");
    fs::create_dir_all(&trial).unwrap();
    let file = fs::File::create(trial.join("game.tw-pddl")).unwrap();
    file.set_len((16 << 20) + 1).unwrap();
    assert!(refusal_below(folder.path()).contains("more than 16777216 bytes"));

    let path = folder.path().join("games.tar.xz");
    let mut archive = xz(&path);
    let entry = header(tar::EntryType::Regular, b"s/t/u/game.tw-pddl", 1 << 40);
    archive.write_all(entry.as_bytes()).unwrap();
    zeros(&mut archive, 20);
    archive.finish().unwrap();
    assert!(refusal(&path).contains("s/t/u: cannot read the game: it has more than 16777216"));

    let mut archive = xz(&path);
    let entry = header(tar::EntryType::GNULongName, b"././@LongLink", 1 << 40);
    archive.write_all(entry.as_bytes()).unwrap();
    zeros(&mut archive, 2);
    archive.finish().unwrap();
    assert!(refusal(&path).contains("it has more than 65536 bytes"));
}

/// The error from loading the games in a folder, which begins with a path in it.
fn refusal_below(folder: &Path) -> String {
    let text =
        crate::support::untrusted::load(folder).expect_err("the games are invalid").to_string();
    assert!(text.starts_with(&folder.display().to_string()), "{text}");
    text
}

#[test]
fn long_paths_are_read_in_both_formats() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("games.tar.xz");
    let task = "t".repeat(200);
    let long = format!("s/{task}/u/game.tw-pddl");
    let mut archive = tar::Builder::new(xz(&path));
    let mut entry = tar::Header::new_gnu();
    entry.set_size(GAME_FILE.len() as u64);
    archive.append_data(&mut entry, &long, GAME_FILE.as_bytes()).unwrap();
    archive.into_inner().unwrap().finish().unwrap();
    assert!(refusal(&path).contains(&format!("s/{task}/u: pddl_domain")));

    // The length of the field includes the digits of the length.
    let field = format!("{} path={long}\n", long.len() + 10);
    let mut archive = tar::Builder::new(xz(&path));
    let extended = header(tar::EntryType::XHeader, b"pax", field.len() as u64);
    archive.append(&extended, field.as_bytes()).unwrap();
    let entry = header(tar::EntryType::Regular, b"short", GAME_FILE.len() as u64);
    archive.append(&entry, GAME_FILE.as_bytes()).unwrap();
    archive.into_inner().unwrap().finish().unwrap();
    assert!(refusal(&path).contains(&format!("s/{task}/u: pddl_domain")));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn corrupt_archives_are_rejected(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(),
        compressed in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("games.tar.xz");
        if compressed {
            write_archive(&path, &[(b"s/t/u/game.tw-pddl", GAME_FILE.as_bytes())]);
            let mut bytes = fs::read(&path).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= byte;
            bytes.truncate(cut.index(bytes.len()) + 1);
            fs::write(&path, bytes).unwrap();
        } else {
            let entry = header(tar::EntryType::Regular, b"s/t/u/game.tw-pddl", GAME_FILE.len() as u64);
            let mut bytes = [entry.as_bytes(), GAME_FILE.as_bytes()].concat();
            let at = at.index(512);
            bytes[at] ^= byte;
            // Correct the checksum in the header, so that its fields are parsed.
            let mut entry = tar::Header::new_gnu();
            entry.as_mut_bytes().copy_from_slice(&bytes[..512]);
            entry.set_cksum();
            bytes[..512].copy_from_slice(entry.as_bytes());
            bytes.truncate(cut.index(bytes.len()) + 1);
            let mut archive = xz(&path);
            archive.write_all(&bytes).unwrap();
            archive.finish().unwrap();
        }
        refusal(&path);
    }
}
