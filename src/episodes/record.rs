//! One episode of an episode file, and reading it from its line.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::batch::{MAX_REWARD, unfit_reward};
use super::import::with_hint;
use super::json::{OtherFields, RawObject, decoded, described, each_item, is_integer, is_number};
use crate::error::{Error, Result};
use crate::json_scan::non_finite;

/// One episode of an episode file.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct EpisodeRecord {
    /// The name of the group: episodes of a group started from the same task.
    pub group: String,
    /// The name of the episode.
    pub trajectory: String,
    /// The task's description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Whether the episode reached its goal. A program without a notion of success leaves it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success: Option<bool>,
    /// The observation after the last step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_observation: Option<String>,
    /// The steps in order.
    pub steps: Vec<StepRecord>,
    /// All other fields of the line.
    #[serde(flatten)]
    pub other: OtherFields,
}

/// One step of an episode file.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct StepRecord {
    /// The observation before the action.
    pub observation: String,
    /// The action.
    pub action: String,
    /// The action's reward.
    pub reward: f64,
    /// Whether the action was admissible.
    #[serde(skip_serializing_if = "is_true")]
    pub valid: bool,
    /// An embedding of the observation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Vec<f32>>,
    /// All other fields of the step.
    #[serde(flatten)]
    pub other: OtherFields,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde requires this signature.
fn is_true(value: &bool) -> bool {
    *value
}

/// Reads one line of an episode file. Errors name it by `place`.
///
/// # Errors
/// Returns an error that names the place, the field, the expected value and the value found.
pub fn read_episode(line: &str, place: &str) -> Result<EpisodeRecord> {
    episode(line).map_err(|message| Error::input(place, with_hint(line, message)))
}

/// Whether a line is an episode.
pub(super) fn is_episode(line: &str) -> bool {
    episode(line).is_ok()
}

fn episode(line: &str) -> Result<EpisodeRecord, String> {
    let mut fields = Fields::of(line, None)?;
    let record = EpisodeRecord {
        group: fields.name("group")?,
        trajectory: fields.name("trajectory")?,
        task: fields.nullable("task", "a text")?,
        success: fields.success()?,
        final_observation: fields.nullable("final_observation", "a text")?,
        steps: fields.steps()?,
        other: OtherFields::default(),
    };
    Ok(EpisodeRecord { other: fields.rest(), ..record })
}

fn step(text: &str, number: usize) -> Result<StepRecord, String> {
    let mut fields = Fields::of(text, Some(number))?;
    Ok(StepRecord {
        observation: fields.required("observation", "a text")?,
        action: fields.required("action", "a text")?,
        reward: fields.reward()?,
        valid: fields.optional("valid", "true or false")?.unwrap_or(true),
        embedding: fields.embedding()?,
        other: fields.rest(),
    })
}

/// The fields of an episode or a step that have not been taken yet.
struct Fields<'a> {
    members: Vec<(String, &'a RawValue)>,
    /// The number of the step; absent for an episode.
    step: Option<usize>,
}

impl<'a> Fields<'a> {
    fn of(text: &'a str, step: Option<usize>) -> Result<Self, String> {
        let members = serde_json::from_str::<RawObject>(text);
        let named = members.and_then(|RawObject(members)| {
            members.into_iter().map(|(name, value)| Ok((decoded(name)?, value))).collect()
        });
        match named {
            Ok(members) => Ok(Self { members, step }),
            Err(error) => {
                if let Some(found) = non_finite(text) {
                    return Err(format!(
                        "{}: expected a finite number, found {}",
                        found.path, found.value
                    ));
                }
                let place = step.map_or(String::new(), |number| format!("steps[{number}]: "));
                let expected = if step.is_some() { "a step" } else { "an episode" };
                let found = match serde_json::from_str::<&RawValue>(text) {
                    Ok(value) if !value.get().starts_with('{') => described(Some(value)),
                    Ok(_) => reason(&error),
                    Err(error) => format!("no JSON: {}", reason(&error)),
                };
                Err(format!("{place}expected {expected} as a JSON object, found {found}"))
            }
        }
    }

