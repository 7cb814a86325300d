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
//!
//! While a screen fills the terminal, lines for standard error are held back: the screen shows them, and
//! they are printed when it is gone ([`hold`], [`let_go`]).

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt::{Arguments, Write as _};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

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
#[cfg(feature = "mpi")]
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
    let words = words.to_string();
    let text = printable(&words);
    match &mut *held() {
        Some(held) => held.push(&text),
        // A failure cannot be reported anywhere.
        None => drop(io::stderr().lock().write_all(text.as_bytes())),
    }
}

/// Lines that are held back.
#[derive(Default)]
struct Held {
    lines: VecDeque<String>,
    /// The number of earlier lines, which were dropped.
    dropped: usize,
}

/// The most lines that are held back.
const MOST_HELD: usize = 5000;

impl Held {
    fn push(&mut self, text: &str) {
        self.lines.extend(text.trim_matches('\n').split('\n').map(str::to_string));
        let surplus = self.lines.len().saturating_sub(MOST_HELD);
        self.lines.drain(..surplus);
        self.dropped += surplus;
    }
}

/// The lines that are held back, if any are.
static HELD: Mutex<Option<Held>> = Mutex::new(None);

fn held() -> MutexGuard<'static, Option<Held>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on, lines for standard error are held back.
pub fn hold() {
    held().get_or_insert_default();
}

/// Prints the lines that were held back, and holds none back from now on.
pub fn let_go() {
    let Some(Held { lines, dropped }) = held().take() else { return };
    if dropped > 0 {
        tell!("proxmo: warning: {dropped} earlier lines are left out");
    }
    lines.iter().for_each(|line| tell!("{line}"));
}

/// The last `count` lines that are held back.
pub fn last_held(count: usize) -> Vec<String> {
    let held = held();
    let lines = held.iter().flat_map(|held| held.lines.iter().rev()).take(count);
    let mut lines: Vec<String> = lines.cloned().collect();
    lines.reverse();
    lines
}

/// How the screen that fills the terminal is left.
static LEAVE: OnceLock<fn()> = OnceLock::new();

/// Declares how a screen that fills the terminal is left.
pub fn leave_screen_by(leave: fn()) {
    LEAVE.get_or_init(|| leave);
}

/// Leaves the screen that fills the terminal, if there is one.
pub fn leave_screen() {
    if let Some(leave) = LEAVE.get() {
        leave();
    }
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
    fn the_newest_lines_are_held_back_and_the_number_of_others_is_known() {
        let mut held = Held::default();
        held.push("\none\ntwo\n");
        assert_eq!(held.lines, ["one", "two"]);
        (0..MOST_HELD).for_each(|line| held.push(&format!("{line}\n")));
        assert_eq!((held.lines.len(), held.dropped), (MOST_HELD, 2));
        assert_eq!(held.lines[0], "0");
    }

    #[test]
    fn no_unsafe_character_remains() {
        let all: String = (0..=0x2fff).filter_map(char::from_u32).collect();
        assert!(!printable(&all).contains(is_unsafe));
    }
}
