//! A model in the layout of Hugging Face, written to a folder.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use half::{bf16, f16};
use safetensors::tensor::{View, serialize_to_file};
use serde_json::{Value, json};

use super::gguf;
use super::model::Decoder;
use crate::device::read;
use crate::error::{Error, Result};
use crate::files::write_new;

/// Files that describe a model beside its weights. They are copied with it, if they exist.
const COMPANIONS: [&str; 7] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "generation_config.json",
    "vocab.json",
    "merges.txt",
];

/// The type of stored weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoredType {
    /// 32-bit floats.
    #[default]
    F32,
    /// 16-bit floats with 8 bits of exponent (bfloat16).
    Bf16,
    /// 16-bit floats with 5 bits of exponent (IEEE 754 binary16).
    F16,
}

impl StoredType {
    /// Every type with the name that users give it.
    pub const NAMES: [(&'static str, Self); 3] =
        [("f32", Self::F32), ("bf16", Self::Bf16), ("f16", Self::F16)];

    /// The name in `config.json`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::Bf16 => "bfloat16",
            Self::F16 => "float16",
        }
    }

    /// Bytes of a number.
    fn size(self) -> usize {
        if self == Self::F32 { 4 } else { 2 }
    }

    fn bytes(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Bf16 => {
                values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect()
            }
            Self::F16 => {
                values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect()
            }
        }
    }

    /// Whether a number is finite and stays so in this type.
    fn holds(self, value: f32) -> bool {
        match self {
            Self::F32 => value.is_finite(),
            Self::Bf16 => bf16::from_f32(value).is_finite(),
            Self::F16 => f16::from_f32(value).is_finite(),
        }
    }
}

/// How a model is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SaveOptions {
    /// The type of the weights.
    pub stored: StoredType,
    /// Bytes of weights in a file. More are sharded over several files and an index. A larger weight has
    /// a file of its own.
    pub shard_bytes: u64,
}

impl Default for SaveOptions {
    /// 32-bit floats, and files of 5 GB, as transformers has them.
    fn default() -> Self {
        Self { stored: StoredType::F32, shard_bytes: 5_000_000_000 }
    }
}

/// Writes a model with 32-bit floats into an existing folder, as [`save_as`] does.
///
/// # Errors
/// As [`save_as`].
pub fn save(model: &Decoder, folder: &Path, source: Option<&Path>) -> Result<()> {
    save_as(model, folder, source, &SaveOptions::default())
}

/// Writes a model's `config.json` and weights into an existing folder. `config.json` and the tokenizer's
/// files come from `source`, a folder or a GGUF file, if one is given. An adapter is not written.
///
/// # Errors
/// Fails if a weight is not finite or out of range of the stored type, or the device or the file system
/// fails. Part of the files may then exist.
pub fn save_as(
    model: &Decoder,
    folder: &Path,
    source: Option<&Path>,
    options: &SaveOptions,
) -> Result<()> {
    let config = match source {
        Some(source) if source.is_dir() => of_source(source, options.stored.name())?,
        _ => model.config().to_json(options.stored.name()),
    };
    let mut weights = Visitor { path: Vec::new(), weights: Vec::new() };
    model.visit(&mut weights);
    write_weights(weights.weights, folder, options)?;
    for (name, bytes) in source.map(companions).transpose()?.unwrap_or_default() {
        write_new(&folder.join(name), &bytes)?;
    }
    write_new(&folder.join("config.json"), format!("{config:#}\n").as_bytes())
}

/// The files that describe a model beside its weights, with their names: those of a folder, or made of a
/// GGUF file.
fn companions(source: &Path) -> Result<Vec<(&'static str, Vec<u8>)>> {
    if source.is_file() {
        let files = gguf::companions(source)?;
        return Ok(files.into_iter().map(|(name, text)| (name, text.into_bytes())).collect());
    }
    let mut files = Vec::new();
    for name in COMPANIONS {
        let from = source.join(name);
        if from.exists() {
            files.push((name, fs::read(&from).map_err(Error::io("read", &from))?));
        }
    }
    Ok(files)
}

/// Writes weights into one file, or into several with an index.
fn write_weights(weights: Vec<Stored>, folder: &Path, options: &SaveOptions) -> Result<()> {
    let size = |weight: &Stored| (weight.count() * options.stored.size()) as u64;
    let total: u64 = weights.iter().map(size).sum();
    if total <= options.shard_bytes {
        return write_as(&folder.join("model.safetensors"), weights, options.stored);
    }
    let mut shards: Vec<(u64, Vec<Stored>)> = Vec::new();
    for weight in weights {
        let own = size(&weight);
        match shards.last_mut() {
            Some((bytes, shard)) if *bytes + own <= options.shard_bytes => {
                *bytes += own;
                shard.push(weight);
            }
            _ => shards.push((own, vec![weight])),
        }
    }
    let count = shards.len();
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for (index, (_, shard)) in shards.into_iter().enumerate() {
        let file = format!("model-{:05}-of-{count:05}.safetensors", index + 1);
        files.extend(shard.iter().map(|weight| (weight.name.clone(), file.clone())));
        write_as(&folder.join(&file), shard, options.stored)?;
    }
    let index = json!({ "metadata": { "total_size": total }, "weight_map": files });
    write_new(&folder.join("model.safetensors.index.json"), format!("{index:#}\n").as_bytes())
}

