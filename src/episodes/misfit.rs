//! What is wrong with a line of an episode file.

use serde_json::{Map, Value};

/// What a field should hold.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Truth,
    Number,
    Numbers,
    Steps,
}

/// A field: its name, what it should hold, whether it must be there.
type Field = (&'static str, Kind, bool);

const EPISODE: &[Field] = &[
    ("group", Kind::Text, true),
    ("trajectory", Kind::Text, true),
    ("task", Kind::Text, false),
    ("success", Kind::Truth, true),
    ("final_observation", Kind::Text, false),
    ("steps", Kind::Steps, true),
];

const STEP: &[Field] = &[
    ("observation", Kind::Text, true),
    ("action", Kind::Text, true),
    ("reward", Kind::Number, true),
    ("valid", Kind::Truth, false),
    ("embedding", Kind::Numbers, false),
];

/// The longest text that is repeated in a message.
const SHOWN: usize = 40;

/// The first field of an episode that does not hold what it should: its place, what was expected,
/// what was found.
pub fn misfit(episode: &Value) -> Option<String> {
    let Value::Object(fields) = episode else {
        return Some(format!(
            "expected an episode as a JSON object, found {}",
            found(Some(episode))
        ));
    };
    misfit_among(EPISODE, fields, "").or_else(|| {
        let steps = fields.get("steps").and_then(Value::as_array)?;
        steps.iter().enumerate().find_map(|(number, step)| match step {
            Value::Object(fields) => misfit_among(STEP, fields, &format!("steps[{number}].")),
            _ => {
                let found = found(Some(step));
                Some(format!("steps[{number}]: expected a step as a JSON object, found {found}"))
            }
        })
    })
}

fn misfit_among(expected: &[Field], fields: &Map<String, Value>, path: &str) -> Option<String> {
    expected.iter().find_map(|&(name, kind, required)| {
        let value = fields.get(name);
        let absent = value.is_none_or(|value| value.is_null() && kind.may_be_null());
        if kind.fits(value) || (absent && !required) {
            return None;
        }
        if let (Kind::Numbers, Some(Value::Array(values))) = (kind, value)
            && let Some(at) = values.iter().position(|value| !value.is_number())
        {
            let found = found(values.get(at));
            return Some(format!("{path}{name}[{at}]: expected a number, found {found}"));
        }
        Some(format!("{path}{name}: expected {}, found {}", kind.name(), found(value)))
    })
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Truth => "true or false",
            Self::Number => "a number",
            Self::Numbers => "an array of numbers",
            Self::Steps => "an array of steps",
        }
    }

    fn fits(self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Self::Text, Some(Value::String(_)))
            | (Self::Truth, Some(Value::Bool(_)))
            | (Self::Number, Some(Value::Number(_)))
            | (Self::Steps, Some(Value::Array(_))) => true,
            (Self::Numbers, Some(Value::Array(values))) => values.iter().all(Value::is_number),
            _ => false,
        }
    }

    /// Of the fields that may be left out, `valid` alone may not be null: its absence means true.
    fn may_be_null(self) -> bool {
        self != Self::Truth
    }
}

fn found(value: Option<&Value>) -> String {
    match value {
        None => "nothing".to_string(),
        Some(Value::String(text)) if text.chars().count() > SHOWN => {
            let start: String = text.chars().take(SHOWN).collect();
            format!("the text {start:?}…")
        }
        Some(Value::String(text)) => format!("the text {text:?}"),
        Some(Value::Array(values)) => format!("an array of {}", values.len()),
        Some(Value::Object(_)) => "an object".to_string(),
        Some(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn episode(change: impl FnOnce(&mut Value)) -> Value {
        let step = json!({"observation": "o", "action": "a", "reward": 1, "embedding": [1, 0.5]});
        let mut episode = json!({"group": "g", "trajectory": "t", "success": true, "steps": [step.clone(), step]});
        change(&mut episode);
        episode
    }

    #[test]
    fn a_sound_episode_has_no_misfit() {
        assert_eq!(misfit(&episode(|_| ())), None);
        assert_eq!(misfit(&episode(|episode| episode["task"] = Value::Null)), None);
        assert_eq!(misfit(&episode(|episode| episode["steps"] = json!([]))), None);
    }

    #[test]
    fn the_first_misfit_is_placed_and_said() {
        let remove = |episode: &mut Value, name: &str| {
            episode.as_object_mut().unwrap().remove(name);
        };
        for (episode, expected) in [
            (json!([1]), "expected an episode as a JSON object, found an array of 1"),
            (
                episode(|episode| remove(episode, "trajectory")),
                "trajectory: expected a text, found nothing",
            ),
            (
                episode(|episode| episode["success"] = json!(1)),
                "success: expected true or false, found 1",
            ),
            (
                episode(|episode| episode["steps"] = json!({})),
                "steps: expected an array of steps, found an object",
            ),
            (
                episode(|episode| episode["steps"][1] = json!("s\u{1b}")),
                "steps[1]: expected a step as a JSON object, found the text \"s\\u{1b}\"",
            ),
            (
                episode(|episode| episode["steps"][1]["reward"] = json!("1")),
                "steps[1].reward: expected a number, found the text \"1\"",
            ),
            (
                episode(|episode| episode["steps"][0]["valid"] = Value::Null),
                "steps[0].valid: expected true or false, found null",
            ),
            (
                episode(|episode| episode["steps"][0]["embedding"][1] = Value::Null),
                "steps[0].embedding[1]: expected a number, found null",
            ),
            (
                episode(|episode| episode["group"] = json!(["g"])),
                "group: expected a text, found an array of 1",
            ),
        ] {
            assert_eq!(misfit(&episode).as_deref(), Some(expected));
        }
        let long = misfit(&json!("x".repeat(1000))).unwrap();
        assert!(long.len() < 120, "{long}");
    }
}
