//! Episode files: one JSON object a line.
//!
//! Fields that this crate does not know are kept and written back.

use std::io::{BufRead, Read, Write};

use super::record::{EpisodeRecord, read_episode};
use crate::error::{Error, Result};

/// Length limit of a line in bytes.
const MAX_LINE: u64 = 64 << 20;

/// Writes episodes, one a line.
///
/// # Errors
/// Returns an error if writing fails.
pub fn write_episodes(out: &mut dyn Write, episodes: &[EpisodeRecord]) -> std::io::Result<()> {
    for episode in episodes {
        serde_json::to_writer(&mut *out, episode)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Reads episodes and skips blank lines. Errors refer to the file as `name`.
///
/// # Errors
/// Returns an error that names the file, the line, the field, the expected value and the value found.
pub fn read_episodes(input: &mut dyn BufRead, name: &str) -> Result<Vec<EpisodeRecord>> {
    let mut episodes = Vec::new();
    for line in episode_lines(input, name) {
        let (number, line) = line?;
        episodes.push(read_episode(&line, &format!("{name}:{number}"))?);
    }
    Ok(episodes)
}

/// The lines of an episode file that are not blank, with their numbers. At most [`MAX_LINE`] bytes are
/// held in memory at a time.
pub(crate) fn episode_lines<'a>(input: &'a mut dyn BufRead, name: &'a str) -> EpisodeLines<'a> {
    EpisodeLines { input, name, number: 0 }
}

/// See [`episode_lines`]. Items after the first error are meaningless.
pub(crate) struct EpisodeLines<'a> {
    input: &'a mut dyn BufRead,
    name: &'a str,
    number: usize,
}

impl EpisodeLines<'_> {
    /// The next line, blank or not, without its end.
    fn read(&mut self) -> Result<Option<String>, String> {
        let mut line = Vec::new();
        let mut input = (&mut *self.input).take(MAX_LINE + 1);
        let read = input.read_until(b'\n', &mut line).map_err(|error| error.to_string())?;
        if read == 0 {
            return Ok(None);
        }
        if line.pop_if(|last| *last == b'\n').is_none() && read as u64 > MAX_LINE {
            return Err(format!("expected a line of at most {MAX_LINE} bytes, found a longer one"));
        }
        let line = String::from_utf8(line).map_err(|error| {
            format!(
                "expected UTF-8, found an invalid byte at column {}",
                error.utf8_error().valid_up_to() + 1
            )
        })?;
        Ok(Some(line))
    }
}

impl Iterator for EpisodeLines<'_> {
    type Item = Result<(usize, String)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.number += 1;
            match self.read() {
                Ok(None) => return None,
                Ok(Some(line)) if line.trim().is_empty() => {}
                Ok(Some(line)) => return Some(Ok((self.number, line))),
                Err(message) => {
                    let place = format!("{}:{}", self.name, self.number);
                    return Some(Err(Error::input(place, message)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_written_back_byte_for_byte() {
        let line = r#"{"group":"g","trajectory":"t","success":true,"steps":[{"observation":"o","action":"a","reward":1.0,"note":[1, 2.50]}],"model":{"b":1,"a":1e999}}"#;
        let episodes = read_episodes(&mut line.as_bytes(), "in").unwrap();
        let mut out = Vec::new();
        write_episodes(&mut out, &episodes).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("{line}\n"));
    }

    #[test]
    fn endless_lines_and_bytes_that_are_not_utf8_are_refused() {
        let refusal =
            |input: &mut dyn BufRead| read_episodes(input, "e.jsonl").unwrap_err().to_string();
        let endless = std::io::repeat(b'x').take(1 << 40);
        let message = refusal(&mut std::io::BufReader::new(endless));
        assert_eq!(
            message,
            "e.jsonl:1: expected a line of at most 67108864 bytes, found a longer one"
        );
        let message = refusal(&mut &b"\r\n \n{\"x\xff\"}\n"[..]);
        assert_eq!(message, "e.jsonl:3: expected UTF-8, found an invalid byte at column 4");
    }

    #[test]
    fn errors_name_the_file_and_the_line() {
        let message = read_episodes(&mut &b"\n{\"group\":1}\n"[..], "e.jsonl").unwrap_err();
        assert_eq!(message.to_string(), "e.jsonl:2: group: expected a text, found 1");
    }
}
