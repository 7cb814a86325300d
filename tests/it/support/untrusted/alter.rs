//! Random changes to texts. The unit tests of the library also include this file.

use std::ops::Range;

use proptest::prelude::*;

/// The position of a change, the number of removed characters, and the inserted text.
pub type Change = (u16, u8, String);

/// Applies changes to a text.
pub fn altered(text: &str, changes: &[Change]) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for (at, removed, inserted) in changes {
        let from = *at as usize % (text.len() + 1);
        let to = (from + *removed as usize).min(text.len());
        text.splice(from..to, inserted.chars());
    }
    text.into_iter().collect()
}

/// A strategy for `count` changes that remove `removed` characters each and mostly insert one of
/// `words`.
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
