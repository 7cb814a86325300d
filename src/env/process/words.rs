//! Other programs' words, made fit for a message: short, on one line, unable to move a cursor.

/// The most characters of an error's text.
const MAX_SAID: usize = 400;

/// The most characters of a line that is quoted.
const MAX_QUOTED: usize = 80;

/// How many of a program's last lines are told.
const LINES: usize = 3;

/// How much of the end of a program's standard error is kept, in bytes.
const KEPT: usize = 4096;

/// A text on one line without control characters, cut to `most` characters.
pub(super) fn plain(text: &str, most: usize) -> String {
    let mut out = String::new();
    let mut is_gap = false;
    for (count, letter) in text.trim().chars().enumerate() {
        if count == most {
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

/// What a program says of itself.
pub(super) fn said(text: &str) -> String {
    plain(text, MAX_SAID)
}

/// A line in quotation marks, whatever bytes it holds.
pub(super) fn quoted(line: &[u8]) -> String {
    let start = &line[..line.len().min(8 * MAX_QUOTED)];
    match plain(&String::from_utf8_lossy(start), MAX_QUOTED) {
        text if text.is_empty() => "nothing".into(),
        text => format!("'{text}'"),
    }
}

/// The end of what a program wrote to its standard error.
#[derive(Debug, Default)]
pub(super) struct Tail(Vec<u8>);

impl Tail {
    /// Takes further bytes, and lets go of those long past.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        if self.0.len() > 2 * KEPT {
            self.0.drain(..self.0.len() - KEPT);
        }
    }

    /// The last lines, or nothing if there are none.
    pub(super) fn last_lines(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.0[self.0.len().saturating_sub(KEPT)..]);
        let lines: Vec<String> = text
            .lines()
            .map(|line| plain(line, MAX_SAID / LINES))
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
    fn words_are_short_and_on_one_line() {
        assert_eq!(said(" a\u{1b}[2Jb\r\n\tc  d\u{7} "), "a[2Jb c d");
        assert_eq!(said(&"é".repeat(1000)).chars().count(), MAX_SAID + 1);
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
