//! Output to the terminal.
//!
//! A terminal executes escape sequences in its output: they move the cursor, rename the window and, on
//! some terminals, even type input. File names, game texts and errors that quote them are untrusted. So
//! every line passes through [`printable`]: [`say!`] prints on standard output, [`tell!`] on standard
//! error. Output for other programs (JSON) is printed unchanged by [`hand_over!`].
//!
//! Output errors never end a run: if standard error is closed or its disk is full, the line is lost. An
//! error on standard output is recorded, and the process reports it at its end. A closed pipe on
//! standard output is not an error.

use std::borrow::Cow;
use std::fmt::{Arguments, Write as _};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};

/// Prints a line on standard output, with control characters escaped.
macro_rules! say {
    () => { $crate::cli::terminal::to_out(format_args!("\n")) };
    ($($words:tt)*) => { $crate::cli::terminal::to_out(format_args!("{}\n", format_args!($($words)*))) };
}

/// Prints a line on standard error, with control characters escaped.
macro_rules! tell {
    ($($words:tt)*) => { $crate::cli::terminal::to_err(format_args!("{}\n", format_args!($($words)*))) };
}

/// Prints a line on standard output unchanged, for another program.
macro_rules! hand_over {
    ($($words:tt)*) => {
        $crate::cli::terminal::to_out_raw(&format!("{}\n", format_args!($($words)*)))
    };
}

pub(super) use {hand_over, say, tell};

/// Whether nothing is printed: the process is one of several that would print the same.
static SILENT: AtomicBool = AtomicBool::new(false);

/// Prints nothing from now on.
pub fn silence() {
    SILENT.store(true, Ordering::Relaxed);
}

/// Prints again.
pub fn unsilence() {
    SILENT.store(false, Ordering::Relaxed);
}

/// The first error on standard output.
static FAILED: Mutex<Option<io::Error>> = Mutex::new(None);

/// Prints the remarks of an environment on its tasks.
pub fn tell_notes(environment: &dyn crate::env::Environment) {
    environment.notes().iter().for_each(|note| tell!("proxmo: warning: {note}"));
}

/// [`say!`] without a line break.
pub fn to_out(words: Arguments) {
    to_out_raw(&printable(&words.to_string()));
}

/// [`tell!`] without a line break.
pub fn to_err(words: Arguments) {
    if SILENT.load(Ordering::Relaxed) {
        return;
    }
    // A failure cannot be reported anywhere.
    let _ = io::stderr().lock().write_all(printable(&words.to_string()).as_bytes());
}

/// [`hand_over!`] without a line break.
pub fn to_out_raw(text: &str) {
    if SILENT.load(Ordering::Relaxed) {
        return;
    }
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            FAILED.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
        _ => {}
    }
}

/// Checks that standard output was written.
///
/// # Errors
/// Returns the first error, unless the reader closed the pipe.
pub fn check() -> Result<()> {
    match FAILED.lock().unwrap_or_else(PoisonError::into_inner).take() {
        None => Ok(()),
        Some(error) => Err(Error::io("write", Path::new("standard output"))(error)),
    }
}

/// Escapes control characters, except line breaks, and characters that change the direction of text,
/// such as `\u{1b}`.
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
    fn escape_sequences_and_direction_marks_are_escaped() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\td\r"), "a\\u{1b}[2Jb\nc d\\u{d}");
        assert_eq!(printable("\u{9b}1m\u{7}\u{0}"), "\\u{9b}1m\\u{7}\\u{0}");
        assert_eq!(printable("\u{202e}evil"), "\\u{202e}evil");
        let harmless = "Zürich, 東京, 🦀: 5 % \\u{1b}\n";
        assert!(matches!(printable(harmless), Cow::Borrowed(text) if text == harmless));
    }

    #[test]
    fn no_unsafe_character_remains() {
        let all: String = (0..=0x2fff).filter_map(char::from_u32).collect();
        assert!(!printable(&all).contains(is_unsafe));
    }
}
