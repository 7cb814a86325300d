//! Pipelines and memory of launches, and kernels on smaller devices.

use burn::tensor::{Device, Tensor};

use super::counters::tests::SOURCES;
#[cfg(not(feature = "fusion"))]
use super::counters::tests::{LARGEST, MEMORY};
use super::counters::wgsl_launches;
use crate::credit::CreditConfig;
use crate::device::{Backend, adapters, open, read};
use crate::episodes::Layout;
use crate::kernels::{proximity, token_log_probs};

/// The Vulkan device, if there is one; without one, and with `CI` set, the test fails.
fn device() -> Option<Device> {
    if adapters().iter().any(|adapter| adapter.backend == Backend::Vulkan) {
        return Some(open(Backend::Vulkan, 0).unwrap().device);
    }
    assert!(std::env::var_os("CI").is_none(), "there is no Vulkan adapter to test kernels on");
    eprintln!("there is no Vulkan adapter here: not tested");
    None
}

/// Proximity with two columns of values in two groups, forward and backward.
fn forward_and_backward(rows: usize, width: usize, device: &Device) {
    let device = device.clone().autodiff();
    let embeddings = Tensor::<2>::ones([rows, width], &device).require_grad();
    let values = Tensor::<2>::ones([rows, 2], &device).require_grad();
    let layout = Layout::of_groups(&[0, rows / 2, rows]).unwrap();
    let found = proximity(embeddings.clone(), values.clone(), &layout, &CreditConfig::default());
    let means = found.unwrap().means;
    let gradients = means.clone().sum().backward();
    assert!(read(means).unwrap().iter().all(|mean| (mean - 1.0).abs() < 1e-5));
    let slopes = read(embeddings.grad(&gradients).unwrap()).unwrap();
    assert!(slopes.iter().all(|slope| slope.abs() < 1e-5));
}

/// With burn's fusion on too, where it shows that the kernels run.
#[test]
fn a_pipeline_is_made_once_for_all_shapes() {
    let Some(device) = device() else { return };
    let before = wgsl_launches();
    for (rows, width) in [(10, 3), (10, 3), (300, 40)] {
        forward_and_backward(rows, width, &device);
    }
    assert!(wgsl_launches() >= before + 3 * 5, "a launch was not counted");
    let made = SOURCES.lock().unwrap();
    for kernel in ["Rows", "ProximityKernel", "GradientRows", "Gradient"] {
        assert!(made.iter().any(|(name, _)| *name == kernel), "{kernel} did not run");
    }
    for (at, (kernel, id)) in made.iter().enumerate() {
        assert!(made[..at].iter().all(|(_, other)| other != id), "{kernel} was made twice: {id:?}");
    }
}

/// Fusion launches from a thread of its own.
#[cfg(not(feature = "fusion"))]
#[test]
fn memory_grows_with_rows_and_not_with_pairs() {
    let Some(device) = device() else { return };
    let taken = |rows: usize| {
        MEMORY.set(0);
        forward_and_backward(rows, 8, &device);
        MEMORY.get()
    };
    // Means, neighbours, state, row terms, two gradients, and scales and spans in both directions.
    assert_eq!(taken(2_000), 2_000 * (2 + 1 + 2 + 5 + (8 + 2) + 2 * (2 + 4)));
    assert_eq!(taken(4_000), 2 * taken(2_000));
}

#[cfg(not(feature = "fusion"))]
#[test]
fn buffers_of_scored_tokens_do_not_grow_with_the_vocabulary() {
    let Some(device) = device() else { return };
    let largest = |vocabulary: usize| {
        let device = device.clone().autodiff();
        let (rows, width) = (512, 4);
        let hidden = Tensor::<2>::ones([rows, width], &device).require_grad();
        let head = Tensor::<2>::ones([vocabulary, width], &device);
        LARGEST.set(0);
        let found = token_log_probs(hidden.clone(), &[head], &[3; 512]).unwrap();
        let gradients = found.log_probs.clone().sum().backward();
        let expected = -(vocabulary as f32).ln();
        let log_probs = read(found.log_probs).unwrap();
        assert!(log_probs.iter().all(|found| (found - expected).abs() < 1e-4));
        // Every token has one embedding, so a hidden state changes no probability.
        let slopes = read(hidden.grad(&gradients).unwrap()).unwrap();
        assert!(slopes.iter().all(|slope| slope.abs() < 1e-4));
        LARGEST.get()
    };
    // A window of gradients of logits, 2^22 numbers, is the largest.
    assert_eq!([largest(8_192), largest(32_768)], [1 << 22, 1 << 22]);
}

#[cfg(not(feature = "fusion"))]
mod small_devices;
