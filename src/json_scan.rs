//! Faults of JSON text that a parser does not name: numbers that JSON does not have, half characters,
//! and other encodings.

/// The numbers that Python and JavaScript know and JSON does not.
const NON_FINITE: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

/// The mark that may precede UTF-8 text.
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// A number that JSON does not have, in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NonFinite {
    /// The path of its field: `steps[1].reward`.
    pub path: String,
    /// `NaN`, `Infinity` or `-Infinity`.
    pub value: &'static str,
    /// Its first byte.
    pub offset: usize,
}

/// A container that encloses a place in a text.
enum Frame<'a> {
    /// With the JSON text of the current member's name, without quotes.
    Object(&'a str),
    Array(usize),
}

/// The first number of a JSON text that JSON does not have. Nothing else of the text is checked.
pub(crate) fn non_finite(text: &str) -> Option<NonFinite> {
    let bytes = text.as_bytes();
    let mut frames = Vec::new();
    let mut is_name = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let end = end_of_string(bytes, at);
                if is_name && let Some(Frame::Object(name)) = frames.last_mut() {
                    *name = text.get(at + 1..end.saturating_sub(1)).unwrap_or_default();
                }
                is_name = false;
                at = end;
                continue;
            }
            b'{' => {
                frames.push(Frame::Object(""));
                is_name = true;
            }
            b'[' => frames.push(Frame::Array(0)),
            b'}' | b']' => drop(frames.pop()),
            b',' => match frames.last_mut() {
                Some(Frame::Array(number)) => *number += 1,
                Some(Frame::Object(_)) => is_name = true,
                None => {}
            },
            b'N' | b'I' | b'-' => {
                let rest = &bytes[at..];
                let found = NON_FINITE.into_iter().find(|name| rest.starts_with(name.as_bytes()));
                if let Some(value) = found {
                    return Some(NonFinite { path: path(&frames), value, offset: at });
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The end of the string that begins at `start`, after its quote.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn path(frames: &[Frame]) -> String {
    let mut path = String::new();
    for frame in frames {
        match frame {
            Frame::Array(number) => path += &format!("[{number}]"),
            Frame::Object(name) => {
                path += if path.is_empty() { "" } else { "." };
                path += name;
            }
        }
    }
    path
}

/// The first half of a surrogate pair without the other, as the text escapes it: `\ud83d`.
pub(crate) fn lone_surrogate(text: &str) -> Option<&str> {
    let unit = |at: usize| {
        let escape = text.get(at..at + 6)?;
        let digits = escape.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut at = 0;
    while let Some(found) = text.get(at..)?.find('\\') {
        at += found;
        match unit(at) {
            Some(0xd800..=0xdbff) if matches!(unit(at + 6), Some(0xdc00..=0xdfff)) => at += 12,
            Some(0xd800..=0xdfff) => return text.get(at..at + 6),
            _ => at += 2,
        }
    }
    None
}

/// A JSON text with `null` in place of each number that JSON does not have, and those numbers.
#[cfg(any(test, feature = "process"))]
pub(crate) fn without_non_finite(text: &str) -> (String, Vec<NonFinite>) {
    let (mut text, mut all) = (text.to_string(), Vec::new());
    while let Some(found) = non_finite(&text) {
        text.replace_range(found.offset..found.offset + found.value.len(), "null");
        all.push(found);
    }
    (text, all)
}

/// Text without a byte-order mark of UTF-8.
pub(crate) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(UTF8_MARK).unwrap_or(text)
}

/// Why bytes are not UTF-8 text: UTF-16 is named.
///
/// # Errors
/// Fails with what was found in place of UTF-8.
pub(crate) fn utf8(text: &[u8]) -> Result<&str, String> {
    let mark = match text {
        [0xff, 0xfe, ..] => Some("byte-order mark FF FE"),
        [0xfe, 0xff, ..] => Some("byte-order mark FE FF"),
        // JSON has no zero byte, and UTF-16 has one beside every ASCII character.
        _ => text.contains(&0).then_some("zero bytes"),
    };
    if let Some(mark) = mark {
        return Err(format!("UTF-16 ({mark})"));
    }
    str::from_utf8(text).map_err(|error| {
        let at = error.valid_up_to();
        format!("an invalid byte (0x{:02x}) at column {}", text[at], at + 1)
    })
}

/// A JSON text on one line: without spaces and line breaks between its tokens.
pub(crate) fn on_one_line(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut line = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'"' => end_of_string(bytes, at),
            _ => {
                bytes[at..].iter().position(|&byte| byte == b'"').map_or(bytes.len(), |it| at + it)
            }
        };
        let part = text.get(at..end).unwrap_or_default();
        if bytes[at] == b'"' {
            line += part;
        } else {
            line.extend(part.chars().filter(|letter| !letter.is_ascii_whitespace()));
        }
        at = end;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_json_does_not_have_are_found_by_path() {
        let found = |text: &str| non_finite(text).map(|it| (it.path, it.value));
        let text = r#"{"a":"NaN \" Infinity","steps":[{"x":1},{"reward":-Infinity}]}"#;
        assert_eq!(found(text), Some(("steps[1].reward".into(), "-Infinity")));
        assert_eq!(found("[1, [2, NaN]]"), Some(("[1][1]".into(), "NaN")));
        assert_eq!(found(r#"[{"a":{"b":[Infinity"#), Some(("[0].a.b[0]".into(), "Infinity")));
        let (text, all) = without_non_finite(r#"{"a":NaN,"b":[-Infinity]}"#);
        assert_eq!((text.as_str(), all.len()), (r#"{"a":null,"b":[null]}"#, 2));
        for sound in [r#"{"NaN":-1,"b":["Infinity",null]}"#, "", "\"\\", "-", "Nothing"] {
            assert_eq!(found(sound), None, "{sound}");
        }
    }

    #[test]
    fn half_characters_are_found_and_whole_ones_are_not() {
        assert_eq!(lone_surrogate(r"caf\ud83d."), Some(r"\ud83d"));
        assert_eq!(lone_surrogate(r"\ude00\ud83d"), Some(r"\ude00"));
        for whole in [r"\ud83d\ude00", r"\\ud83d", "é", r"\u00e9", "\\", r"\u"] {
            assert_eq!(lone_surrogate(whole), None, "{whole}");
        }
    }

    #[test]
    fn other_encodings_are_named() {
        assert_eq!(utf8("é".as_bytes()), Ok("é"));
        for text in [&b"\xff\xfe{\0"[..], b"\xfe\xff\0{", b"{\0}\0", b"\0{\0}"] {
            assert!(utf8(text).unwrap_err().starts_with("UTF-16 ("));
        }
        assert_eq!(utf8(b"caf\xe9").unwrap_err(), "an invalid byte (0xe9) at column 4");
        assert_eq!(without_mark(b"\xef\xbb\xbf{}"), b"{}");
    }

    #[test]
    fn text_is_joined_to_one_line_and_strings_stay() {
        let text = "{\n  \"a b\": [ 1,\r\n\t2 ],\n  \"c\\\" \": \" é \\n \"\n}";
        assert_eq!(on_one_line(text), r#"{"a b":[1,2],"c\" ":" é \n "}"#);
    }
}
