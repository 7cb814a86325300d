//! The analysis chain of the search engine: from a text to the terms that are indexed.
//!
//! As Lucene 8's StandardTokenizer, possessive filter, lower-casing, stop words and Porter stemmer. Word
//! boundaries are those of the crate `unicode-segmentation` (UAX #29), with the differences of Lucene's
//! tokenizer put on top: which segments are tokens, runs of South-East Asian scripts, skin tones.

use std::sync::OnceLock;

use regex::Regex;
use unicode_segmentation::UnicodeSegmentation;

use super::stem::stem;

/// The words that are not indexed, sorted.
const STOP_WORDS: [&str; 33] = [
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it",
    "no", "not", "of", "on", "or", "such", "that", "the", "their", "then", "there", "these",
    "they", "this", "to", "was", "will", "with",
];

/// The most UTF-16 units of a token; a longer one is cut into pieces.
const MAX_TOKEN: usize = 255;

/// Code points of the line-breaking class SA (complex context): Thai, Lao, Myanmar, Khmer, Tai Le, New
/// Tai Lue, Tai Tham, Tai Viet and Ahom, from LineBreak.txt of Unicode 15.
const COMPLEX_CONTEXT: [(u32, u32); 34] = [
    (0xe01, 0xe3a),
    (0xe40, 0xe4e),
    (0xe81, 0xe82),
    (0xe84, 0xe84),
    (0xe86, 0xe8a),
    (0xe8c, 0xea3),
    (0xea5, 0xea5),
    (0xea7, 0xebd),
    (0xec0, 0xec4),
    (0xec6, 0xec6),
    (0xec8, 0xece),
    (0xedc, 0xedf),
    (0x1000, 0x103f),
    (0x1050, 0x108f),
    (0x109a, 0x109f),
    (0x1780, 0x17d3),
    (0x17d7, 0x17d7),
    (0x17dc, 0x17dd),
    (0x1950, 0x196d),
    (0x1970, 0x1974),
    (0x1980, 0x19ab),
    (0x19b0, 0x19c9),
    (0x19da, 0x19da),
    (0x19de, 0x19df),
    (0x1a20, 0x1a5e),
    (0x1a60, 0x1a7c),
    (0x1aa0, 0x1aad),
    (0xa9e0, 0xa9ef),
    (0xa9fa, 0xa9fe),
    (0xaa60, 0xaac2),
    (0xaadb, 0xaadf),
    (0x11700, 0x1171a),
    (0x1171d, 0x1172b),
    (0x1173a, 0x11746),
];

fn is_complex(c: char) -> bool {
    let code = c as u32;
    let found = COMPLEX_CONTEXT.partition_point(|&(_, last)| last < code);
    COMPLEX_CONTEXT.get(found).is_some_and(|&(first, _)| first <= code)
}

fn is_regional(c: char) -> bool {
    ('\u{1f1e6}'..='\u{1f1ff}').contains(&c)
}

fn is_skin_tone(c: char) -> bool {
    ('\u{1f3fb}'..='\u{1f3ff}').contains(&c)
}

/// Patterns of Unicode classes, compiled once.
struct Patterns {
    /// A letter or a digit (L, Nd, Nl).
    word: Regex,
    /// A pictograph, a skin tone or a keycap sequence.
    emoji: Regex,
    /// A character that extends the one before it.
    mark: Regex,
}

fn patterns() -> &'static Patterns {
    static PATTERNS: OnceLock<Patterns> = OnceLock::new();
    PATTERNS.get_or_init(|| {
        let compile = |pattern| Regex::new(pattern).expect("the pattern is a constant");
        Patterns {
            word: compile(r"[\p{L}\p{Nd}\p{Nl}]"),
            emoji: compile(
                r"\p{Extended_Pictographic}|[\x{1f3fb}-\x{1f3ff}]|[#*0-9]\x{fe0f}?\x{20e3}",
            ),
            mark: compile(r"^[\p{M}\p{Cf}]$"),
        }
    })
}

fn is_mark(c: char) -> bool {
    !c.is_ascii() && patterns().mark.is_match(c.encode_utf8(&mut [0; 4]))
}

/// Turns texts into terms, reusing its memory.
#[derive(Debug, Default)]
pub(crate) struct Analyzer {
    term: String,
    letters: Vec<char>,
}

impl Analyzer {
    /// Calls `found` with each term of a text, in order, repetitions included.
    pub(crate) fn terms(&mut self, text: &str, found: &mut dyn FnMut(&str)) {
        tokens(text, &mut |token| {
            if let Some(term) = self.term(token) {
                found(term);
            }
        });
    }

