//! The header of a GGUF file.
//!
//! ```text
//! "GGUF"  version: u32  weights: u64  entries: u64
//! each entry:   key: text   type: u32   value
//! each weight:  name: text  dimensions: u32  size: u64 …  type: u32  place: u64
//! ```
//!
//! A text is its length, `u64`, and UTF-8; an array is a type, a count, `u64`, and values. All numbers are
//! little-endian. The weights follow at the next multiple of the alignment. No count is trusted: memory
//! grows with what was read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::lm::encoding::Encoding;
use crate::lm::weights::{Entry, open};

/// Upper limit of a text's length, in bytes.
const MAX_TEXT: u64 = 16 << 20;

/// Upper limit of a name's length, in bytes.
const MAX_NAME: u64 = 1 << 16;

/// Upper limit of the number of dimensions.
const MAX_DIMENSIONS: u32 = 4;

/// A value of the metadata.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A whole number.
    Integer(i128),
    /// A number. 32-bit floats have the value of their shortest decimal form: 1e-5, not 9.99…e-6.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A text.
    Text(String),
    /// An array of whole numbers.
    Integers(Vec<i64>),
    /// An array of numbers.
    Floats(Vec<f64>),
    /// An array of texts.
    Texts(Vec<String>),
}

/// A file's metadata, and where its weights are.
#[derive(Debug)]
pub struct GgufFile {
    pub path: PathBuf,
    pub file: File,
    pub metadata: BTreeMap<String, Value>,
    /// By the names of the file. Shapes have their last dimension contiguous.
    pub weights: BTreeMap<String, Entry>,
}

impl GgufFile {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, is no GGUF file of version 2 or 3, or ends before its
    /// weights do.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, length) = open(path)?;
        let again = file.try_clone().map_err(Error::io("read", path))?;
        let mut reader = Reader { input: BufReader::new(again), place: 0, length };
        let (metadata, weights) =
            header(&mut reader).map_err(|message| Error::file(path, message))?;
        Ok(Self { path: path.to_path_buf(), file, metadata, weights })
    }

    /// An error about this file.
    pub fn refuse(&self, message: impl Into<String>) -> Error {
        Error::file(&self.path, message)
    }

    /// The whole number of a key that may be absent.
    pub fn integer(&self, key: &str) -> Result<Option<u64>> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Integer(value)) if u64::try_from(*value).is_ok() => Ok(Some(*value as u64)),
            // Some counts may differ by layer; here they must not.
            Some(Value::Integers(all)) if all.first().is_some_and(|first| *first >= 0) => {
                match all.iter().all(|one| *one == all[0]) {
                    true => Ok(Some(all[0] as u64)),
                    false => Err(self.refuse(format!("{key} differs by layer: not supported"))),
                }
            }
            Some(_) => Err(self.refuse(format!("{key} is not a whole number"))),
        }
    }

    /// The number of a key that may be absent.
    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Float(value)) => Ok(Some(*value)),
            Some(Value::Integer(value)) => Ok(Some(*value as f64)),
            Some(_) => Err(self.refuse(format!("{key} is not a number"))),
        }
    }

    /// The text of a key that may be absent.
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.refuse(format!("{key} is not a text"))),
        }
    }

    /// The truth value of a key that may be absent.
    pub fn bool(&self, key: &str) -> Result<Option<bool>> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(_) => Err(self.refuse(format!("{key} is not true or false"))),
        }
    }
}

type Header = (BTreeMap<String, Value>, BTreeMap<String, Entry>);

fn header(reader: &mut Reader) -> Result<Header, String> {
    if reader.bytes::<4>().ok() != Some(*b"GGUF") {
        return Err("is neither a folder nor a GGUF file".into());
    }
    let version = reader.u32()?;
    if ![2, 3].contains(&version) {
        return Err(format!("GGUF version is {version}, expected 2 or 3, little-endian"));
    }
    let (weights, entries) = (reader.u64()?, reader.u64()?);
    let mut metadata = BTreeMap::new();
    for _ in 0..entries {
        let key = reader.text(MAX_NAME)?;
        let kind = reader.u32()?;
        let value = reader.value(kind).map_err(|message| format!("{key}: {message}"))?;
        if metadata.insert(key.clone(), value).is_some() {
            return Err(format!("{key} appears twice"));
        }
    }
    let mut infos = BTreeMap::new();
    for _ in 0..weights {
        let name = reader.text(MAX_NAME)?;
        let entry = reader.weight().map_err(|message| format!("weight '{name}': {message}"))?;
        if infos.insert(name.clone(), entry).is_some() {
            return Err(format!("weight '{name}' appears twice"));
        }
    }
    let alignment = match metadata.get("general.alignment") {
        None => 32,
        Some(Value::Integer(value)) if (1..=1 << 20).contains(value) => *value as u64,
        Some(_) => return Err("general.alignment is not a number of 1 to 1048576".into()),
    };
    let data = reader.place.next_multiple_of(alignment);
    for (name, entry) in &mut infos {
        entry.first = entry.first.checked_add(data).ok_or("a weight's place is too large")?;
        let is_inside =
            |size: u64| entry.first.checked_add(size).is_some_and(|end| end <= reader.length);
        if !stored_bytes(entry).is_none_or(is_inside) {
            return Err(format!("weight '{name}' ends after the file: it is truncated"));
        }
    }
    Ok((metadata, infos))
}

/// Bytes of a weight; `None` if its encoding is not supported.
fn stored_bytes(entry: &Entry) -> Option<u64> {
    let (numbers, bytes) = entry.encoding.as_ref().ok()?.block();
    let count = entry.shape.iter().fold(1u64, |count, &size| count.saturating_mul(size as u64));
    Some((count / numbers as u64).saturating_mul(bytes as u64))
}

