//! The error type of the library.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error with a cause outside this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The operation, as a verb ("read", "create").
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A file, a line or a message has invalid content.
    #[error("{place}: {message}")]
    Input {
        /// The place: a file, a file and line, or a field.
        place: String,
        /// The expected content and the content found.
        message: String,
    },
    /// A setting is unknown or out of range.
    #[error("setting '{key}': {message}")]
    Setting {
        /// The setting's key in `config.toml`.
        key: String,
        /// The allowed values.
        message: String,
    },
    /// The requested backend or device is not available.
    #[error("{0}")]
    Device(String),
    /// A device computes wrong numbers. Holds the device and what is wrong.
    #[error("{0}; update its driver, or choose another backend")]
    WrongDevice(String),
    /// An environment failed.
    #[error("environment: {0}")]
    Environment(String),
    /// A sequence outgrows the context of its model.
    #[error("a sequence of {tokens} tokens exceeds the context of {context}")]
    ContextOverflow {
        /// Tokens that the sequence would have.
        tokens: usize,
        /// Tokens that the model can take.
        context: usize,
    },
    /// A cache of keys and values outgrows its limit.
    #[error("the cache would hold {tokens} tokens, its limit is {limit}")]
    CacheFull {
        /// Tokens that the cache would have to hold.
        tokens: usize,
        /// Tokens that it may hold.
        limit: usize,
    },
    /// A model's logits are NaN or infinite.
    #[error("{name}: the model's logits are not finite")]
    NonFiniteLogits {
        /// The sequence.
        name: String,
    },
    /// A run failed after its start.
    #[error("{0}")]
    Run(String),
}

/// Length limit, in characters, of a place and of a message. Both may quote untrusted text.
const MAX_CHARACTERS: usize = 2_000;

/// A text as one line of bounded length with control characters escaped.
fn readable(text: String) -> String {
    let is_short = text.len() <= MAX_CHARACTERS || text.chars().nth(MAX_CHARACTERS).is_none();
    if is_short && !text.contains(char::is_control) {
        return text;
    }
    let mut shown = String::new();
    for character in text.chars().take(MAX_CHARACTERS) {
        match character.is_control() {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    let end = shown.char_indices().nth(MAX_CHARACTERS).map(|(end, _)| end);
    if end.is_some() || !is_short {
        shown.truncate(end.unwrap_or(shown.len()));
        shown.push('…');
    }
    shown
}

impl Error {
    /// An invalid input.
    pub fn input(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Input { place: readable(place.into()), message: readable(message.into()) }
    }

    /// An invalid file.
    pub fn file(path: &Path, message: impl Into<String>) -> Self {
        Self::input(path.display().to_string(), message)
    }

    /// A setting with a value that is not allowed.
    pub fn setting(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Setting { key: readable(key.into()), message: readable(message.into()) }
    }

    /// A closure for `map_err` on file operations.
    pub fn io<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(std::io::Error) -> Self + 'a {
        move |source| Self::Io { action, path: path.to_path_buf(), source }
    }

    /// The process exit code: 2 if the user's input is invalid, 1 if a run failed.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Input { .. }
            | Self::Setting { .. }
            | Self::Device(_)
            | Self::WrongDevice(_)
            | Self::ContextOverflow { .. } => 2,
            // A wrong path is invalid input; a full disk is not.
            Self::Io { source, .. } => match source.kind() {
                ErrorKind::StorageFull
                | ErrorKind::QuotaExceeded
                | ErrorKind::FileTooLarge
                | ErrorKind::TimedOut => 1,
                _ => 2,
            },
            Self::Environment(_)
            | Self::Run(_)
            | Self::CacheFull { .. }
            | Self::NonFiniteLogits { .. } => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_becomes_one_bounded_line_with_control_characters_escaped() {
        let error = Error::input("a\nb", "found '\u{1b}[2J\u{9b}é'").to_string();
        assert_eq!(error, r"a\nb: found '\u{1b}[2J\u{9b}é'");
        let long = Error::setting("x", "é".repeat(1 << 20)).to_string();
        assert_eq!(long.chars().count(), "setting 'x': ".len() + MAX_CHARACTERS + 1);
        let fits = "é".repeat(MAX_CHARACTERS);
        assert_eq!(Error::input("x", &fits).to_string(), format!("x: {fits}"));
    }

    #[test]
    fn a_wrong_path_is_invalid_input_and_a_full_disk_is_a_failure() {
        let code = |kind: ErrorKind| Error::io("write", Path::new("x"))(kind.into()).exit_code();
        assert_eq!(code(ErrorKind::NotFound), 2);
        assert_eq!(code(ErrorKind::PermissionDenied), 2);
        assert_eq!(code(ErrorKind::StorageFull), 1);
        assert_eq!(Error::Run("x".into()).exit_code(), 1);
        assert_eq!(Error::setting("x", "y").exit_code(), 2);
    }
}
