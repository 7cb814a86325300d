//! A chat template: a chat is rendered, or the template is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxmo_fuzz::with_memory_limit;

/// Memory limit for one input: what the work that a template may take can allocate.
const MEMORY_LIMIT: usize = 512 << 20;

fuzz_target!(|bytes: &[u8]| {
    if let Some(text) = proxmo_fuzz::text(bytes) {
        let _ = with_memory_limit(MEMORY_LIMIT, || proxmo::fuzzing::render(text));
    }
});
