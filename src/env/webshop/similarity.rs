//! How alike two texts are: `token_set_ratio` of thefuzz 0.19, on its own rules for words.

use std::sync::OnceLock;

use regex::Regex;

use super::python::strip;

/// The words of a text: lower-case, sorted, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words(Vec<String>);

impl Words {
    /// Drops U+0080 to U+00FF, takes every character that is no letter, number or `_` for a space, and
    /// splits at spaces.
    pub fn new(text: &str) -> Self {
        let mut clean = String::with_capacity(text.len());
        for c in text.chars().filter(|c| !('\u{80}'..='\u{ff}').contains(c)) {
            clean.push(if is_word(c) { c } else { ' ' });
        }
        let clean = clean.to_lowercase();
        let is_gap = super::python::is_space;
        let words = strip(&clean).split(is_gap).filter(|word| !word.is_empty());
        let mut words: Vec<String> = words.map(str::to_string).collect();
        words.sort_unstable();
        words.dedup();
        Self(words)
    }
}

/// Python's `\w`.
fn is_word(c: char) -> bool {
    static WORD: OnceLock<Regex> = OnceLock::new();
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || c == '_';
    }
    let word =
        WORD.get_or_init(|| Regex::new(r"^[\p{L}\p{N}]$").expect("the pattern is a constant"));
    word.is_match(c.encode_utf8(&mut [0; 4]))
}

/// `token_set_ratio`: 0 to 100, and 100 if all words of one text are among those of the other.
pub(crate) fn token_set_ratio(a: &Words, b: &Words) -> u32 {
    if a.0.is_empty() || b.0.is_empty() {
        return 0;
    }
    let is_in = |words: &Words, word: &String| words.0.binary_search(word).is_ok();
    let common: Vec<&str> = a.0.iter().filter(|word| is_in(b, word)).map(String::as_str).collect();
    let rest = |words: &Words, other: &Words| -> Vec<char> {
        let rest = words.0.iter().filter(|word| !is_in(other, word)).map(String::as_str);
        let all: Vec<&str> = common.iter().copied().chain(rest).collect();
        all.join(" ").chars().collect()
    };
    let (first, second) = (rest(a, b), rest(b, a));
    let common: Vec<char> = common.join(" ").chars().collect();
    if !common.is_empty() && (common.len() == first.len() || common.len() == second.len()) {
        return 100;
    }
    ratio(&common, &first).max(ratio(&common, &second)).max(ratio(&first, &second))
}

/// 100 times twice the longest common subsequence over both lengths, rounded half to even.
fn ratio(a: &[char], b: &[char]) -> u32 {
    if a.is_empty() || b.is_empty() {
        return 0;
    }
    let common = match b.starts_with(a) {
        true => a.len(),
        false => longest_common_subsequence(a, b),
    };
    let ratio = (2 * common) as f64 / (a.len() + b.len()) as f64;
    (100.0 * ratio).round_ties_even() as u32
}

/// Hyyrö's bit-parallel algorithm, 64 characters of `a` at a time.
fn longest_common_subsequence(a: &[char], b: &[char]) -> usize {
    let mut columns = vec![u64::MAX; a.len().div_ceil(64)];
    for &c in b {
        let mut carry = 0;
        for (column, part) in columns.iter_mut().zip(a.chunks(64)) {
            let mut matches = 0u64;
            for (bit, &other) in part.iter().enumerate() {
                matches |= u64::from(other == c) << bit;
            }
            let both = *column & matches;
            let (sum, first) = column.overflowing_add(both);
            let (sum, second) = sum.overflowing_add(carry);
            carry = u64::from(first || second);
            *column = sum | (*column - both);
        }
    }
    let ones = |(column, part): (&u64, &[char])| {
        let mask = u64::MAX >> (64 - part.len());
        (!column & mask).count_ones() as usize
    };
    columns.iter().zip(a.chunks(64)).map(ones).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compare(a: &str, b: &str) -> u32 {
        token_set_ratio(&Words::new(a), &Words::new(b))
    }

    #[test]
    fn words_of_one_text_among_those_of_the_other_give_100() {
        assert_eq!(compare("large", "X-Large"), 100);
        assert_eq!(compare("b a", "A, B!"), 100);
        assert_eq!(compare("é", "e"), 0);
        assert_eq!(compare("crème", "crme"), 100);
        assert_eq!(compare("", ""), 0);
        assert_eq!(compare("abcd", "abce"), 75);
        assert!(compare("snake_case", "snake case") < 100);
    }

    fn simple(a: &[char], b: &[char]) -> usize {
        let mut row = vec![0; b.len() + 1];
        for x in a {
            let mut diagonal = 0;
            for (j, y) in b.iter().enumerate() {
                let above = row[j + 1];
                row[j + 1] = if x == y { diagonal + 1 } else { above.max(row[j]) };
                diagonal = above;
            }
        }
        row[b.len()]
    }

    proptest! {
        #[test]
        fn subsequences_are_as_long_as_a_table_says(a in "[abc]{1,150}", b in "[abc]{1,150}") {
            let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
            prop_assert_eq!(longest_common_subsequence(&a, &b), simple(&a, &b));
        }
    }
}
