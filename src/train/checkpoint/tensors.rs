//! Tensors as the bytes of a checkpoint's files, and back.

use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::store::{ModuleSnapshot, SafetensorsStore};
use burn::tensor::{Bytes, Device, Tensor};

use super::OPTIMIZER;
use super::manifest::Manifest;
use crate::device::read;
use crate::error::{Error, Result};
use crate::train::optimizer;

pub(super) fn weights_bytes<P: Module>(policy: &P, folder: &Path) -> Result<Vec<u8>> {
    let refuse = |error: &dyn std::fmt::Display| Error::file(folder, one_line(error));
    // One metadata entry: the store writes several in an order that changes from run to run, and the
    // same weights are to give the same bytes.
    let mut store =
        SafetensorsStore::from_bytes(None).clear_metadata().metadata("format", "safetensors");
    policy.save_into(&mut store).map_err(|error| refuse(&error))?;
    Ok(store.get_bytes().map_err(|error| refuse(&error))?.to_vec())
}

pub(super) fn load_into<P: Module>(mut policy: P, checkpoint: &Path, name: &str) -> Result<P> {
    let path = &checkpoint.join(name);
    let bytes = Manifest::open(checkpoint)?.read(checkpoint, name)?;
    let mut store = SafetensorsStore::from_bytes(Some(bytes)).validate(false).allow_partial(true);
    let result =
        policy.load_from(&mut store).map_err(|error| Error::file(path, one_line(&error)))?;
    if let Some(error) = result.errors.first() {
        return Err(Error::file(path, one_line(error)));
    }
    if let Some((missing, _)) = result.missing.first() {
        return Err(Error::file(path, format!("weight '{missing}' is missing")));
    }
    if let Some(unused) = result.unused.first() {
        return Err(Error::file(path, format!("weight '{unused}' has no place in this policy")));
    }
    Ok(policy)
}

fn one_line(error: &dyn std::fmt::Display) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An optimizer's state. burn writes its tensors in an order that changes from process to process; here
/// they stand in the order of their names.
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

pub(super) fn load_optimizer(
    optimizer: &ModuleOptimizer,
    device: &Device,
    checkpoint: &Path,
) -> Result<ModuleOptimizer> {
    let path = checkpoint.join(OPTIMIZER);
    let bytes = Manifest::open(checkpoint)?.read(checkpoint, OPTIMIZER)?;
    let record = OptimizerRecord::from_bytes(Bytes::from_bytes_vec(bytes))
        .map_err(|error| Error::file(&path, one_line(&error)))?;
    let expected = record.len();
    let optimizer = optimizer::load(optimizer.clone(), record, device);
    // What does not fit is passed over without a word.
    let found = optimizer.to_record().len();
    if found != expected {
        let message = format!("{found} of its {expected} tensors fit this optimizer");
        return Err(Error::file(&path, message));
    }
    Ok(optimizer)
}

/// Refuses weights that are not finite: a checkpoint is to be a state that training can go on from.
pub(super) fn expect_finite<P: Module>(policy: &P) -> Result<()> {
    let mut zeros = Zeros::default();
    policy.visit(&mut zeros);
    if zeros.values.is_empty() {
        return Ok(());
    }
    let values = read(Tensor::cat(zeros.values, 0))?;
    match values.iter().zip(&zeros.names).find(|(value, _)| !value.is_finite()) {
        None => Ok(()),
        Some((_, name)) => Err(Error::Run(format!(
            "weight '{name}' holds a number that is not finite, so no checkpoint is written; go on \
             from the last one with a lower update.learning_rate"
        ))),
    }
}

/// Of each parameter, 0 if all its numbers are finite, else NaN.
#[derive(Default)]
struct Zeros {
    path: Vec<String>,
    names: Vec<String>,
    values: Vec<Tensor<1>>,
}

impl ModuleVisitor for Zeros {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.names.push(self.path.join("."));
        self.values.push(param.val().mul_scalar(0.0).sum());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::PolicyConfig;

    #[test]
    fn a_weight_that_is_not_finite_is_named() {
        let config = PolicyConfig { embedding: 4, hidden: 4, max_words: 10 }.network(20);
        let network = config.init(0, &burn::tensor::Device::flex());
        expect_finite(&network).unwrap();
        let broken = network.map(&mut Break);
        let error = expect_finite(&broken).unwrap_err();
        assert!(error.to_string().contains("weight 'state_bias'"), "{error}");
        assert_eq!(error.exit_code(), 1);
    }

    /// Makes the one number of a vector of its own infinite: the bias of states.
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
