//! A `tokenizer.json`: a text is encoded and decoded, or the tokenizer is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxmo_fuzz::with_memory_limit;

/// Memory limit for one input.
const MEMORY_LIMIT: usize = 256 << 20;

/// A text with what tokenizers treat in special ways.
const TEXT: &str = "go to <|end|> shelf 1\n\n\u{e9}e\u{301} \u{1f980}\u{fffd}  ";

fuzz_target!(|bytes: &[u8]| {
    let _ = with_memory_limit(MEMORY_LIMIT, || proxmo::fuzzing::tokenize(bytes, TEXT));
});
