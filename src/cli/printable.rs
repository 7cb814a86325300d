//! Texts from files, games and other programs, as a terminal may be given them.
//!
//! A terminal takes commands from what it prints: escape sequences move its cursor, rename its window,
//! on some even type into it. Whatever was not written by this program therefore goes through
//! [`printable`] before it is shown. What goes to another program (JSON lines, files) stays as it is.

use std::borrow::Cow;
use std::fmt::Write;

/// A text whose control characters but line breaks are told by their codes, such as `\u{1b}`, together
/// with those that turn the direction of writing.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            '\t' => safe.push(' '),
            letter if is_unsafe(letter) => {
                let _ = write!(safe, "{}", letter.escape_unicode());
            }
            letter => safe.push(letter),
        }
    }
    Cow::Owned(safe)
}

fn is_unsafe(letter: char) -> bool {
    let turns = matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (letter.is_control() && letter != '\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commands_a_terminal_is_spelled_out() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\td\r"), "a\\u{1b}[2Jb\nc d\\u{d}");
        assert_eq!(printable("\u{9b}1m\u{7}\u{0}"), "\\u{9b}1m\\u{7}\\u{0}");
        assert_eq!(printable("\u{202e}evil"), "\\u{202e}evil");
        let harmless = "Zürich, 東京, 🦀: 5 % \\u{1b}\n";
        assert!(matches!(printable(harmless), Cow::Borrowed(text) if text == harmless));
    }

    #[test]
    fn nothing_unsafe_is_ever_left() {
        let all: String = (0..=0x2fff).filter_map(char::from_u32).collect();
        assert!(!printable(&all).contains(is_unsafe));
    }
}
