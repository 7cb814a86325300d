//! The shared data that some tests need. It is not part of the repository.

use std::path::{Path, PathBuf};

/// The path of a shared file or folder: below `PROXMO_SHARED`, or below `../shared`. If it does not
/// exist, prints that the test is skipped and returns `None`; panics if `CI` is set.
pub fn shared(path: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("PROXMO_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = folder.join(path);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{} does not exist", path.display());
    println!("SKIPPED: {} does not exist", path.display());
    None
}
