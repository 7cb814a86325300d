//! Splitting a text into terms.
//!
//! A term is a run of word characters. A word character is one that Python's `\w` matches: a Unicode
//! letter, a Unicode number or an underscore. Combining marks are not word characters, which is why
//! `char::is_alphanumeric` is not used.

use std::sync::LazyLock;

use regex::Regex;

static RUNS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[\p{L}\p{N}_]+").ok());

/// Appends `text` in lower case to `out`.
pub fn lowercase_into(text: &str, out: &mut String) {
    if text.is_ascii() {
        let start = out.len();
        out.push_str(text);
        out[start..].make_ascii_lowercase();
    } else {
        out.push_str(&text.to_lowercase());
    }
}

/// Calls `visit` with every term of at least `shortest` characters, in order.
pub fn for_each_term<'a>(text: &'a str, shortest: usize, mut visit: impl FnMut(&'a str)) {
    if text.is_ascii() {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let start = at;
            while at < bytes.len() && is_word(bytes[at]) {
                at += 1;
            }
            if at > start && at - start >= shortest {
                visit(&text[start..at]);
            }
            at += 1;
        }
    } else if let Some(runs) = &*RUNS {
        let long = runs.find_iter(text).map(|run| run.as_str());
        long.filter(|run| run.chars().count() >= shortest).for_each(visit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(text: &str, shortest: usize) -> Vec<String> {
        let mut lower = String::new();
        lowercase_into(text, &mut lower);
        let mut terms = Vec::new();
        for_each_term(&lower, shortest, |term| terms.push(term.to_string()));
        terms
    }

    #[test]
    fn terms_are_runs_of_letters_numbers_and_underscores() {
        assert_eq!(terms("Go to: shelf 12, a_b (x)!", 2), ["go", "to", "shelf", "12", "a_b"]);
        assert_eq!(terms("shelf 1", 1), ["shelf", "1"]);
        assert!(terms("", 2).is_empty() && terms(" -=. ", 1).is_empty());
    }

    #[test]
    fn unicode_follows_pythons_word_characters() {
        // A combining acute accent splits a word, a composed letter does not; superscripts,
        // Roman numerals and CJK count as word characters; a circled letter is a symbol.
        assert_eq!(terms("cafe\u{301}s CAFÉS", 2), ["cafe", "cafés"]);
        assert_eq!(terms("x² ⅣⅤ 日本 ⓐⓑ", 2), ["x²", "ⅳⅴ", "日本"]);
        assert_eq!(terms("ΟΔΟΣ", 2), ["οδος"]);
    }
}
