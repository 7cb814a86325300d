//! The state of a training: written now and then, and read to go on with it.
//!
//! `state.safetensors` holds each trained weight as `weight.NAME` and its moments as `first.NAME` and
//! `second.NAME`, in 32-bit floats. Its metadata has one entry, `proxmo`: the steps done, and what the
//! training was started with. The order of the sequences follows from the seed and the step, so a training
//! that goes on from its state ends as one that was not interrupted, on the CPU with the same bytes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::fit::Fitter;
use super::fit_config::FitConfig;
use super::lora::LoraConfig;
use super::model::Decoder;
use super::save::{Stored, StoredType, write_with};
use super::sequence::Sequence;
use super::weights::Weights;
use crate::device::read;
use crate::error::{Error, Result};
use crate::files::{hexadecimal, write_atomic_by};
use crate::settings;

/// Version of the format. A state of another version is refused.
const VERSION: u32 = 1;

/// Name of the file in its folder.
const STATE: &str = "state.safetensors";

/// Name of the entry of the metadata.
const ENTRY: &str = "proxmo";

/// What a training starts with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitStart {
    /// SHA-256 of the model's weights.
    model: String,
    /// SHA-256 of the sequences.
    sequences: String,
    fit: FitConfig,
    lora: LoraConfig,
}

impl FitStart {
    /// The start from `model`, before a new adapter is added to it.
    ///
    /// # Errors
    /// Fails if the device does.
    pub fn of(
        model: &Decoder,
        sequences: &[Sequence],
        fit: &FitConfig,
        lora: &LoraConfig,
    ) -> Result<Self> {
        let config = model.config().to_json(StoredType::F32.name());
        let mut digest = Sum { sum: Sha256::new_with_prefix(config.to_string()), failed: None };
        model.valid().visit(&mut digest);
        match digest.failed {
            Some(error) => Err(error),
            None => Ok(Self {
                model: hexadecimal(&digest.sum.finalize()),
                sequences: sum_of(sequences),
                fit: fit.clone(),
                lora: lora.clone(),
            }),
        }
    }

    /// The settings of fitting and of a new adapter.
    pub fn settings(&self) -> (&FitConfig, &LoraConfig) {
        (&self.fit, &self.lora)
    }

    /// Checks that a training goes on with what it was started with. Only the number of steps may differ.
    fn expect(&self, other: &Self) -> Result<()> {
        for (name, own, other) in [
            ("the model's weights", &self.model, &other.model),
            ("the input's sequences", &self.sequences, &other.sequences),
        ] {
            if own != other {
                let message = format!("{name} are not those that it was started with");
                return Err(Error::input("training state", message));
            }
        }
        let steps = FitConfig { steps: self.fit.steps, ..other.fit.clone() };
        differs("fit", &self.fit, &steps)?;
        differs("lora", &self.lora, &other.lora)
    }
}

/// Refuses the first setting of a section that differs.
fn differs<T: Serialize>(section: &str, expected: &T, found: &T) -> Result<()> {
    let table = |config: &T| {
        toml::Table::try_from(config).map_err(|error| Error::setting(section, error.to_string()))
    };
    let found = table(found)?;
    let mut other =
        table(expected)?.into_iter().filter(|(key, value)| found.get(key) != Some(value));
    match other.next() {
        None => Ok(()),
        Some((key, value)) => {
            let now = found.get(&key).map(ToString::to_string).unwrap_or_default();
            let message = format!("is {now}, but the training was started with {value}");
            Err(Error::setting(format!("{section}.{key}"), message))
        }
    }
}

/// The entry of the metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    done: u64,
    steps: u64,
    start: FitStart,
}

/// The state of a training in a file. No weight has been read.
#[derive(Debug)]
pub struct FitState {
    path: PathBuf,
    weights: Weights,
    header: Header,
}

impl FitState {
    /// Opens the state in a folder. `None` if there is none.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or is no state of this version.
    pub fn open(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(STATE);
        if !path.exists() {
            return Ok(None);
        }
        let refuse = |message: String| Error::file(&path, message);
        let (weights, metadata) = Weights::with_metadata(&path)?;
        let entry = metadata.get(ENTRY).ok_or_else(|| refuse("is no training state".into()))?;
        expect_version(entry).map_err(refuse)?;
        let header: Header = toml::from_str(entry)
            .map_err(|error| refuse(format!("metadata: {}", error.message())))?;
        settings::check(&header.start.fit, "fit")
            .and_then(|()| settings::check(&header.start.lora, "lora"))
            .map_err(|error| refuse(error.to_string()))?;
        Ok(Some(Self { path, weights, header }))
    }

    /// What the training was started with.
    pub fn start(&self) -> &FitStart {
        &self.header.start
    }

    /// Number of steps done.
    pub fn done(&self) -> u64 {
        self.header.done
    }

    /// Number of steps that the training was to take, over which its schedule extends.
    pub fn steps(&self) -> u64 {
        self.header.steps
    }

    /// The numbers of a tensor, on the device of `like` with its shape.
    fn tensor<const D: usize>(&self, name: &str, like: &Tensor<D>) -> Result<Tensor<D>> {
        let shape = like.dims();
        let (entry, encoding) = self.weights.entry(name, &shape)?;
        let values = self.weights.read(name, entry, encoding, 0..shape[0])?;
        Ok(Tensor::from_data(TensorData::new(values, shape), &like.device()))
    }
}

