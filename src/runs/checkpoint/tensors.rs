//! Conversion between tensors and the bytes of a checkpoint's files.
//!
//! A file with the right checksum may still come from an untrusted source. burn panics if a tensor has
//! an unexpected type or an optimizer's state does not match the shapes of its parameters, so both are
//! checked before burn reads the file.

use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::store::{ModuleSnapshot, ModuleStore, SafetensorsStore};
use burn::tensor::{Bytes, DType, Device, Tensor};

use super::files::OPTIMIZER;
use super::manifest::Manifest;
use crate::device::read;
use crate::error::{Error, Result};
use crate::optimizer;
use crate::policy::Policy;

pub(super) fn weights_bytes<P: Policy>(policy: &P, folder: &Path) -> Result<Vec<u8>> {
    let names = Parameters::of(policy).all.into_iter().map(|parameter| parameter.name);
    let refuse = |error: &dyn std::fmt::Display| Error::file(folder, one_line(error));
    // One metadata entry only: the store writes several in an order that changes from run to run, and
    // equal weights must give equal bytes.
    let mut store = SafetensorsStore::from_bytes(None)
        .clear_metadata()
        .metadata("format", "safetensors")
        .with_full_paths(names.filter(|name| policy.is_stored(name)));
    policy.save_into(&mut store).map_err(|error| refuse(&error))?;
    Ok(store.get_bytes().map_err(|error| refuse(&error))?.to_vec())
}

/// Loads all weights that checkpoints hold.
pub(super) fn load_into<P: Policy>(policy: P, checkpoint: &Path, name: &str) -> Result<P> {
    load_some_into(policy, checkpoint, name, &P::is_stored)
}

/// Loads the weights for which `is_there` holds, neither more nor less.
pub(super) fn load_some_into<P: Policy>(
    mut policy: P,
    checkpoint: &Path,
    name: &str,
    is_there: &dyn Fn(&P, &str) -> bool,
) -> Result<P> {
    let path = &checkpoint.join(name);
    let bytes = Manifest::open(checkpoint)?.read(checkpoint, name)?;
    let mut store = SafetensorsStore::from_bytes(Some(bytes)).validate(false).allow_partial(true);
    let tensors = store.get_all_tensors().map_err(|error| Error::file(path, one_line(&error)))?;
    let parameters = Parameters::of(&policy);
    for tensor in tensors.values() {
        // Checked before any tensor is read, because the store scans the whole header for each.
        let is_known = parameters.all.iter().any(|parameter| parameter.name == tensor.name);
        if !is_known || !is_there(&policy, &tensor.name) {
            let message = format!("weight '{}' is unknown to this policy", tensor.name);
            return Err(Error::file(path, message));
        }
    }
    for tensor in tensors.values() {
        let bytes = tensor.to_bytes().map_err(|error| Error::file(path, one_line(&error)))?;
        expect_finite_floats(tensor.dtype, &bytes)
            .map_err(|message| Error::file(path, format!("weight '{}' {message}", tensor.name)))?;
    }
    let result =
        policy.load_from(&mut store).map_err(|error| Error::file(path, one_line(&error)))?;
    if let Some(error) = result.errors.first() {
        return Err(Error::file(path, one_line(error)));
    }
    if let Some((missing, _)) = result.missing.iter().find(|(name, _)| is_there(&policy, name)) {
        return Err(Error::file(path, format!("weight '{missing}' is missing")));
    }
    Ok(policy)
}

/// Checks that a tensor holds finite 32-bit floats, or describes what it holds.
fn expect_finite_floats(dtype: DType, bytes: &[u8]) -> Result<(), String> {
    if dtype != DType::F32 {
        return Err(format!("is of type {dtype:?}, expected F32"));
    }
    let mut values = bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
    match values.find(|value| !value.is_finite()) {
        None => Ok(()),
        Some(value) => Err(format!("holds {value}, expected finite values")),
    }
}

fn one_line(error: &dyn std::fmt::Display) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Serializes an optimizer's state. burn writes tensors in an order that changes from process to process;
/// this sorts them by name.
pub(super) fn optimizer_bytes(optimizer: &ModuleOptimizer, folder: &Path) -> Result<Vec<u8>> {
    let refuse =
        |error: &dyn std::fmt::Display| Error::file(&folder.join(OPTIMIZER), one_line(error));
    let bytes = optimizer.into_bytes().map_err(|error| refuse(&error))?;
    let reader = burn_pack::Reader::from_bytes(bytes).map_err(|error| refuse(&error))?;
    let (scalars, metadata) = (reader.scalars().clone(), reader.metadata().clone());
    let tensors = reader.into_tensors().map_err(|error| refuse(&error))?;
    let mut writer = burn_pack::Writer::new(tensors);
    for (key, value) in scalars {
        writer = writer.with_scalar(&key, value);
    }
    for (key, value) in &metadata {
        writer = writer.with_metadata(key, value);
    }
    Ok(writer.into_bytes().map_err(|error| refuse(&error))?.to_vec())
}

