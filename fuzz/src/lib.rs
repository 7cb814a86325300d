//! What the targets share: bounds on memory.

use std::alloc::System;

use cap::Cap;
use proxmo::Result;
use proxmo::env::alfworld::AlfWorld;
use proxmo::fuzzing;

/// A game's file is held to these: so many times its size in memory, and so many bytes besides.
const TIMES: usize = 32;
const BESIDES: usize = 16 << 20;

/// Counts what is allocated. An allocation beyond the limit ends the process, which the fuzzer reports
/// as a crash. Parts of the fuzzer itself are not counted.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// Calls `work`, which may take so many bytes more than are taken already.
pub fn within<R>(bytes: usize, work: impl FnOnce() -> R) -> R {
    let limit = MEMORY.allocated().saturating_add(bytes);
    MEMORY.set_limit(limit).expect("less is taken than may be");
    let result = work();
    MEMORY.set_limit(usize::MAX).expect("there is no limit");
    result
}

/// The bytes as text; what is no text is passed over.
pub fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// Reads a game, from so many bytes, and plays what comes out.
pub fn read_and_play(bytes: usize, read: impl FnOnce() -> Result<AlfWorld>) {
    match within(TIMES * bytes + BESIDES, read) {
        Ok(world) => within(8 * fuzzing::LONGEST, || fuzzing::play(&world)),
        Err(error) => fuzzing::expect_readable(&error, &[fuzzing::GAME]),
    }
}
