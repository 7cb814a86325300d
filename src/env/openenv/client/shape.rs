//! The fields of a server's actions and observations.

use serde_json::{Map, Value};

use super::config::{OpenEnvConfig, Threshold};
use crate::error::{Error, Result};

/// Fields of every action and observation that say nothing of the task.
const COMMON: [&str; 3] = ["metadata", "done", "reward"];

/// Names of fields that hold an observation's text, best first.
const TEXTS: [&str; 6] = ["observation", "text", "prompt", "message", "feedback", "content"];

/// Names of fields that list the admissible actions, best first.
const LISTS: [&str; 8] = [
    "admissible",
    "admissible_commands",
    "admissible_actions",
    "available_actions",
    "legal_actions",
    "valid_actions",
    "possible_actions",
    "legal_moves",
];

/// How an action's text becomes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    Number,
    Truth,
}

/// The fields that matter.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shape {
    action: String,
    kind: Kind,
    /// The paths of the observation's text.
    texts: Vec<String>,
    /// The path of the admissible actions.
    list: Option<String>,
    /// The admissible actions, if they are always the same.
    fixed: Vec<String>,
    success: Option<String>,
    above: Threshold,
}

/// The properties of a schema, with their schemas.
fn properties(schema: &Value) -> Vec<(&str, &Value)> {
    let all = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    all.map(|(name, schema)| (name.as_str(), schema))
        .filter(|(name, _)| !COMMON.contains(name))
        .collect()
}

/// Whether a property of a schema is required.
fn is_required(schema: &Value, name: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    required.into_iter().any(|own| own == name)
}

/// The types that a property may have, with those of its alternatives.
fn types(schema: &Value) -> Vec<&str> {
    let own = match schema.get("type") {
        Some(Value::String(own)) => vec![own.as_str()],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let alternatives = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema.get(key));
    let alternatives = alternatives.filter_map(Value::as_array).flatten().flat_map(types);
    own.into_iter().chain(alternatives).collect()
}

fn kind(schema: &Value) -> Option<Kind> {
    let types = types(schema);
    let has = |name: &str| types.contains(&name);
    match () {
        () if has("string") || types.is_empty() => Some(Kind::Text),
        () if has("integer") => Some(Kind::Integer),
        () if has("number") => Some(Kind::Number),
        () if has("boolean") => Some(Kind::Truth),
        () => None,
    }
}

/// Names as a message lists them.
fn listed(fields: &[(&str, &Value)]) -> String {
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

impl Shape {
    /// Finds the fields in the answer to `GET /schema`. Settings that name fields come first.
    ///
    /// # Errors
    /// Names the setting that would tell which field is meant.
    pub(super) fn of(schema: &Value, config: &OpenEnvConfig) -> Result<Self> {
        let (action, kind) = action_field(&schema["action"], &config.action_field)?;
        let observation = &schema["observation"];
        let success = match config.success_field.as_str() {
            "" => {
                let has = properties(observation).iter().any(|(name, _)| *name == "success");
                has.then(|| "success".to_string())
            }
            name => Some(name.to_string()),
        };
        let fixed = config.actions.split('|').map(str::trim).filter(|action| !action.is_empty());
        let fixed: Vec<String> = fixed.map(str::to_string).collect();
        Ok(Self {
            action,
            kind,
            texts: text_fields(observation, &config.observation_field)?,
            list: list_field(observation, &config.actions_field, !fixed.is_empty())?,
            fixed,
            success,
            above: config.success_above,
        })
    }

    /// Whether the admissible actions are known.
    pub(super) fn lists_actions(&self) -> bool {
        self.list.is_some() || !self.fixed.is_empty()
    }

    /// The action that a text stands for. `None` if the field cannot take it.
    pub(super) fn action(&self, text: &str) -> Option<Value> {
        let trimmed = text.trim();
        let value = match self.kind {
            Kind::Text => Value::from(text),
            Kind::Integer => Value::from(trimmed.parse::<i64>().ok()?),
            Kind::Number => {
                Value::from(trimmed.parse::<f64>().ok().filter(|number| number.is_finite())?)
            }
            Kind::Truth => Value::from(trimmed.parse::<bool>().ok()?),
        };
        Some(Map::from_iter([(self.action.clone(), value)]).into())
    }

    /// The text of an observation.
    pub(super) fn text(&self, observation: &Value) -> Result<String, String> {
        let mut parts = Vec::new();
        for path in &self.texts {
            let value = at(observation, path).ok_or_else(|| format!("it has no '{path}'"))?;
            parts.push(shown(value));
        }
        parts.retain(|part| !part.is_empty());
        Ok(parts.join("\n"))
    }

    /// The admissible actions of an observation.
    pub(super) fn actions(&self, observation: &Value) -> Result<Vec<String>, String> {
        let Some(path) = &self.list else { return Ok(self.fixed.clone()) };
        match at(observation, path) {
            Some(Value::Array(all)) => Ok(all.iter().map(shown).collect()),
            Some(Value::Null) | None => Ok(Vec::new()),
            Some(other) => Err(format!("'{path}' is {other}, expected a list of actions")),
        }
    }

    /// Whether the goal is reached, after rewards that add up to `total`. `None` without a notion of
    /// success.
    pub(super) fn success(&self, observation: &Value, total: f64) -> Option<bool> {
        let Some(path) = &self.success else {
            return match self.above {
                Threshold::Off => None,
                Threshold::At(bound) => Some(total > bound),
            };
        };
        let bound = if let Threshold::At(bound) = self.above { bound } else { 0.0 };
        match at(observation, path) {
            Some(Value::Bool(is)) => Some(*is),
            Some(Value::Number(number)) => number.as_f64().map(|number| number > bound),
            // A server may tell nothing before the end. Unnamed, the field may have another meaning.
            _ if path == "success" => None,
            _ => Some(false),
        }
    }
}

/// The value at a path.
pub(super) fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, key| value.get(key.trim()))
}