    /// The path of a field in messages.
    fn path(&self, name: &str) -> String {
        self.step.map_or_else(|| name.to_string(), |number| format!("steps[{number}].{name}"))
    }

    /// Takes a field out.
    fn take(&mut self, name: &str) -> Result<Option<&'a RawValue>, String> {
        let Some(at) = self.members.iter().position(|member| member.0 == name) else {
            return Ok(None);
        };
        let (_, value) = self.members.remove(at);
        if self.members.iter().any(|member| member.0 == name) {
            return Err(format!(
                "{}: expected one field of this name, found several",
                self.path(name)
            ));
        }
        Ok(Some(value))
    }

    fn required<T: Deserialize<'a>>(&mut self, name: &str, expected: &str) -> Result<T, String> {
        self.optional(name, expected)?.ok_or_else(|| self.mismatch(name, expected, None))
    }

    /// A name. A whole number stands for its digits.
    fn name(&mut self, name: &str) -> Result<String, String> {
        const EXPECTED: &str = "a text";
        let value = self.take(name)?;
        match value {
            Some(value) if is_integer(value) => Ok(value.get().to_string()),
            Some(value) => serde_json::from_str(value.get())
                .map_err(|_| self.mismatch(name, EXPECTED, Some(value))),
            None => Err(self.mismatch(name, EXPECTED, None)),
        }
    }

    /// The outcome: a truth value, or 1 or 0. Absent or null if it is not known.
    fn success(&mut self) -> Result<Option<bool>, String> {
        let value = self.take("success")?;
        match value.map(RawValue::get) {
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some("null") | None => Ok(None),
            _ => Err(self.mismatch("success", "true or false", value)),
        }
    }

    /// A field that may be absent.
    fn optional<T: Deserialize<'a>>(
        &mut self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, String> {
        let Some(value) = self.take(name)? else { return Ok(None) };
        let read = serde_json::from_str(value.get());
        read.map(Some).map_err(|_| self.mismatch(name, expected, Some(value)))
    }

    /// A field that may be absent or null.
    fn nullable<T: Deserialize<'a>>(
        &mut self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, String> {
        self.optional::<Option<T>>(name, expected).map(Option::flatten)
    }

    fn reward(&mut self) -> Result<f64, String> {
        let Some(value) = self.take("reward")? else {
            return Err(self.mismatch("reward", "a number", None));
        };
        let path = || self.path("reward");
        match serde_json::from_str::<f64>(value.get()) {
            Ok(reward) if reward.abs() <= MAX_REWARD => Ok(reward),
            Ok(reward) => Err(format!("{}: {}", path(), unfit_reward(reward))),
            // The number does not fit into 64 bits.
            Err(_) if is_number(value) => {
                Err(format!("{}: {}", path(), unfit_reward(f64::INFINITY)))
            }
            Err(_) => Err(self.mismatch("reward", "a number", Some(value))),
        }
    }

    fn steps(&mut self) -> Result<Vec<StepRecord>, String> {
        let value = self.take("steps")?;
        let mut steps = Vec::new();
        let read = value.and_then(|value| {
            each_item(value, |text| {
                steps.push(step(text.get(), steps.len())?);
                Ok(())
            })
        });
        read.unwrap_or_else(|| Err(self.mismatch("steps", "an array of steps", value)))?;
        Ok(steps)
    }

    fn embedding(&mut self) -> Result<Option<Vec<f32>>, String> {
        const NAME: &str = "embedding";
        let Some(value) = self.take(NAME)?.filter(|value| value.get() != "null") else {
            return Ok(None);
        };
        let numbers = serde_json::from_str::<Vec<f32>>(value.get());
        if let Ok(numbers) = numbers
            && numbers.iter().all(|number| number.is_finite())
        {
            return Ok(Some(numbers));
        }
        // Find the first item that does not fit.
        let mut at = 0;
        let items = each_item(value, |item| {
            let fits = serde_json::from_str::<f32>(item.get()).is_ok_and(f32::is_finite);
            at += usize::from(fits);
            if fits { Ok(()) } else { Err(item) }
        });
        let Some(Err(item)) = items else {
            return Err(self.mismatch(NAME, "an array of numbers", Some(value)));
        };
        let expected = match is_number(item) {
            true => format!("a number of at most {:e} in absolute value (32 bits)", f32::MAX),
            false => "a number".to_string(),
        };
        Err(self.mismatch(&format!("{NAME}[{at}]"), &expected, Some(item)))
    }

    fn mismatch(&self, name: &str, expected: &str, value: Option<&RawValue>) -> String {
        format!("{}: expected {expected}, found {}", self.path(name), described(value))
    }

    /// The fields that were not taken.
    fn rest(self) -> OtherFields {
        let mut other = OtherFields::default();
        self.members.into_iter().for_each(|(name, value)| other.push_raw(name, value));
        other
    }
}

