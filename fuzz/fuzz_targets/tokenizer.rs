//! A `tokenizer.json`: a text is encoded and decoded, or the tokenizer is refused.
#![no_main]

use std::sync::Once;

use libfuzzer_sys::fuzz_target;
use proxmo_fuzz::with_memory_limit;

/// Memory limit for one input.
const MEMORY_LIMIT: usize = 256 << 20;

/// A text with what tokenizers treat in special ways.
const TEXT: &str = "go to <|end|> shelf 1\n\n\u{e9}e\u{301} \u{1f980}\u{fffd}  ";

/// Removes the fuzzer's hook, which ends the process on a panic even where it is caught: the tokenizer
/// library panics on some files, and the crate makes errors of that. A panic that is not caught still ends
/// the process.
static CAUGHT_PANICS_ARE_ALLOWED: Once = Once::new();

fuzz_target!(|bytes: &[u8]| {
    CAUGHT_PANICS_ARE_ALLOWED.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    let _ = with_memory_limit(MEMORY_LIMIT, || proxmo::fuzzing::tokenize(bytes, TEXT));
});