/// A value as text. Of a list, each element is a line; of a message, its content counts.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(shown).collect::<Vec<_>>().join("\n"),
        Value::Object(fields) => match fields.get("content").or_else(|| fields.get("text")) {
            Some(Value::String(text)) => text.clone(),
            _ => value.to_string(),
        },
        other => other.to_string(),
    }
}

/// The field of an action that takes the text, and its kind.
fn action_field(schema: &Value, wanted: &str) -> Result<(String, Kind)> {
    const KEY: &str = "env.action_field";
    let fields = properties(schema);
    let refuse = |message: String| Err(Error::setting(KEY, message));
    let name = match wanted {
        "" => {
            let required: Vec<&str> = fields
                .iter()
                .map(|(name, _)| *name)
                .filter(|name| is_required(schema, name))
                .collect();
            match (&required[..], &fields[..]) {
                ([one], _) => *one,
                ([], [(one, _)]) => *one,
                _ => {
                    return refuse(format!(
                        "is not set, and the server's actions have several fields: {}; name the one that \
                         takes the text",
                        listed(&fields)
                    ));
                }
            }
        }
        wanted => wanted,
    };
    let Some((_, field)) = fields.iter().find(|(own, _)| *own == name) else {
        return refuse(format!(
            "'{name}' is unknown, the server's actions have the fields: {}",
            listed(&fields)
        ));
    };
    if let Some((other, _)) =
        fields.iter().find(|(own, _)| *own != name && is_required(schema, own))
    {
        return refuse(format!(
            "only '{name}' would be filled, but the server's actions also require '{other}'"
        ));
    }
    match kind(field) {
        Some(kind) => Ok((name.to_string(), kind)),
        None => refuse(format!("'{name}' takes neither a text nor a number")),
    }
}

/// The paths of the observation's text.
fn text_fields(schema: &Value, wanted: &str) -> Result<Vec<String>> {
    const KEY: &str = "env.observation_field";
    let fields = properties(schema);
    let has = |path: &str| {
        let first = path.split('.').next().unwrap_or_default();
        fields.iter().any(|(name, _)| *name == first) || COMMON.contains(&first)
    };
    if !wanted.trim().is_empty() {
        let paths: Vec<String> = wanted.split(',').map(|path| path.trim().to_string()).collect();
        return match paths.iter().find(|path| !has(path)) {
            None => Ok(paths),
            Some(path) => {
                let message = format!(
                    "'{path}' is unknown, the server's observations have the fields: {}",
                    listed(&fields)
                );
                Err(Error::setting(KEY, message))
            }
        };
    }
    let is_text = |field: &&(&str, &Value)| types(field.1).contains(&"string");
    let texts: Vec<&str> = fields.iter().filter(is_text).map(|(name, _)| *name).collect();
    let required: Vec<&str> =
        texts.iter().copied().filter(|name| is_required(schema, name)).collect();
    let common = || TEXTS.into_iter().find(|name| texts.contains(name));
    let one = match (&required[..], &texts[..]) {
        ([one], _) | (_, [one]) => Some(*one),
        _ => common(),
    };
    match one {
        Some(one) => Ok(vec![one.to_string()]),
        None => {
            let message = format!(
                "is not set, and it is not clear which of the server's fields is the text: {}; name one, \
                 or several with commas",
                listed(&fields)
            );
            Err(Error::setting(KEY, message))
        }
    }
}

