//! The devices to test on, one at a time.

use std::sync::{Mutex, PoisonError};

use burn::tensor::{Device, Tensor, TensorData};
use proxmo::device::{Adapter, Backend, adapters, open, read};
use proxmo::verify::distance;

/// A software GPU takes seconds for some kernels, and OpenGL reports a deadlock if a thread waits that
/// long for another's.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs a check on every adapter of this machine.
///
/// Without a Vulkan adapter it prints a message, or fails if `CI` is set.
pub fn on_every_device(check: impl Fn(&Device, &Adapter)) {
    let found = adapters();
    if cfg!(feature = "wgpu") && !found.iter().any(|one| one.backend == Backend::Vulkan) {
        assert!(std::env::var_os("CI").is_none(), "there is no Vulkan adapter to test kernels on");
        eprintln!("there is no Vulkan adapter here: the WGSL kernels were not tested on one");
    }
    for adapter in found {
        let opened = match open(adapter.backend, adapter.index) {
            Ok(opened) => opened,
            Err(error) => {
                assert!(std::env::var_os("CI").is_none(), "{error}");
                eprintln!("{} ({}) was not tested: {error}", adapter.name, adapter.backend);
                continue;
            }
        };
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        check(&opened.device, &opened.adapter);
    }
}

pub fn matrix(values: &[f32], columns: usize, device: &Device) -> Tensor<2> {
    let rows = values.len() / columns;
    Tensor::from_data(TensorData::new(values.to_vec(), [rows, columns]), device)
}

pub fn vector(values: &[f32], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

pub fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    read(tensor).unwrap()
}

/// The largest distance from the expected numbers, as a share of the largest of them.
pub fn error(found: &[f32], expected: &[f64], name: &str) -> f64 {
    distance(found, expected).unwrap_or_else(|message| panic!("{name}{message}"))
}