/// The parser's message. The parser counts lines within its text, which is one line here.
pub(super) fn reason(error: &serde_json::Error) -> String {
    let message = error.to_string();
    match message.split_once(" at line ") {
        Some((message, _)) => format!("{message} (column {})", error.column()),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: &str = r#"{"observation":"o","action":"a","reward":1,"embedding":[1,0.5]}"#;

    fn episode_with(fields: &str) -> Result<EpisodeRecord, String> {
        episode(&format!(r#"{{"group":"g","trajectory":"t","success":true,{fields}}}"#))
    }

    #[test]
    fn absent_fields_get_their_defaults() {
        let record = episode_with(&format!(r#""task":null,"steps":[{STEP}]"#)).unwrap();
        assert_eq!((record.task, record.final_observation), (None, None));
        let step = &record.steps[0];
        assert!(step.valid && step.reward == 1.0 && step.other.is_empty());
        assert_eq!(step.embedding, Some(vec![1.0, 0.5]));
        assert!(episode_with(r#""steps":[]"#).unwrap().steps.is_empty());
    }

    #[test]
    fn the_first_mismatch_is_named() {
        let with = |step: &str| episode_with(&format!(r#""steps":[{STEP},{step}]"#)).unwrap_err();
        let field = |from: &str, to: &str| with(&STEP.replace(from, to));
        for (found, expected) in [
            (
                episode("[1]").unwrap_err(),
                "expected an episode as a JSON object, found an array of 1",
            ),
            (
                episode(r#"{"group":"g"}"#).unwrap_err(),
                "trajectory: expected a text, found nothing",
            ),
            (
                episode(r#"{"group":["g"]}"#).unwrap_err(),
                "group: expected a text, found an array of 1",
            ),
            (
                episode(r#"{"group":"g"#).unwrap_err(),
                "expected an episode as a JSON object, found no JSON: EOF while parsing a string \
                 (column 11)",
            ),
            (
                episode(r#"{"group":"g","group":"h"}"#).unwrap_err(),
                "group: expected one field of this name, found several",
            ),
            (
                episode(r#"{"group":"g","trajectory":"t","success":2}"#).unwrap_err(),
                "success: expected true or false, found 2",
            ),
            (
                episode_with(r#""steps":{}"#).unwrap_err(),
                "steps: expected an array of steps, found an object",
            ),
            (
                with(r#""s\u001b""#),
                r#"steps[1]: expected a step as a JSON object, found the text "s\u{1b}""#,
            ),
            (field(r#""a""#, "7"), "steps[1].action: expected a text, found 7"),
            (field(":1,", r#":"1","#), r#"steps[1].reward: expected a number, found the text "1""#),
            (
                field(":1,", ":-2e30,"),
                "steps[1].reward: expected a number from -1e30 to 1e30, found -2e30",
            ),
            (
                field(":1,", ":1e999,"),
                "steps[1].reward: expected a number from -1e30 to 1e30, found inf",
            ),
            (
                field(r#""reward""#, r#""valid":null,"reward""#),
                "steps[1].valid: expected true or false, found null",
            ),
            (field("0.5", "null"), "steps[1].embedding[1]: expected a number, found null"),
            (
                field("0.5", "1e39"),
                "steps[1].embedding[1]: expected a number of at most 3.4028235e38 in absolute value \
                 (32 bits), found 1e39",
            ),
            (field("[1,0.5]", "2"), "steps[1].embedding: expected an array of numbers, found 2"),
        ] {
            assert_eq!(found, expected);
        }
    }
}
