//! JSON objects with unknown members, which are kept byte for byte.

use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use crate::error::{Error, Result};
use crate::json_scan::lone_surrogate;

/// Length limit, in characters, of an input text that a message repeats.
const MAX_SHOWN: usize = 40;

/// The members of a JSON object in order, names and values as their JSON text.
#[derive(Debug, Default)]
pub(crate) struct RawObject<'a>(pub Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for RawObject<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = RawObject<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(RawObject(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// The name of a member whose JSON text is `name`.
pub(crate) fn decoded(name: &RawValue) -> Result<String, serde_json::Error> {
    serde_json::from_str(name.get())
}

/// Fields that this crate does not know, in order. A value is kept as its JSON text, byte for byte.
#[derive(Debug, Clone, Default)]
pub struct OtherFields(Vec<(String, Box<RawValue>)>);

impl OtherFields {
    /// Appends a field.
    ///
    /// # Errors
    /// Returns an error if `value` has no JSON form.
    pub fn push(&mut self, name: impl Into<String>, value: &impl Serialize) -> Result<()> {
        let name = name.into();
        let value = to_raw_value(value).map_err(|error| Error::input(&name, error.to_string()))?;
        self.0.push((name, value));
        Ok(())
    }

    /// One field with a number, or none.
    #[cfg(feature = "burn")]
    pub(crate) fn of_number(name: &str, number: Option<f64>) -> Self {
        let value = number.and_then(|number| to_raw_value(&number).ok());
        Self(value.map(|value| (name.to_string(), value)).into_iter().collect())
    }

    /// Appends a field that was read.
    pub(super) fn push_raw(&mut self, name: String, value: &RawValue) {
        self.0.push((name, value.to_owned()));
    }

    /// The JSON text of the first field with this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|field| field.0 == name).map(|field| field.1)
    }

    /// The fields as names and JSON texts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.get()))
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for OtherFields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Serialize for OtherFields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        self.0.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        map.end()
    }
}

/// Calls `visit` for each item of a JSON array until it fails, and returns its error. Items are not
/// collected. Nothing is returned for a value that is not an array.
pub(crate) fn each_item<'a, E>(
    array: &'a RawValue,
    visit: impl FnMut(&'a RawValue) -> Result<(), E>,
) -> Option<Result<(), E>> {
    struct Items<'e, F, E>(F, &'e mut Option<E>);
    impl<'de, F: FnMut(&'de RawValue) -> Result<(), E>, E> Visitor<'de> for Items<'_, F, E> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a JSON array")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
            while let Some(item) = items.next_element()? {
                if let Err(error) = (self.0)(item) {
                    *self.1 = Some(error);
                    return Err(A::Error::custom("stopped"));
                }
            }
            Ok(())
        }
    }
    let mut stopped = None;
    let mut text = serde_json::Deserializer::from_str(array.get());
    match (text.deserialize_seq(Items(visit, &mut stopped)), stopped) {
        (_, Some(error)) => Some(Err(error)),
        (Ok(()), None) => Some(Ok(())),
        (Err(_), None) => None,
    }
}

/// A short description of a JSON value for messages.
pub(crate) fn described(value: Option<&RawValue>) -> String {
    let Some(value) = value else { return "nothing".to_string() };
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'"') => {
            if let Some(half) = lone_surrogate(text) {
                return format!("a text with {half} alone, which is half of a character");
            }
            let text = serde_json::from_str(text).unwrap_or_else(|_| text.to_string());
            match shortened(&text) {
                Some(start) => format!("the text {start:?}…"),
                None => format!("the text {text:?}"),
            }
        }
        Some(b'[') => {
            let items = serde_json::from_str::<Vec<IgnoredAny>>(text);
            format!("an array of {}", items.map_or(0, |items| items.len()))
        }
        Some(b'{') => "an object".to_string(),
        _ => shortened(text).map_or_else(|| text.to_string(), |start| start + "…"),
    }
}

/// The beginning of a text that is too long for a message.
fn shortened(text: &str) -> Option<String> {
    let (end, _) = text.char_indices().nth(MAX_SHOWN)?;
    Some(text[..end].to_string())
}

/// Whether the JSON text of a value is that of a number.
pub(super) fn is_number(value: &RawValue) -> bool {
    value.get().starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// Whether the JSON text of a value is that of a whole number without a fraction or an exponent.
pub(super) fn is_integer(value: &RawValue) -> bool {
    let digits = value.get().strip_prefix('-').unwrap_or(value.get());
    digits.bytes().all(|digit| digit.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_keep_every_byte() {
        let text = r#"{"caf\u00e9":1.10,"big":1e999,"same":1,"same":[ 2 ]}"#;
        let members: RawObject = serde_json::from_str(text).unwrap();
        let mut fields = OtherFields::default();
        for (name, value) in members.0 {
            fields.push_raw(decoded(name).unwrap(), value);
        }
        let written = serde_json::to_string(&fields).unwrap();
        assert_eq!(written, r#"{"café":1.10,"big":1e999,"same":1,"same":[ 2 ]}"#);
        assert_eq!((fields.get("same"), fields.get("none")), (Some("1"), None));
        fields.push("more", &[1]).unwrap();
        assert_eq!(fields.get("more"), Some("[1]"));
    }

    #[test]
    fn items_are_visited_until_one_is_refused() {
        let visit = |text: &str, last: &str| {
            let mut seen = Vec::new();
            let result = each_item(serde_json::from_str(text).unwrap(), |item| {
                seen.push(item.get().to_string());
                if item.get() == last { Err(seen.len()) } else { Ok(()) }
            });
            (result, seen.len())
        };
        assert_eq!(visit("[1, [2], 3]", ""), (Some(Ok(())), 3));
        assert_eq!(visit("[1, [2], 3]", "[2]"), (Some(Err(2)), 2));
        assert_eq!(visit("{}", ""), (None, 0));
    }

    #[test]
    fn descriptions_are_short() {
        let describe = |text: &str| described(Some(serde_json::from_str(text).unwrap()));
        assert_eq!(describe(r#""a\u001b""#), r#"the text "a\u{1b}""#);
        assert_eq!(
            (describe("[1, [2]]"), describe("{}")),
            ("an array of 2".into(), "an object".into())
        );
        assert_eq!((described(None), describe("-1.50")), ("nothing".into(), "-1.50".into()));
        for long in [format!("\"{}\"", "é".repeat(1000)), "1".repeat(1000)] {
            assert!(describe(&long).len() < 120, "{long}");
        }
    }
}
