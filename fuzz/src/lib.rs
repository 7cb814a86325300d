//! Shared code of the fuzz targets: memory limits, and reading and playing a game.

use std::alloc::System;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cap::Cap;
use proxmo::Result;
use proxmo::env::alfworld::AlfWorld;
use proxmo::fuzzing;

/// The constant part of the memory limit for reading a file.
pub const BASE_BYTES: usize = 16 << 20;
/// What each byte of the file adds to the limit.
pub const BYTES_PER_BYTE: usize = 32;

/// Counts allocations. An allocation beyond the limit aborts the process, which the fuzzer reports as a
/// crash. Parts of the fuzzer itself are not counted.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// Calls `work`, which can allocate at most `bytes` more than is allocated already.
pub fn with_memory_limit<R>(bytes: usize, work: impl FnOnce() -> R) -> R {
    let limit = MEMORY.allocated().saturating_add(bytes);
    MEMORY.set_limit(limit).expect("the limit is above the allocated memory");
    let result = work();
    MEMORY.set_limit(usize::MAX).expect("the maximum is above the allocated memory");
    result
}

/// The bytes as text, or `None` if they are not UTF-8.
pub fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// Reads a game from input of the size `bytes` and plays it if it is valid.
pub fn read_and_play(bytes: usize, read: impl FnOnce() -> Result<AlfWorld>) {
    match with_memory_limit(BYTES_PER_BYTE * bytes + BASE_BYTES, read) {
        Ok(world) => with_memory_limit(8 * fuzzing::MAX_TEXT_BYTES, || fuzzing::play(&world)),
        Err(error) => fuzzing::expect_readable(&error, &[fuzzing::GAME_NAME]),
    }
}

/// A folder for the files of this process, in memory if there is such a file system.
pub fn temporary_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let shared = Path::new("/dev/shm");
        let folder = match shared.is_dir() {
            true => tempfile::tempdir_in(shared),
            false => tempfile::tempdir(),
        };
        folder.expect("there is room for a folder").keep()
    })
}

/// Loads a model whose untrusted files have `bytes` bytes, or checks the error that refuses it.
pub fn load_model(path: &Path, bytes: usize) {
    let limit = BYTES_PER_BYTE * bytes + BASE_BYTES;
    if let Err(error) = with_memory_limit(limit, || fuzzing::load_model(path)) {
        fuzzing::expect_readable(&error, &[&path.display().to_string()]);
    }
}
