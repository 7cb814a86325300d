//! Episode files: one JSON object a line. One JSON array of objects, and objects over several lines, are
//! read too.
//!
//! Fields that this crate does not know are kept and written back.

use std::collections::VecDeque;
use std::io::{BufRead, Read, Write};

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::record::{EpisodeRecord, read_episode, reason};
use crate::error::{Error, Result};
use crate::json_scan::{NonFinite, non_finite, on_one_line, utf8};
use crate::lines::{not_utf8, read_line};

/// Length limit in bytes of a file whose objects are not one a line.
const MAX_WHOLE: u64 = 1 << 30;

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

/// The lines of an episode file that are not blank, with their numbers. At most 64 MiB are held in
/// memory at a time.
///
/// A file that is one JSON array, or whose objects extend over several lines, is read whole instead:
/// each object is returned as one line, with the number of the line in which it begins.
pub(crate) fn episode_lines<'a>(input: &'a mut dyn BufRead, name: &'a str) -> EpisodeLines<'a> {
    EpisodeLines { input, name, number: 0, begun: false, objects: VecDeque::new() }
}

/// See [`episode_lines`]. Items after the first error are meaningless.
pub(crate) struct EpisodeLines<'a> {
    input: &'a mut dyn BufRead,
    name: &'a str,
    number: usize,
    /// Whether a line that is not blank was read.
    begun: bool,
    /// The objects of a file that was read whole.
    objects: VecDeque<(usize, String)>,
}

impl EpisodeLines<'_> {
    /// Reads the rest of a file whose first line, `first`, is not one object.
    fn read_whole(&mut self, first: &str) -> Result<()> {
        let begin = self.number;
        let place = |line: usize| format!("{}:{line}", self.name);
        let mut text = first.to_string() + "\n";
        let mut rest = Vec::new();
        let read = (&mut *self.input).take(MAX_WHOLE + 1).read_to_end(&mut rest);
        read.map_err(|error| Error::input(place(begin), error.to_string()))?;
        if rest.len() as u64 > MAX_WHOLE {
            let message = format!(
                "expected one object a line, found JSON over several lines in a file of more than \
                 {MAX_WHOLE} bytes; convert it, for example with jq -c"
            );
            return Err(Error::input(place(begin), message));
        }
        if rest.trim_ascii().is_empty() && !first.trim_start().starts_with('[') {
            // One object that is cut short: the reader of a line says where.
            self.objects.push_back((begin, first.to_string()));
            return Ok(());
        }
        let decoded =
            utf8(&rest).map_err(|found| Error::input(place(begin + 1), not_utf8(&found)))?;
        text += decoded;
        self.objects =
            objects(&text, begin).map_err(|(line, message)| Error::input(place(line), message))?;
        Ok(())
    }
}

/// The objects of a JSON array, or of a sequence of JSON values, each on one line and with the number
/// of the line in which it begins. The first line has the number `begin`. An error comes with its line.
fn objects(text: &str, begin: usize) -> Result<VecDeque<(usize, String)>, (usize, String)> {
    let line_of = |offset: usize| {
        begin + text.as_bytes()[..offset].iter().filter(|&&byte| byte == b'\n').count()
    };
    let offset_of = |value: &RawValue| value.get().as_ptr().addr() - text.as_ptr().addr();
    let refused = |error: serde_json::Error| match non_finite(text) {
        Some(NonFinite { path, value, offset }) => {
            (line_of(offset), format!("{path}: expected a finite number, found {value}"))
        }
        None => {
            // A text that is cut short ends with its last line, not with the line after it.
            let last = text.trim_end().lines().count().max(1) - 1;
            let line = begin + error.line().saturating_sub(1).min(last);
            (
                line,
                format!("expected an episode as a JSON object, found no JSON: {}", reason(&error)),
            )
        }
    };
    let mut values: Vec<&RawValue> = Vec::new();
    if text.trim_start().starts_with('[') {
        values = serde_json::from_str(text).map_err(refused)?;
    } else {
        for value in serde_json::Deserializer::from_str(text).into_iter() {
            values.push(value.map_err(refused)?);
        }
    }
    let (mut line, mut counted) = (begin, 0);
    let mut numbered = |value: &RawValue| {
        let offset = offset_of(value);
        line += text.as_bytes()[counted..offset].iter().filter(|&&byte| byte == b'\n').count();
        counted = offset;
        (line, on_one_line(value.get()))
    };
    Ok(values.into_iter().map(&mut numbered).collect())
}

/// Whether a line ends within its object.
fn is_partial(line: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(line).is_err_and(|error| error.is_eof())
}

impl Iterator for EpisodeLines<'_> {
    type Item = Result<(usize, String)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(object) = self.objects.pop_front() {
                return Some(Ok(object));
            }
            self.number += 1;
            match read_line(self.input, self.number == 1) {
                Ok(None) => return None,
                Ok(Some(line)) if line.trim().is_empty() => {}
                Ok(Some(line)) => {
                    let is_first = !std::mem::replace(&mut self.begun, true);
                    if is_first && (line.trim_start().starts_with('[') || is_partial(&line)) {
                        if let Err(error) = self.read_whole(&line) {
                            return Some(Err(error));
                        }
                        continue;
                    }
                    return Some(Ok((self.number, line)));
                }
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
        assert_eq!(message, "e.jsonl:3: expected UTF-8, found an invalid byte (0xff) at column 4");
    }

    #[test]
    fn errors_name_the_file_and_the_line() {
        let message = read_episodes(&mut &b"\n{\"group\":null}\n"[..], "e.jsonl").unwrap_err();
        assert_eq!(message.to_string(), "e.jsonl:2: group: expected a text, found null");
    }
}
