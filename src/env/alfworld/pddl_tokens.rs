//! The tokens of a PDDL text: words and brackets.

use crate::error::{Error, Result};

/// Iterates over the tokens of a PDDL text. Skips comments, from `;` to the end of the line.
#[derive(Debug, Clone)]
pub(crate) struct Tokens<'a> {
    text: &'a str,
    position: usize,
    /// The line of the position, from 1.
    line: u32,
    /// The name of the text, for errors.
    place: &'static str,
}

impl<'a> Tokens<'a> {
    /// Starts at the beginning of a problem.
    pub(crate) fn new(text: &'a str) -> Self {
        Self::of(text, "pddl_problem")
    }

    /// Starts at the beginning of a text, which errors call `place`.
    pub(crate) fn of(text: &'a str, place: &'static str) -> Self {
        Self { text, position: 0, line: 1, place }
    }

    /// An error at the last token.
    pub(crate) fn error(&self, message: impl Into<String>) -> Error {
        Error::input(format!("{}, line {}", self.place, self.line()), message)
    }

    /// The line of the last token.
    pub(crate) fn line(&self) -> u32 {
        self.line
    }

    /// The next token, or `None` at the end.
    pub(crate) fn next(&mut self) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.position)? {
                b';' => {
                    let rest = &bytes[self.position..];
                    self.position += rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
                }
                byte if byte.is_ascii_whitespace() => {
                    self.line += u32::from(*byte == b'\n');
                    self.position += 1;
                }
                b'(' | b')' => {
                    self.position += 1;
                    return self.text.get(self.position - 1..self.position);
                }
                _ => {
                    let start = self.position;
                    let is_end =
                        |b: &u8| b.is_ascii_whitespace() || matches!(b, b'(' | b')' | b';');
                    let rest = &bytes[start..];
                    self.position += rest.iter().position(is_end).unwrap_or(rest.len());
                    return self.text.get(start..self.position);
                }
            }
        }
    }

    /// The next token; the end of the text is an error.
    pub(crate) fn word(&mut self) -> Result<&'a str> {
        self.next().ok_or_else(|| self.error("unexpected end of the text"))
    }

    /// Reads one token, which must be `expected`.
    pub(crate) fn expect(&mut self, expected: &str) -> Result<()> {
        match self.word()? {
            found if found == expected => Ok(()),
            found => Err(self.error(format!("expected '{expected}', found '{found}'"))),
        }
    }

    /// Skips the rest of an open bracket.
    pub(crate) fn skip(&mut self) -> Result<()> {
        let mut depth = 1;
        while depth > 0 {
            match self.word()? {
                "(" => depth += 1,
                ")" => depth -= 1,
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_brackets_are_tokens_and_comments_are_skipped() {
        let mut tokens = Tokens::new("(a ;; no (\n b)c");
        let words: Vec<&str> = std::iter::from_fn(|| tokens.next()).collect();
        assert_eq!(words, ["(", "a", "b", ")", "c"]);
        assert!(tokens.word().unwrap_err().to_string().contains("line 2"));
    }
}
