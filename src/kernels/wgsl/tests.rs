//! Kernels cut to the limits of smaller devices than the one at hand, and what a launch costs.

use std::cell::Cell;
use std::sync::Mutex;

use burn::tensor::{Device, Tensor};
use cubecl::prelude::KernelId;

use crate::device::{Backend, adapters, open, read};
use crate::episodes::Layout;
use crate::kernels::{ProximityOptions, proximity};

/// Each time that a kernel's source was asked for, which is when a pipeline is made of it.
static SOURCES: Mutex<Vec<(&str, KernelId)>> = Mutex::new(Vec::new());

thread_local! {
    /// Numbers that launches of this thread took memory for.
    static MEMORY: Cell<usize> = const { Cell::new(0) };
}

pub(super) fn note_source(kernel: &'static str, id: KernelId) {
    SOURCES.lock().unwrap().push((kernel, id));
}

pub(super) fn note_memory(numbers: usize) {
    MEMORY.set(MEMORY.get() + numbers);
}

/// The Vulkan device, if there is one; without one, and with `CI` set, the test fails.
fn device() -> Option<Device> {
    if adapters().iter().any(|adapter| adapter.backend == Backend::Vulkan) {
        return Some(open(Backend::Vulkan, 0).unwrap().device);
    }
    assert!(std::env::var_os("CI").is_none(), "there is no Vulkan adapter to test kernels on");
    eprintln!("there is no Vulkan adapter here: not tested");
    None
}

/// Proximity with two columns of values, and back. The numbers are in order, the groups two.
fn forth_and_back(rows: usize, width: usize, device: &Device) {
    let device = device.clone().autodiff();
    let embeddings = Tensor::<2>::ones([rows, width], &device).require_grad();
    let values = Tensor::<2>::ones([rows, 2], &device).require_grad();
    let layout = Layout::of_groups(&[0, rows / 2, rows]).unwrap();
    let found =
        proximity(embeddings.clone(), values.clone(), &layout, &ProximityOptions::default());
    let means = found.unwrap().means;
    let gradients = means.clone().sum().backward();
    assert!(read(means).unwrap().iter().all(|mean| (mean - 1.0).abs() < 1e-5));
    let slopes = read(embeddings.grad(&gradients).unwrap()).unwrap();
    assert!(slopes.iter().all(|slope| slope.abs() < 1e-5));
}

/// With burn's fusion on too: it shows that the kernels are what runs there.
#[test]
fn a_pipeline_is_made_once_whatever_the_shapes() {
    let Some(device) = device() else { return };
    for (rows, width) in [(10, 3), (10, 3), (300, 40)] {
        forth_and_back(rows, width, &device);
    }
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
        forth_and_back(rows, 8, &device);
        MEMORY.get()
    };
    // Means, neighbours, state, facts, two gradients, and scales and spans on both ways.
    assert_eq!(taken(2_000), 2_000 * (2 + 1 + 2 + 5 + (8 + 2) + 2 * (2 + 4)));
    assert_eq!(taken(4_000), 2 * taken(2_000));
}

#[cfg(not(feature = "fusion"))]
mod limits;
