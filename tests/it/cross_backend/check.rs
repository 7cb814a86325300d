//! The check of a GPU before it is used.

use std::time::Instant;

use proxmo::device::Backend;
use proxmo::device_check::{DeviceCheck, check_device};

use super::devices::on_every_device;

#[test]
fn devices_that_compute_correctly_pass_the_check_before_use() {
    on_every_device(|device, adapter| {
        let begun = Instant::now();
        let checked = check_device(device);
        println!("{} ({}): {:.2?}", adapter.backend, adapter.name, begun.elapsed());
        checked.unwrap_or_else(|wrong| panic!("{} ({}): {wrong}", adapter.backend, adapter.name));
    });
}

#[test]
fn a_gpu_that_is_named_and_computes_wrongly_is_refused() {
    let wrong = DeviceCheck::by(|_| Err("a number is off".into()));
    on_every_device(|_, adapter| {
        let (backend, index) = (adapter.backend, adapter.index);
        DeviceCheck::NONE.open(backend, index).unwrap();
        if matches!(backend, Backend::Flex | Backend::Ndarray) {
            // The CPU is what GPUs are compared with.
            assert!(wrong.open(backend, index).unwrap().refused.is_empty());
            return;
        }
        let error = wrong.open(backend, index).unwrap_err();
        let expected = format!(
            "{backend} on {} computes wrongly: a number is off; update its driver, or choose another \
             backend",
            adapter.name
        );
        assert_eq!((error.to_string(), error.exit_code()), (expected, 2));
    });
}
