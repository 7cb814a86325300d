//! The headers of safetensors files.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde::Deserialize;

use super::{Entry, Weights, open};
use crate::error::{Error, Result};
use crate::lm::encoding::Encoding;

/// Upper limit of a header's size, in bytes. That of a model with a thousand layers is a tenth of it.
const MAX_HEADER: u64 = 16 << 20;

/// The index of a sharded model: the file of each weight.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Weights {
    /// Opens `model.safetensors` of a folder, or the files that `model.safetensors.index.json` names.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read, a header is invalid or does not fit its file, or the
    /// index is invalid or does not fit the files.
    pub fn open(folder: &Path) -> Result<Self> {
        let index = folder.join("model.safetensors.index.json");
        let single = folder.join("model.safetensors");
        match single.exists() || !index.exists() {
            true => Self::of_file(&single),
            false => Self::sharded(folder, index),
        }
    }

    /// Opens one safetensors file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or its header is invalid or does not fit it.
    pub(in crate::lm) fn of_file(path: &Path) -> Result<Self> {
        let (file, entries) = header(path, 0)?;
        let path = path.to_path_buf();
        Ok(Self::new(path.clone(), vec![(path, file)], entries.into_iter().collect()))
    }

    /// [`of_file`](Self::of_file) with the file's metadata.
    ///
    /// # Errors
    /// As [`of_file`](Self::of_file).
    pub(in crate::lm) fn with_metadata(path: &Path) -> Result<(Self, HashMap<String, String>)> {
        let (_, _, metadata) = raw_header(path)?;
        Ok((Self::of_file(path)?, metadata.metadata().clone().unwrap_or_default()))
    }

    fn sharded(folder: &Path, path: PathBuf) -> Result<Self> {
        let refuse = |message: String| Error::file(&path, message);
        let index: Index = read_json(&path)?;
        let mut files = Vec::new();
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        for name in index.weight_map.values() {
            if places.contains_key(name.as_str()) {
                continue;
            }
            // A shard lies beside its index; a name with folders could reach any file.
            if Path::new(name).file_name().is_none_or(|own| own != name.as_str()) {
                return Err(refuse(format!("'{name}' is not a file name")));
            }
            let shard = folder.join(name);
            if !shard.exists() {
                return Err(refuse(format!("shard '{name}' does not exist")));
            }
            let (file, own) = header(&shard, files.len())?;
            for (weight, entry) in own {
                if let Some(other) = entries.get(&weight) {
                    let (first, _): &(PathBuf, File) = &files[other.file];
                    let first = first.display();
                    let message = format!("weight '{weight}' is in {first} as well");
                    return Err(Error::file(&shard, message));
                }
                entries.insert(weight, entry);
            }
            places.insert(name, files.len());
            files.push((shard, file));
        }
        for (weight, file) in &index.weight_map {
            let is_there = |entry: &Entry| entry.file == places[file.as_str()];
            if !entries.get(weight).is_some_and(is_there) {
                return Err(refuse(format!("weight '{weight}' is not in shard '{file}'")));
            }
        }
        // The index decides which weights the model has.
        entries.retain(|weight, _| index.weight_map.contains_key(weight));
        Ok(Self::new(path, files, entries))
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let (file, length) = open(path)?;
    let mut text = Vec::new();
    if length > MAX_HEADER {
        let message = format!("is of {length} bytes, expected at most {MAX_HEADER}");
        return Err(Error::file(path, message));
    }
    file.take(MAX_HEADER).read_to_end(&mut text).map_err(Error::io("read", path))?;
    serde_json::from_slice(&text).map_err(|error| Error::file(path, error.to_string()))
}

/// A file, the place of its first weight, and its header, which fits the file.
fn raw_header(path: &Path) -> Result<(File, u64, Metadata)> {
    let (mut file, length) = open(path)?;
    let refuse = |message: String| Error::file(path, message);
    let mut size = [0; 8];
    if length < 8 {
        return Err(refuse(format!("is of {length} bytes, expected a safetensors file")));
    }
    file.read_exact(&mut size).map_err(Error::io("read", path))?;
    let size = u64::from_le_bytes(size);
    if size > MAX_HEADER {
        let message = format!("header is of {size} bytes, expected at most {MAX_HEADER}");
        return Err(refuse(message));
    }
    if size > length - 8 {
        let message = format!("header is of {size} bytes, the file of {length}: it is truncated");
        return Err(refuse(message));
    }
    let mut text = vec![0; size as usize];
    file.read_exact(&mut text).map_err(Error::io("read", path))?;
    // The crate checks that weights follow one another without overlap, and that shapes fit.
    let metadata: Metadata = serde_json::from_slice(&text)
        .map_err(|error| refuse(format!("invalid header: {error}")))?;
    let (start, data) = (8 + size, metadata.data_len() as u64);
    if length - start != data {
        let found = length - start;
        let message = format!("holds {found} bytes of weights, but its header lists {data}");
        return Err(refuse(message));
    }
    Ok((file, start, metadata))
}

/// The weights that a file's header lists, with the bounds of the file.
fn header(path: &Path, index: usize) -> Result<(File, Vec<(String, Entry)>)> {
    let (file, start, metadata) = raw_header(path)?;
    let entry = |(name, info): (String, &safetensors::tensor::TensorInfo)| {
        let encoding = match info.dtype {
            Dtype::F32 => Ok(Encoding::F32),
            Dtype::F16 => Ok(Encoding::F16),
            Dtype::BF16 => Ok(Encoding::BF16),
            other => Err(format!("{other:?}")),
        };
        let first = start + info.data_offsets.0 as u64;
        let shape = info.shape.clone();
        (name, Entry { file: index, shape, encoding, first, interleaved_heads: 0 })
    };
    let entries = metadata.tensors().into_iter().map(entry).collect();
    Ok((file, entries))
}
