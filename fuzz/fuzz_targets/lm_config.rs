//! A model's `config.json`: read, written and read again without changes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxmo::fuzzing::expect_readable;
use proxmo_fuzz::with_memory_limit;

/// Memory limit for one input.
const MEMORY_LIMIT: usize = 64 << 20;

fuzz_target!(|bytes: &[u8]| {
    let Some(text) = proxmo_fuzz::text(bytes) else { return };
    if let Err(error) = with_memory_limit(MEMORY_LIMIT, || proxmo::fuzzing::lm_config(text)) {
        expect_readable(&error, &["config.json: "]);
    }
});
