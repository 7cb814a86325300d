//! Answers of environment programs: each line is accepted or rejected.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxmo::fuzzing::check_answer;
use proxmo_fuzz::with_memory_limit;

/// Memory limit for one input.
const MEMORY_LIMIT: usize = 64 << 20;

fuzz_target!(|bytes: &[u8]| {
    with_memory_limit(MEMORY_LIMIT, || {
        for line in bytes.split(|&byte| byte == b'\n') {
            // Acceptance and rejection are both correct. `check_answer` panics on other faults.
            let _ = check_answer(line, "valid");
        }
    });
});
