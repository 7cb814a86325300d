//! The analysis chain of WebShop's search engine.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxmo::env::webshop::{analyze, find_nouns};

/// Maximum number of UTF-16 units of a token.
const MAX_TOKEN: usize = 255;

fuzz_target!(|bytes: &[u8]| {
    let Some(text) = proxmo_fuzz::text(bytes) else { return };
    let terms = analyze(text);
    assert_eq!(terms, analyze(text));
    for term in &terms {
        assert!(!term.is_empty());
        assert!(term.encode_utf16().count() <= MAX_TOKEN + 1, "{term}");
    }
    find_nouns(text);
});
