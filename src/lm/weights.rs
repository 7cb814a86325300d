//! Weights in safetensors files, one or several.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use crate::error::{Error, Result};

/// The index of a sharded model: the file of each weight.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The bytes of a model's weight files.
#[derive(Debug)]
pub struct Weights {
    files: Vec<(PathBuf, Vec<u8>)>,
    /// For a sharded model, the file of each weight as an index into `files`.
    shards: Option<BTreeMap<String, usize>>,
}

impl Weights {
    /// Reads `model.safetensors` of a folder, or the files that `model.safetensors.index.json` names.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read, or the index is invalid or names a file that is not
    /// there.
    pub fn open(folder: &Path) -> Result<Self> {
        let index_path = folder.join("model.safetensors.index.json");
        let single = folder.join("model.safetensors");
        if single.exists() || !index_path.exists() {
            let bytes = std::fs::read(&single).map_err(Error::io("read", &single))?;
            return Ok(Self { files: vec![(single, bytes)], shards: None });
        }
        let text = std::fs::read(&index_path).map_err(Error::io("read", &index_path))?;
        let index: Index = serde_json::from_slice(&text)
            .map_err(|error| Error::file(&index_path, error.to_string()))?;
        let names: BTreeSet<&String> = index.weight_map.values().collect();
        let mut files = Vec::with_capacity(names.len());
        for name in &names {
            let path = folder.join(name);
            // A shard lies beside its index; a name with folders could reach any file.
            if Path::new(name).file_name().is_none_or(|own| own != name.as_str()) {
                return Err(Error::file(&index_path, format!("'{name}' is not a file name")));
            }
            if !path.exists() {
                return Err(Error::file(&index_path, format!("shard '{name}' does not exist")));
            }
            let bytes = std::fs::read(&path).map_err(Error::io("read", &path))?;
            files.push((path, bytes));
        }
        let place: BTreeMap<&String, usize> =
            names.iter().enumerate().map(|(place, &name)| (name, place)).collect();
        let shards = index.weight_map.iter().map(|(weight, file)| (weight.clone(), place[file]));
        Ok(Self { shards: Some(shards.collect()), files })
    }

    /// The file that should hold a weight.
    fn file_of(&self, name: &str) -> usize {
        self.shards.as_ref().and_then(|shards| shards.get(name)).copied().unwrap_or(0)
    }
}

/// Makes parameters of weights.
pub(super) struct Loader<'a> {
    weights: &'a Weights,
    device: &'a Device,
    is_reading: bool,
}

impl<'a> Loader<'a> {
    /// A loader that checks names, shapes and types, and whose parameters are never materialised.
    pub(super) fn checking(weights: &'a Weights, device: &'a Device) -> Self {
        Self { weights, device, is_reading: false }
    }

    /// A loader that reads values.
    pub(super) fn reading(weights: &'a Weights, device: &'a Device) -> Self {
        Self { weights, device, is_reading: true }
    }

    /// The weight of a name and shape as a parameter.
    pub(super) fn parameter<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Param<Tensor<D>>> {
        let (path, bytes) = &self.weights.files[self.weights.file_of(name)];
        let refuse = |message: String| Error::file(path, message);
        let file = SafeTensors::deserialize(bytes).map_err(|error| refuse(error.to_string()))?;
        let weight =
            file.tensor(name).map_err(|_| refuse(format!("weight '{name}' is missing")))?;
        if weight.shape() != shape {
            let found = weight.shape();
            let message = format!("weight '{name}' has shape {found:?}, expected {shape:?}");
            return Err(refuse(message));
        }
        if !matches!(weight.dtype(), Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            let found = weight.dtype();
            let message =
                format!("weight '{name}' is of type {found:?}, expected F32, F16 or BF16");
            return Err(refuse(message));
        }
        if !self.is_reading {
            return Ok(Param::from_tensor(Tensor::zeros([1; D], self.device)));
        }
        let values = floats(weight.dtype(), weight.data());
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            let message = format!("weight '{name}' holds {value}, expected finite values");
            return Err(refuse(message));
        }
        let tensor = Tensor::from_data(TensorData::new(values, shape), self.device);
        Ok(Param::from_tensor(tensor))
    }
}

/// The values of a weight's little-endian bytes.
fn floats(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
    match dtype {
        Dtype::F16 => {
            bytes.as_chunks().0.iter().map(|&one| f16::from_le_bytes(one).to_f32()).collect()
        }
        Dtype::BF16 => {
            bytes.as_chunks().0.iter().map(|&one| bf16::from_le_bytes(one).to_f32()).collect()
        }
        _ => bytes.as_chunks().0.iter().map(|&one| f32::from_le_bytes(one)).collect(),
    }
}