/// An optimizer with a checkpoint's state of the parameters of `policy`.
pub(super) fn load_optimizer<P: Module>(
    optimizer: &ModuleOptimizer,
    policy: &P,
    device: &Device,
    checkpoint: &Path,
) -> Result<ModuleOptimizer> {
    let path = checkpoint.join(OPTIMIZER);
    let refuse = |message: String| Error::file(&path, message);
    let bytes = Manifest::open(checkpoint)?.read(checkpoint, OPTIMIZER)?;
    let bytes = Bytes::from_bytes_vec(bytes).shared();
    expect_state_of(policy, bytes.clone()).map_err(refuse)?;
    let record = OptimizerRecord::from_bytes(bytes).map_err(|error| refuse(one_line(&error)))?;
    let expected = record.len();
    let optimizer = optimizer::load(optimizer.clone(), record, device);
    // burn skips tensors that do not fit, without an error.
    let found = optimizer.to_record().len();
    if found != expected {
        return Err(refuse(format!("{found} of its {expected} tensors fit this optimizer")));
    }
    Ok(optimizer)
}

/// Checks that an optimizer's state belongs to a policy's parameters, or describes the mismatch.
fn expect_state_of<P: Module>(policy: &P, bytes: Bytes) -> Result<(), String> {
    let parameters = Parameters::of(policy).all;
    let shape_of = |name: &str| -> Result<&[usize], String> {
        let number: Option<u64> = name.split_once('.').and_then(|(number, _)| number.parse().ok());
        let parameter = parameters.iter().find(|parameter| Some(parameter.number) == number);
        let shape = parameter.map(|parameter| parameter.shape.as_slice());
        shape.ok_or_else(|| format!("{name:?} does not belong to a parameter of the policy"))
    };
    let reader = burn_pack::Reader::from_bytes(bytes).map_err(|error| one_line(&error))?;
    for (name, &value) in reader.scalars() {
        let shape = shape_of(name)?;
        let fits = match usize::try_from(value) {
            Ok(rank) if name.ends_with(".__rank") => rank == shape.len(),
            Ok(time) if name.ends_with(".time") => i32::try_from(time).is_ok(),
            _ => false,
        };
        if !fits {
            return Err(format!("{name:?} is {value:?}, which is out of range"));
        }
    }
    for tensor in reader.into_tensors().map_err(|error| one_line(&error))? {
        let (name, dtype, shape, parameter, bytes) =
            tensor.into_parts().map_err(|error| one_line(&error))?;
        let expected = shape_of(&name)?;
        if !parameter.is_some_and(|number| name.starts_with(&format!("{number}."))) {
            return Err(format!("{name:?} names parameter {parameter:?}"));
        }
        if *shape != *expected {
            return Err(format!("{name:?} has the shape {shape:?}, expected {expected:?}"));
        }
        expect_finite_floats(dtype, &bytes).map_err(|message| format!("{name:?} {message}"))?;
    }
    Ok(())
}

/// Name, number and shape of one weight of a policy.
struct Parameter {
    name: String,
    number: u64,
    shape: Vec<usize>,
}

/// All of a policy's parameters.
#[derive(Default)]
struct Parameters {
    path: Vec<String>,
    all: Vec<Parameter>,
}

impl Parameters {
    fn of<P: Module>(policy: &P) -> Self {
        let mut parameters = Self::default();
        policy.visit(&mut parameters);
        parameters
    }
}

impl ModuleVisitor for Parameters {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let (name, number) = (self.path.join("."), param.id.val());
        self.all.push(Parameter { name, number, shape: param.val().dims().to_vec() });
    }
}

/// Refuses NaN or infinite weights, because training could not resume from such a checkpoint.
pub(super) fn expect_finite<P: Module>(policy: &P) -> Result<()> {
    let mut zeros = Zeros(Vec::new());
    policy.visit(&mut zeros);
    if zeros.0.is_empty() {
        return Ok(());
    }
    let values = read(Tensor::cat(zeros.0, 0))?;
    let parameters = Parameters::of(policy).all;
    match values.iter().zip(&parameters).find(|(value, _)| !value.is_finite()) {
        None => Ok(()),
        Some((_, Parameter { name, .. })) => Err(Error::Run(format!(
            "weight '{name}' holds a NaN or infinite value, so no checkpoint is written; resume \
             from the last checkpoint with a lower update.learning_rate"
        ))),
    }
}

/// For each parameter, 0 if all its values are finite, else NaN.
struct Zeros(Vec<Tensor<1>>);

impl ModuleVisitor for Zeros {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.val().mul_scalar(0.0).sum());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::scorer::ScorerConfig;

    #[test]
    fn a_nan_or_infinite_weight_is_named() {
        let config =
            ScorerConfig { embedding: 4, hidden: 4, max_words: 10, mentions: false }.network(20);
        let network = config.init(0, &burn::tensor::Device::flex());
        expect_finite(&network).unwrap();
        let broken = network.map(&mut Break);
        let error = expect_finite(&broken).unwrap_err();
        assert!(error.to_string().contains("weight 'state_bias'"), "{error}");
        assert_eq!(error.exit_code(), 1);
    }

    /// Makes the bias of states infinite.
    struct Break;

    impl burn::module::ModuleMapper for Break {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            // The eighth parameter, as the network numbers them.
            if param.id.val() != 8 {
                return param;
            }
            param.map(|tensor| tensor.add_scalar(f32::INFINITY))
        }
    }
}