/// The path of the admissible actions.
fn list_field(schema: &Value, wanted: &str, are_given: bool) -> Result<Option<String>> {
    const KEY: &str = "env.actions_field";
    let fields = properties(schema);
    if !wanted.is_empty() {
        let first = wanted.split('.').next().unwrap_or_default();
        if fields.iter().any(|(name, _)| *name == first) || COMMON.contains(&first) {
            return Ok(Some(wanted.to_string()));
        }
        let message = format!(
            "'{wanted}' is unknown, the server's observations have the fields: {}",
            listed(&fields)
        );
        return Err(Error::setting(KEY, message));
    }
    if are_given {
        return Ok(None);
    }
    let is_list = |name: &&str| {
        fields.iter().any(|(own, schema)| own == name && types(schema).contains(&"array"))
    };
    Ok(LISTS.into_iter().find(is_list).map(str::to_string))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(fields: Value, required: &[&str]) -> Value {
        json!({ "type": "object", "properties": fields, "required": required })
    }

    fn shape(schema: &Value) -> Result<Shape> {
        Shape::of(schema, &OpenEnvConfig::default())
    }

    #[test]
    fn the_only_required_field_takes_the_action_and_the_only_text_is_the_observation() {
        let schema = json!({
            "action": object(
                json!({ "metadata": { "type": "object" }, "message": { "type": "string" } }),
                &["message"]
            ),
            "observation": object(
                json!({
                    "done": { "type": "boolean" }, "metadata": { "type": "object" },
                    "feedback": { "type": "string" }, "legal_actions": { "type": "array" },
                }),
                &["feedback"]
            ),
        });
        let shape = shape(&schema).unwrap();
        assert_eq!(shape.action("look").unwrap(), json!({ "message": "look" }));
        let seen = json!({ "feedback": "a room", "legal_actions": ["go", 3] });
        assert_eq!(shape.text(&seen).unwrap(), "a room");
        assert_eq!(shape.actions(&seen).unwrap(), ["go", "3"]);
        assert!(shape.lists_actions());
        assert_eq!(shape.success(&seen, 5.0), None);
    }

    #[test]
    fn unclear_fields_are_refused_and_settings_name_them() {
        let schema = json!({
            "action": object(
                json!({ "move": { "type": "integer" }, "note": { "type": "string" } }), &[]
            ),
            "observation": object(
                json!({
                    "board": { "type": "string" }, "info": { "type": "object" },
                    "log": { "anyOf": [{ "type": "string" }, { "type": "null" }] },
                }),
                &[]
            ),
        });
        let message = shape(&schema).unwrap_err().to_string();
        assert!(message.contains("several fields: move, note"), "{message}");
        let config = OpenEnvConfig { action_field: "move".into(), ..OpenEnvConfig::default() };
        let message = Shape::of(&schema, &config).unwrap_err().to_string();
        assert!(message.contains("board, info, log"), "{message}");
        let config = OpenEnvConfig {
            observation_field: "board, info.turn".into(),
            success_field: "info.score".into(),
            success_above: Threshold::At(2.0),
            ..config
        };
        let shape = Shape::of(&schema, &config).unwrap();
        assert_eq!(shape.action(" 7").unwrap(), json!({ "move": 7 }));
        assert_eq!(shape.action("seven"), None);
        let seen = json!({ "board": "x o", "info": { "turn": 3, "score": 2.5 } });
        assert_eq!(shape.text(&seen).unwrap(), "x o\n3");
        assert_eq!(shape.success(&seen, 0.0), Some(true));
        assert_eq!(shape.success(&json!({}), 9.0), Some(false));
        assert!(shape.text(&json!({})).unwrap_err().contains("'board'"));
        assert!(!shape.lists_actions());
    }

    #[test]
    fn an_action_with_another_required_field_is_refused() {
        let fields = json!({ "a": { "type": "string" }, "b": { "type": "string" } });
        let schema = json!({ "action": object(fields, &["a", "b"]), "observation": {} });
        let config = OpenEnvConfig { action_field: "a".into(), ..OpenEnvConfig::default() };
        let message = Shape::of(&schema, &config).unwrap_err().to_string();
        assert!(message.contains("also require 'b'"), "{message}");
    }
}
