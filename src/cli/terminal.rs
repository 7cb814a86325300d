//! All that is said to whoever sits at the terminal.
//!
//! A terminal takes commands from what it prints: escape sequences move its cursor, rename its window,
//! on some even type into it. Names of files, texts of games, errors that quote them: none of it was
//! written by this program. So every line goes through [`printable`] on its way, by [`say!`] (standard
//! output) or [`tell!`] (standard error). What is for another program (JSON) goes through
//! [`hand_over!`], which changes nothing.
//!
//! Nothing that is said may end a training: where standard error is gone or its disk is full, the line
//! is lost and the work goes on. Standard output is what a command was run for: that it could not be
//! written is remembered, and is how the process ends. A reader who has read enough and left is no
//! error.

use std::borrow::Cow;
use std::fmt::{Arguments, Write as _};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};

/// Says a line on standard output, made printable.
macro_rules! say {
    () => { $crate::cli::terminal::to_out(format_args!("\n")) };
    ($($words:tt)*) => { $crate::cli::terminal::to_out(format_args!("{}\n", format_args!($($words)*))) };
}

/// Tells a line on standard error, made printable.
macro_rules! tell {
    ($($words:tt)*) => { $crate::cli::terminal::to_err(format_args!("{}\n", format_args!($($words)*))) };
}

/// Hands a line to another program on standard output, as it is.
macro_rules! hand_over {
    ($($words:tt)*) => {
        $crate::cli::terminal::to_out_raw(&format!("{}\n", format_args!($($words)*)))
    };
}

pub(super) use {hand_over, say, tell};

/// What befell standard output.
static FAILED: Mutex<Option<io::Error>> = Mutex::new(None);

/// [`say!`], with no end of line of its own.
pub fn to_out(words: Arguments) {
    to_out_raw(&printable(&words.to_string()));
}

/// [`tell!`], with no end of line of its own.
pub fn to_err(words: Arguments) {
    // There is nobody to be told of a failure.
    let _ = io::stderr().lock().write_all(printable(&words.to_string()).as_bytes());
}

/// [`hand_over!`], with no end of line of its own.
pub fn to_out_raw(text: &str) {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            FAILED.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
        _ => {}
    }
}

/// Whether all that was said on standard output got there, or nobody cared to read it.
///
/// # Errors
/// Names what befell it first.
pub fn check() -> Result<()> {
    match FAILED.lock().unwrap_or_else(PoisonError::into_inner).take() {
        None => Ok(()),
        Some(error) => Err(Error::io("write", Path::new("standard output"))(error)),
    }
}

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
