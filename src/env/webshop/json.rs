//! Large JSON files, one element at a time.
//!
//! The files of WebShop are one array, or one object, of many elements and up to several gigabytes.
//! [`Elements`] finds where each element begins and ends; `serde_json` reads the element.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The most bytes of one element.
const MAX_ELEMENT: usize = 16 << 20;

/// How much is read at a time.
const CHUNK: usize = 1 << 18;

/// Why a file cannot be read on.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The system refused to read.
    Io(io::Error),
    /// The text is no JSON of the expected form.
    Format(String),
}

/// Elements that were read together, one after the other in one buffer.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// The number of the first element in its file, from 0.
    pub first: usize,
}

impl Batch {
    /// The elements, each as JSON: a value, or of an object `"key": value`.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }
}

/// The elements of a JSON array or object.
pub(crate) struct Elements<R> {
    input: R,
    buffer: Vec<u8>,
    at: usize,
    is_at_end: bool,
    /// The bytes that open and close the file's value.
    brackets: (u8, u8),
    count: usize,
    is_open: bool,
    is_closed: bool,
}

impl<R: Read> Elements<R> {
    /// The elements of an array.
    pub fn of_array(input: R) -> Self {
        Self::new(input, (b'[', b']'))
    }

    /// The members of an object.
    pub fn of_object(input: R) -> Self {
        Self::new(input, (b'{', b'}'))
    }

