//! The environment protocol, as it is answered by another program: each line is understood or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxmo::fuzzing::answer;
use proxmo_fuzz::within;

/// What every input may take in memory.
const MEMORY: usize = 64 << 20;

fuzz_target!(|bytes: &[u8]| {
    within(MEMORY, || {
        for line in bytes.split(|&byte| byte == b'\n') {
            // Both ends are good: what must not be is a panic, or words that command a terminal.
            let _ = answer(line, "valid");
        }
    });
});
