//! The rules of Python's `str`, `float` and `json` that WebShop's texts follow.

/// Whether Python's `str.strip` removes a character: Unicode white space and U+001C to U+001F.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// `str.strip()`.
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Appends `repr(number)` of a finite float.
pub(crate) fn write_float(number: f64, out: &mut String) {
    use std::fmt::Write;
    let size = number.abs();
    // Writing to a String cannot fail.
    if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        let _ = write!(out, "{digits}e{sign}{exponent:0>2}");
    } else if number.fract() == 0.0 {
        let _ = write!(out, "{number:.1}");
    } else {
        let _ = write!(out, "{number}");
    }
}

/// Appends a text as `json.dumps` writes it in ASCII, with `<`, `>`, `&` and `'` escaped too, as
/// Jinja's `tojson` does.
pub(crate) fn write_html_json(text: &str, out: &mut String) {
    use std::fmt::Write;
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            ' '..='~' if !matches!(c, '<' | '>' | '&' | '\'') => out.push(c),
            _ => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_in_python() {
        let text = |number: f64| {
            let mut out = String::new();
            write_float(number, &mut out);
            out
        };
        for (number, expected) in [
            (198.0, "198.0"),
            (9.5, "9.5"),
            (0.1 + 0.2, "0.30000000000000004"),
            (0.0, "0.0"),
            (1e16, "1e+16"),
            (1.5e-7, "1.5e-07"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (0.0001, "0.0001"),
            (1e15, "1000000000000000.0"),
        ] {
            assert_eq!(text(number), expected);
        }
    }

    #[test]
    fn json_is_ascii_without_characters_of_html() {
        let mut out = String::new();
        write_html_json("a\"\\<é'\u{1f600}\x7f\n", &mut out);
        assert_eq!(out, r#""a\"\\\u003c\u00e9\u0027\ud83d\ude00\u007f\n""#);
    }

    #[test]
    fn stripping_takes_the_four_separators_too() {
        assert_eq!(strip("\u{1c}\u{a0} x \u{1f}"), "x");
    }
}
