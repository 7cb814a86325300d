//! A list of short texts in one allocation.

use std::fmt;

use serde::de::{DeserializeSeed, Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Texts in one contiguous buffer, for lists that are rebuilt every step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    buffer: String,
    ends: Vec<u32>,
}

impl Texts {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Total length of the texts, in bytes.
    pub fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Removes all texts and keeps the allocation.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.ends.clear();
    }

    /// Appends a text.
    pub fn push(&mut self, text: &str) {
        self.buffer.push_str(text);
        self.finish();
    }

    /// The buffer that the next text is appended to; [`Texts::finish`] ends the text.
    pub fn buffer(&mut self) -> &mut String {
        &mut self.buffer
    }

    /// Ends the text that was appended to [`Texts::buffer`].
    pub fn finish(&mut self) {
        self.ends.push(u32::try_from(self.buffer.len()).unwrap_or(u32::MAX));
    }

    /// The text at `index`, or `None` past the end.
    pub fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)? as usize;
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        self.buffer.get(start..end)
    }

    /// All texts in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Index of the first text that equals `text`.
    pub fn position(&self, text: &str) -> Option<usize> {
        self.iter().position(|candidate| candidate == text)
    }
}

impl Serialize for Texts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ReadTexts)
    }
}

struct ReadTexts;

impl<'de> Visitor<'de> for ReadTexts {
    type Value = Texts;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("a list of texts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Texts, A::Error> {
        let mut texts = Texts::new();
        while list.next_element_seed(ReadText(&mut texts))?.is_some() {}
        Ok(texts)
    }
}

/// Appends the text that it reads.
struct ReadText<'a>(&'a mut Texts);

impl<'de> DeserializeSeed<'de> for ReadText<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for ReadText<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.push(text);
        Ok(())
    }
}

impl<'a> FromIterator<&'a str> for Texts {
    fn from_iter<I: IntoIterator<Item = &'a str>>(texts: I) -> Self {
        let mut list = Self::new();
        texts.into_iter().for_each(|text| list.push(text));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_returned_as_they_were_pushed() {
        let mut list: Texts = ["look", "", "go to shelf 1"].into_iter().collect();
        list.buffer().push_str("op");
        list.buffer().push_str("en");
        list.finish();
        assert_eq!(list.iter().collect::<Vec<_>>(), ["look", "", "go to shelf 1", "open"]);
        assert_eq!(list.position("go to shelf 1"), Some(2));
        assert_eq!(list.get(4), None);
        let json = serde_json::to_string(&list).unwrap();
        assert_eq!(serde_json::from_str::<Texts>(&json).unwrap(), list);
        serde_json::from_str::<Texts>("[\"look\",null]").unwrap_err();
        list.clear();
        assert!(list.is_empty() && list.position("look").is_none());
    }
}
