//! Weights in safetensors files, one or several.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::f64::consts::TAU;
use std::path::{Path, PathBuf};

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use half::{bf16, f16};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::stream::{Purpose, Stream};

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

/// Where the values of parameters come from.
enum Source<'a> {
    /// Files. Names, shapes and types are checked; values are read only if asked for.
    Files { weights: &'a Weights, is_reading: bool },
    /// The initial values of an untrained model.
    Initial(RefCell<ChaCha8Rng>),
}

/// Makes parameters of weights.
pub(super) struct Loader<'a> {
    source: Source<'a>,
    device: &'a Device,
}

/// Standard deviation of the initial weights, as transformers initialises Llama.
const INITIAL_DEVIATION: f32 = 0.02;

impl<'a> Loader<'a> {
    /// A loader that checks names, shapes and types, and whose parameters are never materialised.
    pub(super) fn checking(weights: &'a Weights, device: &'a Device) -> Self {
        Self { source: Source::Files { weights, is_reading: false }, device }
    }

    /// A loader that reads values.
    pub(super) fn reading(weights: &'a Weights, device: &'a Device) -> Self {
        Self { source: Source::Files { weights, is_reading: true }, device }
    }

    /// A loader that gives initial values: normal with deviation 0.02, norms 1 and biases 0. The seed
    /// determines the weights.
    pub(super) fn initial(seed: u64, device: &'a Device) -> Self {
        let rng = Stream::new(seed, Purpose::Weights).rng();
        Self { source: Source::Initial(RefCell::new(rng)), device }
    }

    /// The weight of a name and shape as a parameter.
    pub(super) fn parameter<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Param<Tensor<D>>> {
        let (weights, is_reading) = match &self.source {
            Source::Files { weights, is_reading } => (weights, *is_reading),
            Source::Initial(rng) => return Ok(self.initial_parameter(name, shape, rng)),
        };
        let (path, bytes) = &weights.files[weights.file_of(name)];
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
        if !is_reading {
            return Ok(Param::from_tensor(Tensor::zeros([1; D], self.device)));
        }
        let values = floats(weight.dtype(), weight.data()).unwrap_or_default();
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            let message = format!("weight '{name}' holds {value}, expected finite values");
            return Err(refuse(message));
        }
        let tensor = Tensor::from_data(TensorData::new(values, shape), self.device);
        Ok(Param::from_tensor(tensor))
    }

    fn initial_parameter<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        rng: &RefCell<ChaCha8Rng>,
    ) -> Param<Tensor<D>> {
        let count = shape.iter().product();
        let values = match name {
            name if name.ends_with("norm.weight") => vec![1.0; count],
            name if name.ends_with(".bias") => vec![0.0; count],
            _ => {
                let mut rng = rng.borrow_mut();
                (0..count).map(|_| INITIAL_DEVIATION * normal(&mut rng)).collect()
            }
        };
        Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), self.device))
    }
}

/// A number of the standard normal distribution, by the Box-Muller transform.
fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let (radius, angle): (f64, f64) = (rng.random(), rng.random());
    ((-2.0 * (1.0 - radius).ln()).sqrt() * (TAU * angle).cos()) as f32
}

/// The values of a weight's little-endian bytes; `None` for a type that is not supported.
pub(super) fn floats(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    Some(match dtype {
        Dtype::F32 => bytes.as_chunks().0.iter().map(|&one| f32::from_le_bytes(one)).collect(),
        Dtype::F16 => {
            bytes.as_chunks().0.iter().map(|&one| f16::from_le_bytes(one).to_f32()).collect()
        }
        Dtype::BF16 => {
            bytes.as_chunks().0.iter().map(|&one| bf16::from_le_bytes(one).to_f32()).collect()
        }
        _ => return None,
    })
}
