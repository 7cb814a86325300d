//! The command line of a program.

use crate::command_line::Rules;
use crate::error::{Error, Result};

/// The setting that holds the command line.
pub(super) const COMMAND: &str = "env.command";

/// A command line that is split into these words, by the rules of this system.
pub fn command_line<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    Rules::HERE.join(words)
}

/// The words of a command line.
///
/// # Errors
/// Names the setting if there are no words, or if a quotation does not end.
pub(super) fn split_command(command: &str) -> Result<Vec<String>> {
    match Rules::HERE.split(command) {
        None => Err(Error::setting(COMMAND, "has a quotation that does not end")),
        Some(words) if words.is_empty() => {
            let message = "is not set; name a program that speaks the environment protocol, such as \
                           \"python3 my_env.py\"";
            Err(Error::setting(COMMAND, message))
        }
        Some(words) => Ok(words),
    }
}

/// The part of a command line that only a shell would interpret, if there is one: an operator, a
/// variable, and on POSIX systems an assignment before the program or `~`.
///
/// Quoted words are not examined: they are meant as they stand. `sh -c '…'` is therefore accepted.
fn shell_syntax(command: &str, rules: Rules) -> Option<String> {
    let is_posix = rules == Rules::Posix;
    const OPERATORS: [&str; 9] = ["&&", "||", "|", ";", "&", ">", ">>", "<", "2>&1"];
    let mut is_first = true;
    for word in command.split_whitespace() {
        // From the first quotation on, blanks may be part of a word.
        if word.contains('"') || is_posix && word.contains(['\'', '\\']) {
            return None;
        }
        let assigned = word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        });
        let is_variable = match rules {
            Rules::Posix => word.split('$').skip(1).any(|rest| {
                rest.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '{' | '('))
            }),
            Rules::Windows => word.split('%').nth(1).is_some_and(|name| {
                !name.is_empty() && word.matches('%').count() > 1 && !name.contains('=')
            }),
        };
        let is_home = is_posix && (word == "~" || word.starts_with("~/"));
        let ends_command = word.len() > 1 && word.ends_with(';');
        if OPERATORS.contains(&word)
            || is_posix && is_first && assigned
            || is_variable
            || is_home
            || ends_command
        {
            return Some(word.to_string());
        }
        is_first = false;
    }
    None
}

/// A sentence on the shell syntax of a command line that cannot be run as it stands, with the command
/// that runs a shell. Empty if there is none.
pub(super) fn shell_hint(command: &str) -> String {
    shell_hint_by(command, Rules::HERE)
}

fn shell_hint_by(command: &str, rules: Rules) -> String {
    let Some(word) = shell_syntax(command, rules) else { return String::new() };
    let quoted = match rules {
        Rules::Windows => format!("cmd /c {}", rules.join([command])),
        Rules::Posix if command.contains('\'') => format!("sh -c {}", rules.join([command])),
        Rules::Posix => format!("sh -c '{command}'"),
    };
    format!("; no shell is run, so '{word}' is not interpreted: write {quoted}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_syntax_is_named_with_the_command_that_runs_a_shell() {
        for (command, word) in [
            ("cd envs && python3 env.py", "&&"),
            ("SEED=3 python3 env.py", "SEED=3"),
            ("~/envs/env.py", "~/envs/env.py"),
            ("python3 $HOME/env.py", "$HOME/env.py"),
            ("python3 ${HOME}/env.py", "${HOME}/env.py"),
            ("python3 env.py 2>&1", "2>&1"),
            ("cat x | python3 env.py", "|"),
        ] {
            let hint = shell_hint_by(command, Rules::Posix);
            let expected = format!("'{word}' is not interpreted: write sh -c '{command}'");
            assert!(hint.contains(&expected), "{hint}");
        }
    }

    #[test]
    fn commands_without_shell_syntax_and_quoted_ones_have_no_hint() {
        for command in [
            "python3 env.py --seed=3",
            "sh -c 'cd envs && python3 env.py'",
            "python3 -c \"print(1) ; x = '$HOME'\"",
            "env SEED=3 python3 env.py",
            "./env --price 5$ --about a~b",
        ] {
            assert_eq!(shell_hint_by(command, Rules::Posix), "", "{command}");
        }
    }

    #[test]
    fn on_windows_its_own_shell_syntax_is_named() {
        for (command, word) in [
            ("cd envs && python env.py", "&&"),
            (r"python %USERPROFILE%\env.py", r"%USERPROFILE%\env.py"),
            (r"type x\y | python env.py", "|"),
        ] {
            let hint = shell_hint_by(command, Rules::Windows);
            let expected = format!("'{word}' is not interpreted: write cmd /c \"{command}\"");
            assert!(hint.contains(&expected), "{hint}");
        }
        for command in [r"C:\envs\env.exe --share 5% it's", "env.exe a=b ~", "env.exe $x"] {
            assert_eq!(shell_hint_by(command, Rules::Windows), "", "{command}");
        }
    }
}
