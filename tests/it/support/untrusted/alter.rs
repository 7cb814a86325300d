//! Texts that chance has altered. The library's own tests of bad input take this file too.

use std::ops::Range;

use proptest::prelude::*;

/// Where something is cut out, how many characters of it, and what comes there instead.
pub type Change = (u16, u8, String);

/// A text with parts of it cut out, doubled or replaced.
pub fn altered(text: &str, changes: &[Change]) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for (at, removed, inserted) in changes {
        let from = *at as usize % (text.len() + 1);
        let to = (from + *removed as usize).min(text.len());
        text.splice(from..to, inserted.chars());
    }
    text.into_iter().collect()
}

/// So many changes that mostly insert what means something, each cutting out so many characters.
pub fn changes(
    words: &'static [&'static str],
    removed: Range<u8>,
    count: Range<usize>,
) -> impl Strategy<Value = Vec<Change>> {
    let word = prop_oneof![
        4 => proptest::sample::select(words).prop_map(str::to_string),
        1 => "\\PC{0,8}",
        1 => Just(String::new()),
    ];
    proptest::collection::vec((any::<u16>(), removed, word), count)
}
