//! Episode files: one JSON object a line.
//!
//! Fields that this crate does not know are kept and written back.

use std::io::{BufRead, Read, Write};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::misfit::misfit;
use crate::credit::MAX_REWARD;
use crate::error::{Error, Result};

/// The most bytes of an episode's line.
const MAX_LINE: u64 = 64 << 20;

/// One episode of an episode file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpisodeRecord {
    /// Which episodes belong together: those that started from the same task.
    pub group: String,
    /// The episode's own name.
    pub trajectory: String,
    /// What was to be achieved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Whether it was.
    pub success: bool,
    /// The observation after the last step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_observation: Option<String>,
    /// The steps in order.
    pub steps: Vec<StepRecord>,
    /// Whatever else stood in the line.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One step of an episode file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// What was seen before acting.
    pub observation: String,
    /// What was done.
    pub action: String,
    /// What it paid.
    pub reward: f64,
    /// Whether the action was admissible.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub valid: bool,
    /// An embedding of the observation, if the writer has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Vec<f32>>,
    /// Whatever else stood in the step.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref)] // The shape that serde asks for.
fn is_yes(value: &bool) -> bool {
    *value
}

/// Writes episodes, one a line.
///
/// # Errors
/// Where writing fails.
pub fn write_episodes(out: &mut dyn Write, episodes: &[EpisodeRecord]) -> std::io::Result<()> {
    for episode in episodes {
        serde_json::to_writer(&mut *out, episode)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Reads episodes; blank lines are passed over. `name` stands for the file in errors.
///
/// # Errors
/// Names the file and line, and what was expected there.
pub fn read_episodes(input: &mut dyn BufRead, name: &str) -> Result<Vec<EpisodeRecord>> {
    let mut episodes = Vec::new();
    for line in episode_lines(input, name) {
        let (number, line) = line?;
        episodes.push(read_episode(&line, &format!("{name}:{number}"))?);
    }
    Ok(episodes)
}

/// The lines of an episode file that are not blank, with their numbers. Whatever is read, no more than
/// a line of [`MAX_LINE`] bytes is held.
pub(crate) fn episode_lines<'a>(input: &'a mut dyn BufRead, name: &'a str) -> EpisodeLines<'a> {
    EpisodeLines { input, name, number: 0 }
}

/// See [`episode_lines`]. What comes after an error means nothing.
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
            return Err(format!("the line is longer than {MAX_LINE} bytes"));
        }
        let line = String::from_utf8(line).map_err(|error| {
            format!(
                "expected UTF-8, found another byte at column {}",
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

/// Reads one line of an episode file. `place` stands for it in errors.
///
/// # Errors
/// Names the place, the field, what was expected there and what was found.
pub fn read_episode(line: &str, place: &str) -> Result<EpisodeRecord> {
    let refuse = |message: String| Error::input(place, message);
    let episode: EpisodeRecord =
        serde_json::from_str(line).map_err(|error| refuse(explain(line, &error)))?;
    for (number, step) in episode.steps.iter().enumerate() {
        let most = MAX_REWARD;
        if !(f64::from(-most)..=f64::from(most)).contains(&step.reward) {
            return Err(refuse(format!(
                "steps[{number}].reward: expected a number from {:e} to {most:e}, found {:e}",
                -most, step.reward
            )));
        }
        let embedding = step.embedding.as_deref().unwrap_or_default();
        if let Some(at) = embedding.iter().position(|value| !value.is_finite()) {
            return Err(refuse(format!(
                "steps[{number}].embedding[{at}]: expected a number of at most {:e} in size (32 \
                 bits), found a larger one",
                f32::MAX
            )));
        }
    }
    Ok(episode)
}

/// What a line that is no episode is instead.
fn explain(line: &str, error: &serde_json::Error) -> String {
    match serde_json::from_str::<Value>(line) {
        Ok(value) => misfit(&value).unwrap_or_else(|| without_line(error)),
        Err(error) => {
            format!("expected an episode as a JSON object, found no JSON: {}", without_line(&error))
        }
    }
}

/// The parser's own words. It counts lines within the text that it was given, which is one line.
fn without_line(error: &serde_json::Error) -> String {
    let words = error.to_string();
    match words.split_once(" at line ") {
        Some((words, _)) => format!("{words} (column {})", error.column()),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_pass_through_and_defaults_are_filled() {
        let line = r#"{"group":"g","trajectory":"t","success":true,"model":"x","steps":[{"observation":"o","action":"a","reward":1.0,"note":[1]}]}"#;
        let episodes = read_episodes(&mut line.as_bytes(), "in").unwrap();
        assert!(episodes[0].steps[0].valid && episodes[0].task.is_none());
        let mut out = Vec::new();
        write_episodes(&mut out, &episodes).unwrap();
        let (a, b): (Value, Value) =
            (serde_json::from_str(line).unwrap(), serde_json::from_slice(&out).unwrap());
        assert_eq!(a, b);
    }

    #[test]
    fn lines_that_never_end_and_bytes_that_are_no_text_are_refused() {
        let refusal =
            |input: &mut dyn BufRead| read_episodes(input, "e.jsonl").unwrap_err().to_string();
        let endless = std::io::repeat(b'x').take(1 << 40);
        let message = refusal(&mut std::io::BufReader::new(endless));
        assert_eq!(message, "e.jsonl:1: the line is longer than 67108864 bytes");
        let message = refusal(&mut &b"\r\n \n{\"x\xff\"}\n"[..]);
        assert_eq!(message, "e.jsonl:3: expected UTF-8, found another byte at column 4");
    }

    #[test]
    fn a_bad_line_is_named() {
        let message = |line: &str| {
            let text = format!("\n{line}\n");
            read_episodes(&mut text.as_bytes(), "e.jsonl").unwrap_err().to_string()
        };
        let with_step = |step: &str| {
            message(&format!(r#"{{"group":"g","trajectory":"t","success":true,"steps":[{step}]}}"#))
        };
        for (found, expected) in [
            (message(r#"{"group":"g"}"#), "trajectory: expected a text, found nothing"),
            (
                message(r#"{"group":"g"#),
                "expected an episode as a JSON object, found no JSON: EOF while parsing a string (column 11)",
            ),
            (message(r#"{"group":"g","group":"h"}"#), "trajectory: expected a text, found nothing"),
            (
                with_step(r#"{"observation":"o","action":"a","reward":-2e30}"#),
                "steps[0].reward: expected a number from -1e30 to 1e30, found -2e30",
            ),
            (
                with_step(r#"{"observation":"o","action":"a","reward":0,"embedding":[0,1e39]}"#),
                "steps[0].embedding[1]: expected a number of at most 3.4028235e38 in size (32 bits), \
                 found a larger one",
            ),
            (
                with_step(r#"{"observation":"o","action":7}"#),
                "steps[0].action: expected a text, found 7",
            ),
        ] {
            assert_eq!(found, format!("e.jsonl:2: {expected}"));
        }
    }
}
