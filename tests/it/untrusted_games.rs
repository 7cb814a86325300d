//! Folders and archives of games that nobody vouches for: nothing leaves them, and they are read to
//! an end.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::untrusted::{FORM, header, refusal, write_archive, xz, zeros};
use proptest::prelude::*;

fn listing(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

#[test]
fn paths_in_an_archive_are_names_and_lead_nowhere() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("inner");
    fs::create_dir(&folder).unwrap();
    let archive = folder.join("games.tar.xz");
    let absolute = format!("{}/s/t/u/game.tw-pddl", outer.path().display());
    for path in
        ["../../s/t/u/game.tw-pddl", "/s/t/u/game.tw-pddl", "s/./t//u/game.tw-pddl", &absolute]
    {
        write_archive(&archive, &[(path.as_bytes(), FORM.as_bytes())]);
        let before = (listing(outer.path()), listing(&folder));
        let text = refusal(&archive);
        assert!(text.contains("games.tar.xz: s/t/u: pddl_domain: this is not"), "{path}: {text}");
        assert_eq!((listing(outer.path()), listing(&folder)), before, "{path}");
    }
    for path in ["s/t/../game.tw-pddl", "../t/u/game.tw-pddl", "game.tw-pddl"] {
        write_archive(&archive, &[(path.as_bytes(), FORM.as_bytes())]);
        assert!(refusal(&archive).contains("there are no games"), "{path}");
    }
}

#[test]
fn names_that_would_command_a_terminal_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("games.tar.xz");
    write_archive(&archive, &[(b"s/\x1b[2J/u/game.tw-pddl", FORM.as_bytes())]);
    assert!(refusal(&archive).contains(r#"the name "s/\u{1b}[2J/u" holds control"#));
    write_archive(&archive, &[(b"s/\xff\xfe/u/game.tw-pddl", FORM.as_bytes())]);
    assert!(refusal(&archive).contains("s/\u{fffd}\u{fffd}/u: pddl_domain"));
}

#[cfg(unix)]
#[test]
fn folders_with_such_names_and_links_in_circles_are_refused() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str| {
        let trial = folder.path().join("split").join(name).join("trial");
        fs::create_dir_all(&trial).unwrap();
        fs::write(trial.join("game.tw-pddl"), FORM).unwrap();
    };
    put("new\nline");
    assert!(
        refusal_below(folder.path()).contains(r#"the name "split/new\nline/trial" holds control"#)
    );

    let links = |to: &Path| {
        let folder = tempfile::tempdir().unwrap();
        (0..200).for_each(|name| symlink(to, folder.path().join(name.to_string())).unwrap());
        folder
    };
    let begun = Instant::now();
    let circle = tempfile::tempdir().unwrap();
    (0..200).for_each(|name| symlink(circle.path(), circle.path().join(name.to_string())).unwrap());
    assert!(refusal_below(circle.path()).contains("do links lead in a circle?"));
    // One game, at the end of eight million ways.
    let trial = tempfile::tempdir().unwrap();
    fs::write(trial.path().join("game.tw-pddl"), FORM).unwrap();
    let task = links(trial.path());
    let split = links(task.path());
    let outer = links(split.path());
    assert!(refusal_below(outer.path()).contains("do links lead in a circle?"));
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[test]
fn what_is_too_large_is_refused_wherever_it_lies() {
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

/// What is said where the error names a file in the folder.
fn refusal_below(folder: &Path) -> String {
    let text = crate::support::untrusted::load(folder).expect_err("it was loaded").to_string();
    assert!(text.starts_with(&folder.display().to_string()), "{text}");
    text
}

#[test]
fn long_names_are_read_in_both_notations() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("games.tar.xz");
    let task = "t".repeat(200);
    let long = format!("s/{task}/u/game.tw-pddl");
    let mut archive = tar::Builder::new(xz(&path));
    let mut entry = tar::Header::new_gnu();
    entry.set_size(FORM.len() as u64);
    archive.append_data(&mut entry, &long, FORM.as_bytes()).unwrap();
    archive.into_inner().unwrap().finish().unwrap();
    assert!(refusal(&path).contains(&format!("s/{task}/u: pddl_domain")));

    // The field's length counts itself.
    let field = format!("{} path={long}\n", long.len() + 10);
    let mut archive = tar::Builder::new(xz(&path));
    let described = header(tar::EntryType::XHeader, b"pax", field.len() as u64);
    archive.append(&described, field.as_bytes()).unwrap();
    let entry = header(tar::EntryType::Regular, b"short", FORM.len() as u64);
    archive.append(&entry, FORM.as_bytes()).unwrap();
    archive.into_inner().unwrap().finish().unwrap();
    assert!(refusal(&path).contains(&format!("s/{task}/u: pddl_domain")));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_archives_are_refused(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(),
        compressed in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("games.tar.xz");
        if compressed {
            write_archive(&path, &[(b"s/t/u/game.tw-pddl", FORM.as_bytes())]);
            let mut bytes = fs::read(&path).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= byte;
            bytes.truncate(cut.index(bytes.len()) + 1);
            fs::write(&path, bytes).unwrap();
        } else {
            let entry = header(tar::EntryType::Regular, b"s/t/u/game.tw-pddl", FORM.len() as u64);
            let mut bytes = [entry.as_bytes(), FORM.as_bytes()].concat();
            let at = at.index(512);
            bytes[at] ^= byte;
            // The sum in the header is made right, so that its fields are read.
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
