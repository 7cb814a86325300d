//! The field of a program's answer that does not fit, for messages.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::episodes::{RawObject, decoded, described, each_item};

/// The type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// A text, a whole number or null.
    Name,
    /// A text or null.
    OptionalText,
    Texts,
    /// A number or null.
    Reward,
    Count,
    /// A truth value, 0, 1 or null.
    Flag,
    /// An object of numbers, or null.
    Numbers,
}

/// The fields that are read.
pub(super) const FIELDS: [(&str, Kind); 19] = [
    ("session", Kind::Count),
    ("protocol", Kind::Count),
    ("tasks", Kind::Count),
    ("max_steps", Kind::Count),
    ("name", Kind::Text),
    ("error", Kind::OptionalText),
    ("task", Kind::Name),
    ("goal", Kind::OptionalText),
    ("kind", Kind::OptionalText),
    ("observation", Kind::Text),
    ("admissible", Kind::Texts),
    ("kinds", Kind::Texts),
    ("reward", Kind::Reward),
    ("score", Kind::Reward),
    ("metrics", Kind::Numbers),
    ("terminated", Kind::Flag),
    ("truncated", Kind::Flag),
    ("success", Kind::Flag),
    ("valid", Kind::Flag),
];

impl Kind {
    fn expected(self) -> &'static str {
        match self {
            Self::Text | Self::Name | Self::OptionalText => "a text",
            Self::Texts => "a list of texts",
            Self::Reward | Self::Count => "a number",
            Self::Flag => "true or false",
            Self::Numbers => "an object of numbers",
        }
    }

    fn fits(self, value: &str) -> bool {
        let is_text = serde_json::from_str::<String>(value).is_ok();
        let is_null = value == "null";
        match self {
            Self::Text => is_text,
            Self::OptionalText => is_text || is_null,
            Self::Name => is_text || is_null || value.parse::<i64>().is_ok(),
            Self::Texts => serde_json::from_str::<Vec<String>>(value).is_ok(),
            Self::Reward => is_null || serde_json::from_str::<f64>(value).is_ok(),
            Self::Count => serde_json::from_str::<f64>(value).is_ok_and(|it| it.fract() == 0.0),
            Self::Numbers => {
                is_null || serde_json::from_str::<BTreeMap<String, f64>>(value).is_ok()
            }
            Self::Flag => matches!(value, "true" | "false" | "0" | "1" | "null"),
        }
    }
}

/// The first field of an answer that does not have its type: `'observation' is null, expected a text`.
pub(super) fn first_mismatch(text: &str) -> Option<String> {
    let RawObject(members) = serde_json::from_str(text).ok()?;
    members.into_iter().find_map(|(name, value)| {
        let name = decoded(name).ok()?;
        let (_, kind) = FIELDS.into_iter().find(|(field, _)| *field == name)?;
        (!kind.fits(value.get())).then(|| mismatch(&name, kind, value))
    })
}

fn mismatch(name: &str, kind: Kind, value: &RawValue) -> String {
    if kind == Kind::Texts {
        let mut at = 0;
        let items = each_item(value, |item| {
            at += 1;
            if Kind::Text.fits(item.get()) { Ok(()) } else { Err(item) }
        });
        if let Some(Err(item)) = items {
            return mismatch(&format!("{name}[{}]", at - 1), Kind::Text, item);
        }
    }
    format!("'{name}' is {}, expected {}", described(Some(value)), kind.expected())
}

/// The fields of a line that are null, among `fields`.
pub(super) fn nulls<'a>(text: &str, fields: &[&'a str]) -> Vec<&'a str> {
    let Ok(RawObject(members)) = serde_json::from_str(text) else { return Vec::new() };
    let is_null = |field: &&&str| {
        members.iter().any(|(name, value)| {
            value.get() == "null" && decoded(name).is_ok_and(|name| name == **field)
        })
    };
    fields.iter().filter(is_null).copied().collect()
}
