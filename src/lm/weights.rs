//! Weights in files: safetensors, single or sharded, or GGUF.
//!
//! Opening reads the files' headers only. Values are read weight by weight, in pieces, so that loading a
//! model takes its own size in memory, and little more.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::encoding::Encoding;
use crate::error::{Error, Result};
use crate::files::hexadecimal;

mod safetensors;

/// Largest number of bytes that are read at once.
const PIECE: usize = 1 << 20;

/// Where a weight is, and how it is stored.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Its file, as an index.
    pub file: usize,
    /// Its shape, the last dimension contiguous.
    pub shape: Vec<usize>,
    /// How its numbers are stored, or the name of a format that is not supported.
    pub encoding: Result<Encoding, String>,
    /// The place of its first byte in the file.
    pub first: u64,
    /// Number of heads whose rows are stored in the order of interleaved rotary pairs
    /// ([`super::gguf`]), 0 if they are in the order of halves.
    pub interleaved_heads: usize,
}

/// A weight that was read.
#[derive(Debug)]
pub(super) struct Matrix {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its numbers.
    pub values: Vec<f32>,
}

/// The weights of a model: where each one is. Names are those of Hugging Face.
#[derive(Debug)]
pub struct Weights {
    /// The file that lists the weights: it is named if one is missing.
    listing: PathBuf,
    files: Vec<(PathBuf, Mutex<File>)>,
    entries: BTreeMap<String, Entry>,
}

impl Weights {
    pub(super) fn new(
        listing: PathBuf,
        files: Vec<(PathBuf, File)>,
        entries: BTreeMap<String, Entry>,
    ) -> Self {
        let files = files.into_iter().map(|(path, file)| (path, Mutex::new(file))).collect();
        Self { listing, files, entries }
    }

    /// The SHA-256 of the files' contents, one after another, in hexadecimal.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read.
    pub fn sha256(&self) -> Result<String> {
        let mut sum = Sha256::new();
        for (path, _) in &self.files {
            let mut file = File::open(path).map_err(Error::io("open", path))?;
            io::copy(&mut file, &mut sum).map_err(Error::io("read", path))?;
        }
        Ok(hexadecimal(&sum.finalize()))
    }

    /// Number of stored numbers in each encoding; formats that are not supported by their name.
    pub fn encodings(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for entry in self.entries.values() {
            let name = match &entry.encoding {
                Ok(encoding) => encoding.to_string(),
                Err(name) => name.clone(),
            };
            let count =
                entry.shape.iter().fold(1u64, |product, &x| product.saturating_mul(x as u64));
            let sum: &mut u64 = counts.entry(name).or_default();
            *sum = sum.saturating_add(count);
        }
        counts
    }

    /// The names of all weights, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Whether there is a weight of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The place of a weight, which must have the given shape and a supported encoding.
    pub(super) fn entry(&self, name: &str, shape: &[usize]) -> Result<(&Entry, Encoding)> {
        let entry = self.entries.get(name);
        let missing = || Error::file(&self.listing, format!("weight '{name}' is missing"));
        let entry = entry.ok_or_else(missing)?;
        if entry.shape != shape {
            let found = &entry.shape;
            let message = format!("weight '{name}' has shape {found:?}, expected {shape:?}");
            return Err(self.refuse(entry, message));
        }
        self.encoding(name, entry).map(|encoding| (entry, encoding))
    }

    /// The shape and values of every weight.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or a weight is of another type or not finite.
    pub(super) fn read_all(&self) -> Result<BTreeMap<String, Matrix>> {
        let read = |(name, entry): (&String, &Entry)| {
            let rows = entry.shape.first().copied().unwrap_or(1);
            let values = self.read(name, entry, self.encoding(name, entry)?, 0..rows)?;
            Ok((name.clone(), Matrix { shape: entry.shape.clone(), values }))
        };
        self.entries.iter().map(read).collect()
    }

    fn encoding(&self, name: &str, entry: &Entry) -> Result<Encoding> {
        match &entry.encoding {
            Ok(encoding) => Ok(*encoding),
            Err(found) => {
                let expected = match self.listing.extension() {
                    Some(kind) if kind == "safetensors" || kind == "json" => "F32, F16 or BF16",
                    _ => "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K",
                };
                let message = format!("weight '{name}' is of type {found}, expected {expected}");
                Err(self.refuse(entry, message))
            }
        }
    }

    fn refuse(&self, entry: &Entry, message: String) -> Error {
        Error::file(&self.files[entry.file].0, message)
    }

    /// The numbers of some rows of a weight, where a row is all that has the same first index.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or a number is not finite.
    pub(super) fn read(
        &self,
        name: &str,
        entry: &Entry,
        encoding: Encoding,
        rows: Range<usize>,
    ) -> Result<Vec<f32>> {
        let width: usize = entry.shape.iter().skip(1).product();
        let mut values = Vec::with_capacity(rows.len() * width);
        match entry.interleaved_heads {
            0 => self.read_into(entry, encoding, rows, &mut values)?,
            heads => {
                // In each head, row `half * j + i` is stored as row `2 i + j`.
                let half = entry.shape[0] / heads / 2;
                for row in rows {
                    let (head, own) = (row / (2 * half), row % (2 * half));
                    let stored = 2 * half * head + 2 * (own % half) + own / half;
                    self.read_into(entry, encoding, stored..stored + 1, &mut values)?;
                }
            }
        }
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) => {
                let message = format!("weight '{name}' holds {value}, expected finite values");
                Err(self.refuse(entry, message))
            }
            None => Ok(values),
        }
    }

    fn read_into(
        &self,
        entry: &Entry,
        encoding: Encoding,
        rows: Range<usize>,
        values: &mut Vec<f32>,
    ) -> Result<()> {
        let width: usize = entry.shape.iter().skip(1).product();
        let (numbers, bytes) = encoding.block();
        // Opening has checked that a row, or a vector, consists of whole blocks.
        let place = |row: usize| (row * width / numbers * bytes) as u64;
        let (start, end) = (place(rows.start), place(rows.end));
        let (path, file) = &self.files[entry.file];
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |error| Error::io("read", path)(error);
        file.seek(SeekFrom::Start(entry.first + start)).map_err(failed)?;
        let whole = PIECE / bytes * bytes;
        let mut piece = vec![0; whole.min((end - start) as usize)];
        let mut left = (end - start) as usize;
        while left > 0 {
            let now = left.min(whole);
            file.read_exact(&mut piece[..now]).map_err(failed)?;
            encoding.decode(&piece[..now], values);
            left -= now;
        }
        Ok(())
    }
}

/// Opens a file and tells its length.
pub(super) fn open(path: &Path) -> Result<(File, u64)> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let length = file.metadata().map_err(Error::io("read", path))?.len();
    Ok((file, length))
}