/// Reads a file from its beginning.
struct Reader {
    input: BufReader<File>,
    /// Number of bytes read.
    place: u64,
    /// The file's length.
    length: u64,
}

impl Reader {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(|_| "the file ends early: it is truncated")?;
        self.place += N as u64;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn text(&mut self, most: u64) -> Result<String, String> {
        let length = self.u64()?;
        if length > most {
            return Err(format!("a text is of {length} bytes, expected at most {most}"));
        }
        if length > self.length - self.place {
            return Err("the file ends in a text: it is truncated".into());
        }
        let mut bytes = vec![0; length as usize];
        self.input.read_exact(&mut bytes).map_err(|error| error.to_string())?;
        self.place += length;
        String::from_utf8(bytes).map_err(|_| "a text is not UTF-8".into())
    }

    fn value(&mut self, kind: u32) -> Result<Value, String> {
        Ok(match kind {
            0..=5 | 10 | 11 => Value::Integer(self.integer(kind)?),
            6 | 12 => Value::Float(self.float(kind)?),
            7 => Value::Bool(self.bytes::<1>()? != [0]),
            8 => Value::Text(self.text(MAX_TEXT)?),
            9 => self.array()?,
            _ => return Err(format!("value type {kind} is unknown")),
        })
    }

    fn integer(&mut self, kind: u32) -> Result<i128, String> {
        Ok(match kind {
            0 => i128::from(u8::from_le_bytes(self.bytes()?)),
            1 => i128::from(i8::from_le_bytes(self.bytes()?)),
            2 => i128::from(u16::from_le_bytes(self.bytes()?)),
            3 => i128::from(i16::from_le_bytes(self.bytes()?)),
            4 => i128::from(self.u32()?),
            5 => i128::from(i32::from_le_bytes(self.bytes()?)),
            10 => i128::from(self.u64()?),
            _ => i128::from(i64::from_le_bytes(self.bytes()?)),
        })
    }

    fn float(&mut self, kind: u32) -> Result<f64, String> {
        if kind != 6 {
            return self.bytes().map(f64::from_le_bytes);
        }
        let value = f32::from_le_bytes(self.bytes()?);
        value.to_string().parse().map_err(|_| format!("{value} is not a number"))
    }

    fn array(&mut self) -> Result<Value, String> {
        let (kind, count) = (self.u32()?, self.u64()?);
        // Every value takes a byte or more, so a count beyond the file's end fails before long.
        let numbers = 0..count;
        Ok(match kind {
            0..=5 | 7 | 10 | 11 => {
                let one = |_| match kind {
                    7 => self.bytes::<1>().map(|byte| i64::from(byte != [0])),
                    _ => self.integer(kind).map(|value| value.clamp(MIN, MAX) as i64),
                };
                Value::Integers(collected(numbers.map(one))?)
            }
            6 | 12 => Value::Floats(collected(numbers.map(|_| self.float(kind)))?),
            8 => Value::Texts(collected(numbers.map(|_| self.text(MAX_TEXT)))?),
            9 => return Err("an array of arrays is not supported".into()),
            _ => return Err(format!("value type {kind} is unknown")),
        })
    }

    /// Where a weight is, relative to the first weight.
    fn weight(&mut self) -> Result<Entry, String> {
        let dimensions = self.u32()?;
        if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
            return Err(format!("has {dimensions} dimensions, expected 1 to {MAX_DIMENSIONS}"));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            let size = self.u64()?;
            match usize::try_from(size) {
                Ok(size) if (1..=1 << 40).contains(&size) => shape.insert(0, size),
                _ => return Err(format!("a dimension is {size}, expected 1 to 2^40")),
            }
        }
        let kind = self.u32()?;
        let first = self.u64()?;
        let encoding = Encoding::of_gguf(kind).ok_or_else(|| unsupported(kind));
        if let Ok(encoding) = encoding {
            let (row, (numbers, _)) = (shape[shape.len() - 1], encoding.block());
            if !row.is_multiple_of(numbers) {
                let message = format!("rows of {row} are not whole blocks of {numbers}");
                return Err(message);
            }
            if shape.len() == 1 && numbers > 1 {
                return Err(format!("a vector is of type {encoding}, expected floats"));
            }
        }
        Ok(Entry { file: 0, shape, encoding, first, interleaved_heads: 0 })
    }
}

const MIN: i128 = i64::MIN as i128;
const MAX: i128 = i64::MAX as i128;

/// Collects results without reserving space for a count that the file states.
fn collected<T>(values: impl Iterator<Item = Result<T, String>>) -> Result<Vec<T>, String> {
    let mut all = Vec::new();
    for value in values {
        all.push(value?);
    }
    Ok(all)
}

/// The name of a weight type that is not supported.
fn unsupported(kind: u32) -> String {
    let names = [
        (10, "Q2_K"),
        (11, "Q3_K"),
        (15, "Q8_K"),
        (16, "IQ2_XXS"),
        (17, "IQ2_XS"),
        (18, "IQ3_XXS"),
        (19, "IQ1_S"),
        (20, "IQ4_NL"),
        (21, "IQ3_S"),
        (22, "IQ2_S"),
        (23, "IQ4_XS"),
        (29, "IQ1_M"),
        (34, "TQ1_0"),
        (35, "TQ2_0"),
        (39, "MXFP4"),
    ];
    let known = names.iter().find(|(number, _)| *number == kind);
    known.map_or_else(|| format!("number {kind}"), |(_, name)| name.to_string())
}
