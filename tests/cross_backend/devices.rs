//! The devices to test on, and how far an answer may be off.

use burn::tensor::{Device, Tensor, TensorData};
use proxmo::device::{Adapter, Backend, adapters, open, read};

/// Runs a check on every adapter of this machine.
///
/// Where `CI` is set a Vulkan adapter must be among them, else it is said plainly that there is none.
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

/// Fills memory with NaN and lets it go: a kernel that reads what it did not write will show it.
pub fn litter(numbers: usize, device: &Device) {
    for size in [numbers, 3 * numbers, 64] {
        let litter = Tensor::<1>::full([size], f32::NAN, device);
        read(litter * 2.0).unwrap();
    }
}

pub fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    read(tensor).unwrap()
}

/// The largest distance from what was expected, in units of the expected numbers' magnitude. A NaN
/// must be where one is expected, and only there.
pub fn error(found: &[f32], expected: &[f64], name: &str) -> f64 {
    assert_eq!(found.len(), expected.len(), "{name}");
    let finite = expected.iter().filter(|value| value.is_finite());
    let magnitude = finite.fold(f64::MIN_POSITIVE, |most, value| most.max(value.abs()));
    let mut worst = 0f64;
    for (at, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.is_nan(), expected.is_nan(), "{name}[{at}]: {found}, not {expected}");
        if !expected.is_nan() {
            let off = (f64::from(found) - expected).abs() / magnitude;
            assert!(off.is_finite(), "{name}[{at}]: {found}, not {expected}");
            worst = worst.max(off);
        }
    }
    worst
}
