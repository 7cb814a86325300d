//! Whether every backend computes the same, on the machine at hand.
//!
//! [`TESTS`] hold a device to definitions in 64 bits, by cases as hard as they come: [`cases`] for
//! proximity and its gradients, [`Played`] for returns and the episode part of advantages. A small
//! [`training`] is held to flex's, update by update. [`run`] does them all on adapters of this machine,
//! for `proxmo verify`; the crate's own tests run the very same.
//!
//! ```
//! use proxmo::device::{Backend, open};
//! use proxmo::verify::TESTS;
//!
//! # fn main() -> proxmo::Result<()> {
//! let device = open(Backend::Flex, 0)?.device;
//! let returns = TESTS.iter().find(|test| test.name == "returns");
//! for test in returns {
//!     assert!(test.on(&device).ok);
//! }
//! # Ok(())
//! # }
//! ```

pub mod cases;
mod compare;
mod episodes;
mod proximity;
mod reference;
mod report;
pub mod training;

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::Device;
use web_time::Instant;

use crate::device::{Adapter, open};
use crate::error::Result;
#[cfg(feature = "wgpu")]
use crate::kernels::Prefilled;

pub use compare::{Tally, distance};
pub use episodes::{Played, options as episode_options};
pub use reference::Expected;
pub use report::{Absent, Finding, Report, Verified, select};

/// One test of a device.
#[derive(Debug, Clone, Copy)]
pub struct Test {
    /// What is tested.
    pub name: &'static str,
    check: fn(&Device) -> Result<Tally>,
}

const fn test(name: &'static str, check: fn(&Device) -> Result<Tally>) -> Test {
    Test { name, check }
}

/// All tests, kernels first.
pub const TESTS: [Test; 14] = [
    test("proximity, shapes", proximity::shapes),
    test("proximity, settings", proximity::settings),
    test("proximity, extremes", proximity::extremes),
    test("proximity, poison", proximity::poisoned),
    test("proximity gradients, shapes", proximity::gradients_of_shapes),
    test("proximity gradients, settings", proximity::gradients_of_settings),
    test("proximity gradients, extremes", proximity::gradients_of_extremes),
    test("proximity gradients, poison", proximity::gradients_of_poisoned),
    test("returns", episodes::returns),
    test("episode advantages", episodes::advantages),
    test("returns and advantages, poison", episodes::poisoned),
    test("training, gradients", training::gradients),
    test("training, losses", training::losses),
    test("training, weights", training::trained_weights),
];

impl Test {
    /// Runs it. A device that fails, or whose driver panics, fails the test.
    pub fn on(&self, device: &Device) -> Finding {
        #[cfg(feature = "wgpu")]
        let _prefilled = Prefilled::new();
        let begun = Instant::now();
        let tally = catch_unwind(AssertUnwindSafe(|| (self.check)(device)));
        let seconds = begun.elapsed().as_secs_f64();
        match tally {
            Ok(Ok(tally)) => Finding::of(self.name, tally, seconds),
            Ok(Err(error)) => Finding::broken(self.name, error.to_string(), seconds),
            Err(panic) => Finding::broken(self.name, told(&*panic), seconds),
        }
    }
}

/// What a panic said.
fn told(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("it panicked: {}", text.unwrap_or("it did not say why"))
}

/// Runs tests on adapters, one after the other. `observe` is told before each.
pub fn run(
    adapters: &[Adapter],
    tests: &[Test],
    observe: &mut dyn FnMut(&Adapter, &Test),
) -> Vec<Verified> {
    let mut verify = |adapter: &Adapter| match open(adapter.backend, adapter.index) {
        Ok(opened) => {
            let tests = tests.iter().map(|test| {
                observe(adapter, test);
                test.on(&opened.device)
            });
            Verified { adapter: adapter.clone(), tests: tests.collect() }
        }
        Err(error) => {
            let opening = Finding::broken("opening the device", error.to_string(), 0.0);
            Verified { adapter: adapter.clone(), tests: vec![opening] }
        }
    };
    adapters.iter().map(&mut verify).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn a_device_that_breaks_fails_the_test_and_not_the_process() {
        let on = |check| test("it", check).on(&Device::flex());
        let lost = on(|_| Err(Error::Run("the device is lost".into())));
        assert!(!lost.ok && lost.failures == ["the device is lost"]);
        let gone = on(|_| panic!("no memory"));
        assert!(!gone.ok && gone.failures == ["it panicked: no memory"]);
        assert!(!on(|_| Ok(Tally::default())).ok, "a test that compared nothing");
    }

    #[test]
    fn tests_have_names_of_their_own() {
        for (place, one) in TESTS.iter().enumerate() {
            assert!(TESTS[..place].iter().all(|other| other.name != one.name), "{}", one.name);
        }
    }
}