    /// The term of a token, or `None` for a stop word.
    pub(crate) fn term(&mut self, token: &str) -> Option<&str> {
        let token = without_possessive(token);
        self.term.clear();
        // One code point for one: İ becomes i without its dot, and Σ σ at the end of a word too.
        self.term.extend(token.chars().filter_map(|c| c.to_lowercase().next()));
        if STOP_WORDS.binary_search(&self.term.as_str()).is_ok() {
            return None;
        }
        stem(&mut self.term, &mut self.letters);
        Some(&self.term)
    }
}

fn without_possessive(token: &str) -> &str {
    let stem = token.strip_suffix(['s', 'S']);
    stem.and_then(|stem| stem.strip_suffix(['\'', '\u{2019}', '\u{ff07}'])).unwrap_or(token)
}

/// Calls `found` with each token of a text, as it stands in the text.
pub(crate) fn tokens<'a>(text: &'a str, found: &mut dyn FnMut(&'a str)) {
    if text.is_ascii() {
        return ordinary_tokens(text, found);
    }
    // Runs of South-East Asian scripts are single tokens; word boundaries cut what lies between.
    let mut start = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let tone =
            is_skin_tone(c) && at > start && patterns().word.is_match(last(&text[start..at]));
        if tone {
            // Newer rules take a skin tone for a part of the word before it.
            ordinary_tokens(&text[start..at], found);
            start = at;
        }
        if !is_complex(c) || is_mark(c) {
            continue;
        }
        ordinary_tokens(&text[start..at], found);
        while characters.next_if(|&(_, c)| is_complex(c) || is_mark(c)).is_some() {}
        start = characters.peek().map_or(text.len(), |&(at, _)| at);
        pieces(&text[at..start], found);
    }
    ordinary_tokens(&text[start..], found);
}

/// The last character of a text, as a text.
fn last(text: &str) -> &str {
    text.char_indices().next_back().map_or("", |(at, _)| &text[at..])
}

fn ordinary_tokens<'a>(text: &'a str, found: &mut dyn FnMut(&'a str)) {
    for segment in text.split_word_bounds() {
        if is_token(segment) {
            pieces(segment, found);
        }
    }
}

fn is_token(segment: &str) -> bool {
    if segment.is_ascii() {
        return segment.bytes().any(|byte| byte.is_ascii_alphanumeric());
    }
    let patterns = patterns();
    patterns.word.is_match(segment)
        || patterns.emoji.is_match(segment)
        || segment.chars().filter(|&c| is_regional(c)).count() == 2
}

/// Cuts a token that is too long.
fn pieces<'a>(token: &'a str, found: &mut dyn FnMut(&'a str)) {
    if token.len() <= MAX_TOKEN {
        return found(token);
    }
    let (mut start, mut units) = (0, 0);
    for (at, c) in token.char_indices() {
        if units + c.len_utf16() > MAX_TOKEN {
            found(&token[start..at]);
            (start, units) = (at, 0);
        }
        units += c.len_utf16();
    }
    found(&token[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn analyze(text: &str) -> Vec<String> {
        let mut terms = Vec::new();
        Analyzer::default().terms(text, &mut |term| terms.push(term.to_string()));
        terms
    }

    #[test]
    fn stop_words_are_sorted() {
        assert!(STOP_WORDS.is_sorted());
        assert!(COMPLEX_CONTEXT.is_sorted());
    }

    #[test]
    fn terms_are_lower_case_stems_without_stop_words() {
        assert_eq!(
            analyze("The Women's running-shoes, 1,000 x_y _ it"),
            ["women", "run", "shoe", "1,000", "x_y"]
        );
        assert_eq!(analyze("İSTANBUL ΣΑΣ"), ["istanbul", "σασ"]);
    }

    #[test]
    fn tokens_of_other_scripts_and_emoji() {
        let of = |text| {
            let mut all = Vec::new();
            tokens(text, &mut |token| all.push(token));
            all
        };
        assert_eq!(of("日本ひらカタカナ"), ["日", "本", "ひ", "ら", "カタカナ"]);
        assert_eq!(of("ภาษาไทย123"), ["ภาษาไทย", "123"]);
        assert_eq!(of("★ ☆ ½ ✔ #\u{fe0f}\u{20e3}"), ["★", "✔", "#\u{fe0f}\u{20e3}"]);
        assert_eq!(of("🇩🇪 🇩"), ["🇩🇪"]);
        assert_eq!(
            of(&"x".repeat(600)).iter().map(|t| t.len()).collect::<Vec<_>>(),
            [255, 255, 90]
        );
    }
}
