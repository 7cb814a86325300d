//! Command lines as text: taken apart into words, and words joined to a line, by the rules of the system.

/// The rules by which a command line is taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    /// Those of a POSIX shell: `'…'` and `"…"` quote, and so does a backslash.
    Posix,
    /// Those of programs on Windows: only `"…"` quotes, and a backslash stands for itself unless a
    /// quotation mark follows. Source: Microsoft, "Parsing C command-line arguments".
    Windows,
}

impl Rules {
    /// The rules of this system.
    pub(crate) const HERE: Self = if cfg!(windows) { Self::Windows } else { Self::Posix };

    /// The words of a line; `None` if a quotation does not end.
    pub(crate) fn split(self, line: &str) -> Option<Vec<String>> {
        match self {
            Self::Posix => shlex::split(line),
            Self::Windows => split_windows(line),
        }
    }

    /// A line that these rules take apart into `words`, and that a person can give to a shell of the
    /// system.
    pub(crate) fn join<'a>(self, words: impl IntoIterator<Item = &'a str>) -> String {
        let quote = |word| match self {
            // Only a NUL cannot be quoted, and no system passes one on.
            Self::Posix => shlex::try_quote(word).map_or_else(|_| word.into(), String::from),
            Self::Windows => quote_windows(word),
        };
        words.into_iter().map(quote).collect::<Vec<_>>().join(" ")
    }
}

fn split_windows(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    // `None` between words: a word can be empty.
    let mut word: Option<String> = None;
    let mut is_quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\n' | '\r' if !is_quoted => words.extend(word.take()),
            '\\' => {
                let mut count = 1;
                while letters.next_if_eq(&'\\').is_some() {
                    count += 1;
                }
                let word = word.get_or_insert_default();
                match letters.peek() {
                    // Half of them stand before the mark; an odd one makes the mark a letter.
                    Some('"') => {
                        word.extend(std::iter::repeat_n('\\', count / 2));
                        if count % 2 == 1 {
                            word.extend(letters.next());
                        }
                    }
                    _ => word.extend(std::iter::repeat_n('\\', count)),
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                // Two marks in a quotation are one that stands for itself.
                match is_quoted && letters.next_if_eq(&'"').is_some() {
                    true => word.push('"'),
                    false => is_quoted = !is_quoted,
                }
            }
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    (!is_quoted).then_some(words)
}

fn quote_windows(word: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || r"-_.+=:/\".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_string();
    }
    let mut quoted = String::from('"');
    let mut backslashes = 0;
    for letter in word.chars() {
        if letter == '"' {
            quoted.extend(std::iter::repeat_n('\\', backslashes + 1));
        }
        backslashes = if letter == '\\' { backslashes + 1 } else { 0 };
        quoted.push(letter);
    }
    quoted.extend(std::iter::repeat_n('\\', backslashes));
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(line: &str) -> Vec<String> {
        Rules::Windows.split(line).unwrap_or_else(|| panic!("{line} does not end"))
    }

    #[test]
    fn backslashes_of_paths_stay_on_windows() {
        let line = r#"C:\envs\my_env.exe "C:\Program Files\games\" --seed 3"#;
        assert_eq!(Rules::Windows.split(line), None, "the backslash quotes the mark");
        let line = r#"C:\envs\my_env.exe "C:\Program Files\games\\" --seed 3"#;
        let words = [r"C:\envs\my_env.exe", r"C:\Program Files\games\", "--seed", "3"];
        assert_eq!(windows(line), words);
        assert_eq!(windows(r"\\host\share\a.exe it's"), [r"\\host\share\a.exe", "it's"]);
    }

    #[test]
    fn a_line_is_taken_apart_by_microsofts_rules() {
        // The examples of Microsoft's page, and a few more.
        for (line, words) in [
            (r#""abc" d e"#, &["abc", "d", "e"][..]),
            (r#"a\\b d"e f"g h"#, &[r"a\\b", "de fg", "h"]),
            (r#"a\\\"b c d"#, &[r#"a\"b"#, "c", "d"]),
            (r#"a\\\\"b c" d e"#, &[r"a\\b c", "d", "e"]),
            (r#"a"b"" c d""#, &[r#"ab" c d"#]),
            (r#"a "" b"#, &["a", "", "b"]),
            (" \t ", &[]),
        ] {
            assert_eq!(windows(line), words, "{line}");
        }
        assert_eq!(Rules::Windows.split(r#"a "b c"#), None);
    }

    #[test]
    fn posix_shells_rules_hold_elsewhere() {
        let words = ["python3", "my env.py", "C:envs"];
        assert_eq!(Rules::Posix.split(r"python3 'my env.py' C:\envs").unwrap(), words);
        assert_eq!(Rules::Posix.split("python3 'x"), None);
    }

    #[test]
    fn a_joined_line_is_taken_apart_into_the_same_words() {
        let words =
            ["a", "", r"C:\a b\", r#"say "hi\""#, "it's", "1,2", r"\\", "$HOME %PATH%", "é"];
        for rules in [Rules::Posix, Rules::Windows] {
            let line = rules.join(words);
            assert_eq!(rules.split(&line).unwrap(), words, "{line}");
        }
        assert_eq!(
            Rules::Windows.join(["proxmo", r"runs\a", "my run"]),
            r#"proxmo runs\a "my run""#
        );
    }
}