fn expect_version(entry: &str) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    match toml::from_str::<Versioned>(entry) {
        Ok(found) if found.version != VERSION => Err(format!(
            "is a training state of version {}, this program reads version {VERSION}",
            found.version
        )),
        _ => Ok(()),
    }
}

impl Fitter {
    /// Writes the state into a folder, atomically. It replaces the folder's earlier state.
    ///
    /// # Errors
    /// Fails if no step was taken, a weight or a moment is not finite, or the device or the file system
    /// fails.
    pub fn save_state(&self, folder: &Path, start: &FitStart) -> Result<()> {
        if self.done == 0 {
            return Err(Error::input("training state", "no step was taken, expected at least one"));
        }
        let header =
            Header { version: VERSION, done: self.done, steps: self.steps, start: start.clone() };
        let path = folder.join(STATE);
        let entry =
            toml::to_string(&header).map_err(|error| Error::file(&path, error.to_string()))?;
        let mut trained = Trained { path: Vec::new(), weights: Vec::new() };
        self.current().valid().visit(&mut trained);
        let mut stored = Vec::new();
        for (name, weight) in trained.weights {
            if let Some([first, second]) = self.moments.get(&name) {
                stored.push(weight);
                stored.push(Stored::new(format!("first.{name}"), first.clone()));
                stored.push(Stored::new(format!("second.{name}"), second.clone()));
            }
        }
        write_atomic_by(&path, |path| write_with(path, stored, StoredType::F32, (ENTRY, &entry)))
    }

    /// The fitter of a training that goes on from its state. `model` and `start` are those that it was
    /// started with, `model` with a new adapter if there is one.
    ///
    /// # Errors
    /// Fails if the model, the sequences or a setting but the number of steps is another one, or the state
    /// does not fit the model or cannot be read.
    pub fn resume(model: Decoder, state: &FitState, start: &FitStart) -> Result<Self> {
        state.start().expect(start)?;
        let mut fitter = Self::new(model, &start.fit, state.steps())?;
        let mut load = Load { path: Vec::new(), state, moments: BTreeMap::new(), failed: None };
        fitter.model = fitter.model.take().map(|model| model.map(&mut load));
        if let Some(error) = load.failed {
            return Err(error);
        }
        fitter.moments = load.moments;
        fitter.done = state.done();
        let (found, expected) = (state.weights.names().count(), 3 * fitter.moments.len());
        if found != expected {
            let message = format!("holds {found} tensors, expected {expected} for this model");
            return Err(Error::file(&state.path, message));
        }
        Ok(fitter)
    }
}

/// Collects all weights by their names, to be stored.
struct Trained {
    path: Vec<String>,
    weights: Vec<(String, Stored)>,
}

impl ModuleVisitor for Trained {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.join(".");
        let stored = Stored::new(format!("weight.{name}"), param.val());
        self.weights.push((name, stored));
    }
}

/// Replaces the trained weights of a model by those of a state, and reads their moments.
struct Load<'a> {
    path: Vec<String>,
    state: &'a FitState,
    moments: BTreeMap<String, [Tensor<1>; 2]>,
    /// The first error. The trait has no other way for it.
    failed: Option<Error>,
}

impl Load<'_> {
    fn load<const D: usize>(&mut self, name: &str, weight: &Tensor<D>) -> Result<Tensor<D>> {
        let loaded = self.state.tensor(&format!("weight.{name}"), weight)?;
        let count = weight.shape().num_elements();
        let vector = weight.clone().inner().reshape([count]);
        let first = self.state.tensor(&format!("first.{name}"), &vector)?;
        let second = self.state.tensor(&format!("second.{name}"), &vector)?;
        self.moments.insert(name.to_string(), [first, second]);
        Ok(loaded)
    }
}

impl ModuleMapper for Load<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !param.is_require_grad() || self.failed.is_some() {
            return param;
        }
        let name = self.path.join(".");
        let (id, weight, mapper) = param.consume();
        let weight = match self.load(&name, &weight) {
            Ok(loaded) => loaded.require_grad(),
            Err(error) => {
                self.failed = Some(error);
                weight
            }
        };
        Param::from_mapped_value(id, weight, mapper)
    }
}

/// The checksum of weights, in the model's order.
struct Sum {
    sum: Sha256,
    failed: Option<Error>,
}

impl ModuleVisitor for Sum {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.failed.is_some() {
            return;
        }
        match read(param.val()) {
            Ok(values) => values.chunks(4096).for_each(|values| {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                self.sum.update(bytes);
            }),
            Err(error) => self.failed = Some(error),
        }
    }
}

/// The checksum of sequences.
fn sum_of(sequences: &[Sequence]) -> String {
    let mut sum = Sha256::new();
    for sequence in sequences {
        sum.update((sequence.ids().len() as u64).to_le_bytes());
        sequence.ids().iter().for_each(|id| sum.update(id.to_le_bytes()));
        sequence.mask().iter().for_each(|&counts| sum.update([u8::from(counts)]));
    }
    hexadecimal(&sum.finalize())
}