/// The `config.json` of a folder, for weights of a type.
fn of_source(source: &Path, dtype: &str) -> Result<Value> {
    let path = source.join("config.json");
    let text = fs::read(&path).map_err(Error::io("read", &path))?;
    let config = serde_json::from_slice(&text);
    let mut config: Value = config.map_err(|error| Error::file(&path, error.to_string()))?;
    for member in ["dtype", "torch_dtype"] {
        if let Some(stored) = config.get_mut(member) {
            *stored = json!(dtype);
        }
    }
    Ok(config)
}

/// A weight to be stored. Its values are read from the device when they are written.
pub(super) struct Stored {
    /// Its name, as Hugging Face or PEFT has it.
    name: String,
    shape: Vec<usize>,
    /// Its values, of a table in parts those of each part.
    values: Vec<Tensor<1>>,
}

impl Stored {
    pub(super) fn new<const D: usize>(name: String, tensor: Tensor<D>) -> Self {
        let shape = tensor.dims().to_vec();
        let count = shape.iter().product::<usize>();
        Self { name, shape, values: vec![tensor.reshape([count])] }
    }

    /// Adds further rows.
    fn append<const D: usize>(&mut self, rows: Tensor<D>) {
        let shape = rows.dims();
        self.shape[0] += shape[0];
        self.values.push(rows.reshape([shape.iter().product::<usize>()]));
    }

    fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Writes weights with 32-bit floats to a file that no other process reads yet.
///
/// # Errors
/// Fails if a weight is not finite, or the device or the file system fails.
pub(super) fn write_safetensors(path: &Path, weights: Vec<Stored>) -> Result<()> {
    write_as(path, weights, StoredType::F32)
}

fn write_as(path: &Path, weights: Vec<Stored>, stored: StoredType) -> Result<()> {
    // transformers refuses files without it.
    write_with(path, weights, stored, ("format", "pt"))
}

/// Writes weights and one entry of metadata. Several would be in an order that changes.
///
/// # Errors
/// As [`write_safetensors`].
pub(super) fn write_with(
    path: &Path,
    weights: Vec<Stored>,
    stored: StoredType,
    (key, value): (&str, &str),
) -> Result<()> {
    // The library renames a file that only its owner can read.
    let ordinary = File::create(path).and_then(|file| file.metadata());
    let ordinary = ordinary.map_err(Error::io("create", path))?.permissions();
    let failed = RefCell::new(None);
    let views =
        weights.iter().map(|weight| (&weight.name, Lazy { weight, stored, failed: &failed }));
    let metadata = HashMap::from([(key.to_string(), value.to_string())]);
    let written = serialize_to_file(views, Some(metadata), path);
    if let Some(error) = failed.into_inner() {
        return Err(error);
    }
    written.map_err(|error| match error {
        safetensors::SafeTensorError::IoError(error) => Error::io("write", path)(error),
        error => Error::Run(format!("cannot write {}: {error}", path.display())),
    })?;
    let file = File::options().append(true).open(path).map_err(Error::io("open", path))?;
    file.set_permissions(ordinary).and_then(|()| file.sync_all()).map_err(Error::io("sync", path))
}

/// A weight whose bytes are made when they are asked for, so that no second copy of all weights exists.
struct Lazy<'a> {
    weight: &'a Stored,
    stored: StoredType,
    /// The first error. The trait has no other way for it.
    failed: &'a RefCell<Option<Error>>,
}

impl Lazy<'_> {
    fn bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.data_len());
        for part in &self.weight.values {
            let values = read(part.clone())?;
            if let Some(value) = values.iter().find(|&&value| !self.stored.holds(value)) {
                let (name, kind) = (&self.weight.name, self.stored.name());
                return Err(Error::Run(format!(
                    "weight '{name}' holds {value}, expected finite {kind} values"
                )));
            }
            bytes.extend(self.stored.bytes(&values));
        }
        Ok(bytes)
    }
}

impl View for Lazy<'_> {
    fn dtype(&self) -> safetensors::Dtype {
        match self.stored {
            StoredType::F32 => safetensors::Dtype::F32,
            StoredType::Bf16 => safetensors::Dtype::BF16,
            StoredType::F16 => safetensors::Dtype::F16,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.weight.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let zeros = || vec![0; self.data_len()];
        if self.failed.borrow().is_some() {
            return zeros().into();
        }
        let bytes = self.bytes().unwrap_or_else(|error| {
            self.failed.replace(Some(error));
            zeros()
        });
        bytes.into()
    }

    fn data_len(&self) -> usize {
        self.weight.count() * self.stored.size()
    }
}

/// Collects the weights of a model but those of an adapter. The fields of its modules carry the names of
/// Hugging Face.
struct Visitor {
    path: Vec<String>,
    weights: Vec<Stored>,
}

impl ModuleVisitor for Visitor {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.path.iter().any(|part| part == "lora") {
            return;
        }
        let path = self.path.join(".");
        let name = match path.split_once(".parts.") {
            Some(("lm_head", _)) => "lm_head.weight".to_string(),
            Some((table, _)) => format!("model.{table}.weight"),
            None => format!("model.{path}"),
        };
        match self.weights.last_mut() {
            // The parts of a table follow one another.
            Some(last) if last.name == name => last.append(param.val()),
            // Matrices beside tables are those of linear maps, which hold the transpose.
            _ if D == 2 && !path.contains(".parts.") => {
                self.weights.push(Stored::new(name, param.val().swap_dims(0, 1)));
            }
            _ => self.weights.push(Stored::new(name, param.val())),
        }
    }
}
