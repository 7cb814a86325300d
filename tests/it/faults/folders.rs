//! Run folders that are in use or not writable.

use std::fs;
use std::path::Path;

use proxmo::error::Error;
use proxmo::runs::Run;

use super::runs::{BALLS, config, flex};

#[test]
fn a_second_run_in_the_same_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = Run::create(folder.path(), config(), &flex(), &BALLS, &BALLS).unwrap();
    let error = Run::resume(folder.path(), config(), &flex(), &BALLS, &BALLS).err().unwrap();
    assert!(error.to_string().contains("another process is training"), "{error}");
    let error = Run::create(folder.path(), config(), &flex(), &BALLS, &BALLS).err().unwrap();
    assert!(error.to_string().contains("already holds a run"), "{error}");
    drop(first);
    Run::resume(folder.path(), config(), &flex(), &BALLS, &BALLS).unwrap();
}

#[test]
fn a_read_only_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let create = |run: &Path| match Run::create(run, config(), &flex(), &BALLS, &BALLS) {
        Err(error @ Error::Io { .. }) => (error.exit_code(), error.to_string()),
        other => panic!("{:?}", other.err()),
    };
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let (code, said) = create(&file.join("run"));
    assert!(code == 2 && said.contains("cannot create"), "{said}");

    let mut closed = fs::metadata(folder.path()).unwrap().permissions();
    closed.set_readonly(true);
    fs::set_permissions(folder.path(), closed.clone()).unwrap();
    if fs::write(folder.path().join("probe"), "x").is_ok() {
        println!("skipped in part: this user can write to read-only folders");
    } else {
        let (code, said) = create(&folder.path().join("run"));
        assert!(code == 2 && said.contains("cannot create"), "{said}");
    }
    #[allow(clippy::permissions_set_readonly_false)] // Only this test uses the folder.
    closed.set_readonly(false);
    fs::set_permissions(folder.path(), closed).unwrap();
}
