//! Splitting a text into words.
//!
//! Words follow the word boundaries of [UAX #29](https://www.unicode.org/reports/tr29/). A script that
//! is written without spaces has no such boundaries between words: there, every character (with its
//! combining marks) is a word.

use unicode_segmentation::UnicodeSegmentation;

/// Calls `each` with every word of a text, in lower case.
///
/// A word is a run of letters or of digits; a change between them ends it, so "shelf 12" and "shelf12"
/// have the same words. Combining marks belong to the letter that they follow. Chinese, Japanese, Thai
/// and other scripts without spaces are split into characters.
pub fn for_each_word(text: &str, mut each: impl FnMut(&str)) {
    let mut lower = String::new();
    let mut emit = |word: &str| {
        if word.chars().any(char::is_uppercase) {
            lower.clear();
            lower.extend(word.chars().flat_map(char::to_lowercase));
            each(&lower);
        } else {
            each(word);
        }
    };
    if text.is_ascii() {
        for_each_ascii_run(text, &mut emit);
    } else {
        text.unicode_words().for_each(|segment| for_each_run(segment, &mut emit));
    }
}

/// [`for_each_run`] for ASCII, where every character is one byte.
fn for_each_ascii_run(text: &str, emit: &mut impl FnMut(&str)) {
    let bytes = text.as_bytes();
    let mut start = 0;
    for end in 1..=bytes.len() {
        let before = Class::of(char::from(bytes[end - 1]));
        let after = bytes.get(end).map(|&byte| Class::of(char::from(byte)));
        if after != Some(before) {
            if before != Class::Other {
                emit(&text[start..end]);
            }
            start = end;
        }
    }
}

/// Calls `emit` with the runs of letters, the runs of digits and the characters of unspaced scripts.
fn for_each_run(segment: &str, emit: &mut impl FnMut(&str)) {
    let (mut start, mut class) = (0, Class::Other);
    for (at, grapheme) in segment.grapheme_indices(true) {
        let next = grapheme.chars().next().map_or(Class::Other, Class::of);
        if next != class || next == Class::Unspaced {
            if class != Class::Other {
                emit(&segment[start..at]);
            }
            (start, class) = (at, next);
        }
    }
    if class != Class::Other {
        emit(&segment[start..]);
    }
}

/// The part that a character has in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Digit,
    /// A letter of a script that is written without spaces between words.
    Unspaced,
    /// Not part of a word.
    Other,
}

impl Class {
    fn of(letter: char) -> Self {
        match letter {
            letter if letter.is_numeric() => Self::Digit,
            letter if is_unspaced(letter) && letter.is_alphanumeric() => Self::Unspaced,
            letter if letter.is_alphanumeric() => Self::Letter,
            _ => Self::Other,
        }
    }
}

/// Whether a character belongs to a script that is written without spaces between words.
fn is_unspaced(letter: char) -> bool {
    matches!(letter,
        '\u{0e00}'..='\u{0eff}' // Thai, Lao
        | '\u{1000}'..='\u{109f}' | '\u{a9e0}'..='\u{a9ff}' | '\u{aa60}'..='\u{aa7f}' // Myanmar
        | '\u{1780}'..='\u{17ff}' // Khmer
        | '\u{1950}'..='\u{19df}' | '\u{1a20}'..='\u{1aaf}' | '\u{aa80}'..='\u{aadf}' // Tai
        | '\u{1b00}'..='\u{1b7f}' | '\u{a980}'..='\u{a9df}' // Balinese, Javanese
        | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{312f}' | '\u{31a0}'..='\u{31ff}' // Kana, Bopomofo
        | '\u{ff66}'..='\u{ff9d}' // half-width Katakana
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' // Han
        | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut list = Vec::new();
        for_each_word(text, |word| list.push(word.to_string()));
        list
    }

    #[test]
    fn words_are_runs_of_letters_or_digits() {
        assert_eq!(
            words("Go to Shelf 12, then shelf3."),
            ["go", "to", "shelf", "12", "then", "shelf", "3"]
        );
        assert_eq!(words("Éa-ß"), ["éa", "ß"]);
        assert!(words(" ,.!").is_empty() && words("").is_empty() && words("🦀 — …").is_empty());
    }

    #[test]
    fn a_text_beyond_ascii_has_the_words_that_its_ascii_part_has() {
        for text in ["can't open_the box-3", "3.14 a.b e.g. x2y", "Shelf12b, desk 7"] {
            let longer = words(&format!("{text} é"));
            assert_eq!(longer[..longer.len() - 1], words(text));
        }
    }

    #[test]
    fn scripts_without_spaces_are_split_into_characters() {
        assert_eq!(words("打开红色的门3"), ["打", "开", "红", "色", "的", "门", "3"]);
        assert_eq!(words("ゴミ箱へ"), ["ゴ", "ミ", "箱", "へ"]);
        // A vowel sign above or below and a tone mark belong to the letter before.
        assert_eq!(words("ที่ดิน"), ["ที่", "ดิ", "น"]);
        assert_eq!(words("go去shelf"), ["go", "去", "shelf"]);
        assert!(words("ຫ້ອງ").len() > 1 && words("ផ្ទះបាយ").len() > 1 && words("အိမ်").len() > 1);
    }

    #[test]
    fn scripts_with_spaces_keep_whole_words_with_their_marks() {
        assert_eq!(words("cafe\u{301}s Öl"), ["cafe\u{301}s", "öl"]);
        assert_eq!(words("दरवाज़ा खोलो"), ["दरवाज़ा", "खोलो"]);
        assert_eq!(words("문을 열어"), ["문을", "열어"]);
        assert_eq!(words("Открой дверь 2"), ["открой", "дверь", "2"]);
        assert_eq!(words("افتح الباب"), ["افتح", "الباب"]);
    }
}
