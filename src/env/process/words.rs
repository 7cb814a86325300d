//! Texts of other programs, prepared for a message: short, on one line, without control characters.

/// Maximum number of characters of an error's text.
const MAX_ERROR: usize = 400;

/// Maximum number of characters of a quoted line.
const MAX_QUOTED: usize = 80;

/// Number of last lines that a message quotes.
const LINES: usize = 3;

/// Number of bytes of standard error that are kept.
const KEPT: usize = 4096;

/// A text on one line without control characters, truncated to `max` characters.
pub(super) fn plain(text: &str, max: usize) -> String {
    let mut out = String::new();
    let mut is_gap = false;
    for (count, letter) in text.trim().chars().enumerate() {
        if count == max {
            out.push('…');
            break;
        }
        let is_space = letter.is_whitespace();
        if is_space && !is_gap {
            out.push(' ');
        } else if !is_space && !letter.is_control() {
            out.push(letter);
        }
        is_gap = is_space;
    }
    out
}

/// A program's message on one line.
pub(in crate::env) fn one_line(text: &str) -> String {
    plain(text, MAX_ERROR)
}

/// Any bytes in quotation marks.
pub(super) fn quoted(line: &[u8]) -> String {
    let start = &line[..line.len().min(8 * MAX_QUOTED)];
    match plain(&String::from_utf8_lossy(start), MAX_QUOTED) {
        text if text.is_empty() => "nothing".into(),
        text => format!("'{text}'"),
    }
}

/// The end of a program's standard error.
#[derive(Debug, Default)]
pub(super) struct Tail(Vec<u8>);

impl Tail {
    /// Appends bytes and drops old ones.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        if self.0.len() > 2 * KEPT {
            self.0.drain(..self.0.len() - KEPT);
        }
    }

    /// The last lines, or `None` if there are none.
    pub(super) fn last_lines(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.0[self.0.len().saturating_sub(KEPT)..]);
        let lines: Vec<String> = text
            .lines()
            .map(|line| plain(line, MAX_ERROR / LINES))
            .filter(|line| !line.is_empty())
            .collect();
        let last = lines[lines.len().saturating_sub(LINES)..].join(" / ");
        (!last.is_empty()).then_some(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_truncated_to_one_line() {
        assert_eq!(one_line(" a\u{1b}[2Jb\r\n\tc  d\u{7} "), "a[2Jb c d");
        assert_eq!(one_line(&"é".repeat(1000)).chars().count(), MAX_ERROR + 1);
        assert_eq!(quoted(b" \n"), "nothing");
        assert_eq!(quoted(&[0xff; 10_000]).chars().count(), MAX_QUOTED + 3);
    }

    #[test]
    fn the_last_lines_are_kept() {
        let mut tail = Tail::default();
        assert_eq!(tail.last_lines(), None);
        tail.push(b"\n \n");
        assert_eq!(tail.last_lines(), None);
        for number in 0..100_000 {
            tail.push(format!("line {number}\n").as_bytes());
        }
        tail.push(b"\nValueError: \x1b[31mno\n\n");
        assert_eq!(tail.last_lines().unwrap(), "line 99998 / line 99999 / ValueError: [31mno");
        assert!(tail.0.capacity() < 10 * KEPT);
        tail.push(&[b'x'; 100_000]);
        assert!(tail.last_lines().unwrap().chars().count() < 200);
    }
}