    fn new(input: R, brackets: (u8, u8)) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            at: 0,
            is_at_end: false,
            brackets,
            count: 0,
            is_open: false,
            is_closed: false,
        }
    }

    /// Reads elements of about `bytes` bytes; at least one, or none at the end of the file.
    pub fn batch(&mut self, bytes: usize) -> Result<Batch, Failure> {
        let mut batch = Batch { first: self.count, ..Default::default() };
        while batch.bytes.len() < bytes && self.next(&mut batch)? {}
        Ok(batch)
    }

    /// Appends the next element.
    fn next(&mut self, batch: &mut Batch) -> Result<bool, Failure> {
        if !self.is_open {
            self.open()?;
        }
        if self.is_closed {
            return Ok(false);
        }
        let mut byte = self.skip_blanks()?;
        if self.count > 0 && byte == Some(b',') {
            self.at += 1;
            byte = self.skip_blanks()?;
        } else if byte.is_some() && byte != Some(self.brackets.1) && self.count > 0 {
            return Err(self.format("expected ',' or the end of the list"));
        }
        match byte {
            None => return Err(self.format("the file ends in the middle")),
            Some(byte) if byte == self.brackets.1 => {
                self.at += 1;
                self.is_closed = true;
                return match self.skip_blanks()? {
                    None => Ok(false),
                    Some(_) => Err(self.format("there is more after the end of the list")),
                };
            }
            Some(_) => {}
        }
        let length = self.element()?;
        batch.bytes.extend_from_slice(&self.buffer[self.at..self.at + length]);
        batch.ends.push(batch.bytes.len());
        self.at += length;
        self.count += 1;
        Ok(true)
    }

    fn open(&mut self) -> Result<(), Failure> {
        if self.skip_blanks()? != Some(self.brackets.0) {
            let what = if self.brackets.0 == b'[' { "an array" } else { "an object" };
            return Err(Failure::Format(format!("expected {what} in JSON")));
        }
        self.at += 1;
        self.is_open = true;
        Ok(())
    }

    fn format(&self, message: &str) -> Failure {
        Failure::Format(format!("{message}, after {} elements", self.count))
    }

    /// Reads on, keeping what has not been used yet. Says whether there was more.
    fn fill(&mut self) -> Result<bool, Failure> {
        if self.is_at_end {
            return Ok(false);
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        let before = self.buffer.len();
        (&mut self.input).take(CHUNK as u64).read_to_end(&mut self.buffer).map_err(Failure::Io)?;
        self.is_at_end = self.buffer.len() == before;
        Ok(!self.is_at_end)
    }

    /// The next byte that is not white space; it stays the next.
    fn skip_blanks(&mut self) -> Result<Option<u8>, Failure> {
        loop {
            while let Some(&byte) = self.buffer.get(self.at) {
                if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                    return Ok(Some(byte));
                }
                self.at += 1;
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// The length of the element that begins at `self.at`, all of it in the buffer.
    fn element(&mut self) -> Result<usize, Failure> {
        let (mut depth, mut in_text, mut length) = (0usize, false, 0);
        loop {
            while let Some(&byte) = self.buffer.get(self.at + length) {
                match byte {
                    b'\\' if in_text => length += 1,
                    b'"' => in_text = !in_text,
                    _ if in_text => {}
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' | b',' if depth == 0 => return Ok(length),
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                length += 1;
            }
            if length > MAX_ELEMENT {
                return Err(self.format(&format!("an element has more than {MAX_ELEMENT} bytes")));
            }
            if !self.fill()? {
                return Err(self.format("the file ends in the middle of an element"));
            }
        }
    }
}

/// Reads an object's members that are named, each as it stands there; of two with one name the last.
pub(crate) struct Fields<'n, const N: usize>(pub &'n [&'static str; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for Fields<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Fields<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(key) = map.next_key::<Text>()? {
            match self.0.iter().position(|name| *name == key.0) {
                Some(index) => found[index] = Some(map.next_value()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}

/// An object's members in order, each value as it stands there.
#[derive(Debug)]
pub(crate) struct Members<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Members<'de>;

            fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<Text, &RawValue>()? {
                    members.push((key.0, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Read)
    }
}

/// A text, borrowed where it stands in the file without escapes.
#[derive(Debug, Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// Whether a JSON value is one that Python takes for false.
pub(crate) fn is_falsy(value: &RawValue) -> bool {
    let text = value.get();
    let is_empty = |open: char, close: char| {
        let inner = text.strip_prefix(open).and_then(|text| text.strip_suffix(close));
        inner.is_some_and(|inner| inner.trim().is_empty())
    };
    matches!(text, "null" | "false" | "\"\"")
        || text.parse::<f64>().is_ok_and(|number| number == 0.0)
        || is_empty('[', ']')
        || is_empty('{', '}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, bytes: usize) -> Result<Vec<String>, String> {
        let mut elements = match text.trim_start().as_bytes().first() {
            Some(b'{') => Elements::of_object(text.as_bytes()),
            _ => Elements::of_array(text.as_bytes()),
        };
        let mut found = Vec::new();
        loop {
            let batch = elements.batch(bytes).map_err(|failure| format!("{failure:?}"))?;
            let before = found.len();
            assert_eq!(batch.first, before);
            let text = |element: &[u8]| String::from_utf8(element.to_vec()).unwrap();
            found.extend(batch.iter().map(text));
            if found.len() == before {
                return Ok(found);
            }
        }
    }

    #[test]
    fn elements_come_as_they_stand_in_the_file() {
        let text = r#" [ {"a": "]}\"", "b": [1, {}]} ,7, "x,\\" ] "#;
        for bytes in [1, 1000] {
            let expected = [r#"{"a": "]}\"", "b": [1, {}]} "#, "7", r#""x,\\" "#];
            assert_eq!(read(text, bytes).unwrap(), expected);
        }
        assert_eq!(
            read(r#"{"k": {"v": 1}, "l": []}"#, 9).unwrap(),
            [r#""k": {"v": 1}"#, r#""l": []"#]
        );
        assert_eq!(read("[]", 1).unwrap(), [""; 0]);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for (text, says) in [
            ("", "expected an array"),
            ("7", "expected an array"),
            ("[1, 2", "ends in the middle"),
            ("[{\"a\": \"", "ends in the middle"),
            ("[1] 2", "more after the end"),
            ("[\"a\" \"b\"] x", "more after the end"),
        ] {
            let error = read(text, 1).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        let endless = io::repeat(b'"').take(1).chain(io::repeat(b'x').take(1 << 30));
        let mut elements = Elements::of_array((&b"["[..]).chain(endless));
        let Failure::Format(error) = elements.batch(1).unwrap_err() else { panic!() };
        assert!(error.contains("more than 16777216 bytes"), "{error}");
    }

    #[test]
    fn falsy_values_are_those_of_python() {
        for (text, expected) in [
            ("null", true),
            ("0", true),
            ("0.0", true),
            ("[ ]", true),
            ("{}", true),
            ("\"\"", true),
            ("false", true),
            ("\" \"", false),
            ("[0]", false),
            ("true", false),
        ] {
            let value: &RawValue = serde_json::from_str(text).unwrap();
            assert_eq!(is_falsy(value), expected, "{text}");
        }
    }
}
