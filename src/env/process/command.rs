//! The command line of a program.

use crate::error::{Error, Result};

/// The setting that holds the command line.
pub(super) const COMMAND: &str = "env.command";

/// The words of a command line.
///
/// # Errors
/// Names the setting if there are no words, or if a quotation does not end.
pub(super) fn split_command(command: &str) -> Result<Vec<String>> {
    match shlex::split(command) {
        None => Err(Error::setting(COMMAND, "has a quotation that does not end")),
        Some(words) if words.is_empty() => {
            let message = "is not set; name a program that speaks the environment protocol, such as \
                           'python3 my_env.py'";
            Err(Error::setting(COMMAND, message))
        }
        Some(words) => Ok(words),
    }
}
