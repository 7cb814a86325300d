//! Lists of games to play.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::env::TaskNames;
use crate::error::{Error, Result};

/// Maximum number of bytes of a list.
const MAX_LIST_BYTES: u64 = 64 << 20;

/// The games that a file names, each with its place in the file.
pub(super) struct GameList {
    path: PathBuf,
    entries: Vec<(String, String)>,
}

impl GameList {
    /// Reads a list: one name or path of a game or a task a line, where lines that begin with `#` are
    /// comments, or a JSON file whose texts are the names.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or names no games.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let size = fs::metadata(path).map_err(Error::io("open", path))?.len();
        if size > MAX_LIST_BYTES {
            let message =
                format!("expected a list of at most {MAX_LIST_BYTES} bytes, found {size}");
            return Err(Error::file(path, message));
        }
        let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let file = path.display();
        let entries: Vec<(String, String)> = if text.trim_start().starts_with(['[', '{']) {
            let value: Value = serde_json::from_str(text)
                .map_err(|error| Error::file(path, format!("expected JSON: {error}")))?;
            let mut names = Vec::new();
            collect(&value, &mut names);
            let numbered = names.into_iter().enumerate();
            numbered.map(|(at, name)| (format!("{file}: entry {}", at + 1), name)).collect()
        } else {
            let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
            let named = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
            named.map(|(at, line)| (format!("{file}:{at}"), line.to_string())).collect()
        };
        match entries.is_empty() {
            true => Err(Error::file(path, "the list names no games")),
            false => Ok(Self { path: path.to_path_buf(), entries }),
        }
    }

    /// The listed ones of `names`, which are the names of all games.
    ///
    /// # Errors
    /// Returns an error that names the line of the first entry that is not found, and the number of the
    /// others.
    pub(super) fn select(&self, names: &[String]) -> Result<HashSet<String>> {
        let index = TaskNames::new(names.iter().map(String::as_str));
        let mut selected = HashSet::new();
        let mut absent = Vec::new();
        for (place, entry) in &self.entries {
            let found = index.find(entry);
            selected.extend(found.iter().map(|&number| names[number].clone()));
            if found.is_empty() {
                absent.push((place, entry));
            }
        }
        let Some((place, entry)) = absent.first() else { return Ok(selected) };
        let example = names.first().map_or("<split>/<task>/<trial>", String::as_str);
        let others = match absent.len() - 1 {
            0 => String::new(),
            others => format!(" ({others} more names of {} are not found)", self.path.display()),
        };
        let message = format!(
            "there is no game '{entry}' among {}, expected a name such as '{example}'{others}",
            names.len()
        );
        Err(Error::input(*place, message))
    }
}

/// The texts in a JSON value.
fn collect(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::String(name) => names.push(name.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        Value::Object(members) => members.values().for_each(|item| collect(item, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(list: &str) -> Result<Vec<String>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), list).unwrap();
        let names = ["train/a-1/t_1", "train/a-1/t_2", "valid_seen/b-2/t_3"].map(String::from);
        let mut found: Vec<String> =
            GameList::read(file.path())?.select(&names)?.into_iter().collect();
        found.sort();
        Ok(found)
    }

    #[test]
    fn lists_of_lines_and_of_json_select_games() {
        let lines = "# games\n\n/x/json_2.1.1/train/a-1/t_2/game.tw-pddl\r\nb-2/t_3\n";
        assert_eq!(select(lines).unwrap(), ["train/a-1/t_2", "valid_seen/b-2/t_3"]);
        let json = r#"{"pick": ["data/json_2.1.1/train/a-1/t_1"], "look": []}"#;
        assert_eq!(select(json).unwrap(), ["train/a-1/t_1"]);
        assert_eq!(select("a-1").unwrap().len(), 2);
    }

    #[test]
    fn a_name_that_is_not_found_is_refused_with_its_line() {
        let message = select("t_1\n\nt_8\nt_9\n").unwrap_err().to_string();
        assert!(message.contains(":3: there is no game 't_8' among 3"), "{message}");
        assert!(message.contains("1 more names"), "{message}");
        let message = select("# nothing\n").unwrap_err().to_string();
        assert!(message.contains("the list names no games"), "{message}");
    }
}
