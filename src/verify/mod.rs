//! Tests of every backend of this machine.
//!
//! [`TESTS`] compare a device with definitions in 64 bits ([`oracle`]): [`cases`] for proximity and its
//! gradients, [`EpisodeCase`] for returns and the episode part of advantages, [`oracle::TokenCase`] for the
//! log-probabilities of tokens, and layers of language models with their gradients. A small [`training`]
//! is compared with flex's, update by update. [`run`] runs them on adapters of this machine, for `proxmo
//! verify`; the crate's own tests run the same.
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
mod comparisons;
mod episodes;
mod layers;
pub mod oracle;
mod proximity;
mod report;
mod token_log_probs;
pub mod training;

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::Device;
use web_time::Instant;

use crate::device::{Adapter, open};
use crate::device_check::panic_message;
use crate::error::Result;
#[cfg(feature = "wgpu")]
use crate::kernels::Prefilled;

pub use comparisons::{Comparisons, distance};
pub use episodes::{EpisodeCase, configs as episode_configs};
pub use report::{Absent, AdapterReport, Report, TestResult, select};

/// One test of a device.
#[derive(Debug, Clone, Copy)]
pub struct Test {
    /// Its name.
    pub name: &'static str,
    check: fn(&Device) -> Result<Comparisons>,
}

const fn test(name: &'static str, check: fn(&Device) -> Result<Comparisons>) -> Test {
    Test { name, check }
}

/// All tests, kernels first.
pub const TESTS: [Test; 24] = [
    test("proximity, shapes", proximity::shapes),
    test("proximity, settings", proximity::settings),
    test("proximity, extremes", proximity::extremes),
    test("proximity, NaN and infinity", proximity::non_finite),
    test("proximity gradients, shapes", proximity::gradients_of_shapes),
    test("proximity gradients, settings", proximity::gradients_of_settings),
    test("proximity gradients, extremes", proximity::gradients_of_extremes),
    test("proximity gradients, NaN and infinity", proximity::gradients_of_non_finite),
    test("returns", episodes::returns),
    test("episode advantages", episodes::advantages),
    test("returns and advantages, NaN and infinity", episodes::non_finite),
    test("token log-probabilities", token_log_probs::scores),
    test("token log-probabilities, gradients", token_log_probs::gradients),
    test("token log-probabilities, NaN and infinity", token_log_probs::non_finite),
    test("layers, SwiGLU", layers::swiglu),
    test("layers, normalisation", layers::rms_norm),
    test("layers, causal softmax", layers::causal_softmax),
    test("layers, rotation", layers::rotation),
    test("layers, NaN and infinity", layers::non_finite),
    test("AdamW", layers::adamw),
    test("training, gradients", training::gradients),
    test("training, losses", training::losses),
    test("training, weights", training::trained_weights),
    test("training, device credit", training::device_credit),
];

impl Test {
    /// Runs the test. It fails if the device does, or its driver panics.
    pub fn on(&self, device: &Device) -> TestResult {
        #[cfg(feature = "wgpu")]
        let _prefilled = Prefilled::new();
        let begun = Instant::now();
        let comparisons = catch_unwind(AssertUnwindSafe(|| (self.check)(device)));
        let seconds = begun.elapsed().as_secs_f64();
        match comparisons {
            Ok(Ok(comparisons)) => TestResult::of(self.name, comparisons, seconds),
            Ok(Err(error)) => TestResult::broken(self.name, error.to_string(), seconds),
            Err(panic) => {
                TestResult::broken(self.name, format!("it {}", panic_message(&*panic)), seconds)
            }
        }
    }
}

/// Runs tests on adapters, one after the other, and calls `observe` before each.
pub fn run(
    adapters: &[Adapter],
    tests: &[Test],
    observe: &mut dyn FnMut(&Adapter, &Test),
) -> Vec<AdapterReport> {
    let mut verify = |adapter: &Adapter| match open(adapter.backend, adapter.index) {
        Ok(opened) => {
            let tests = tests.iter().map(|test| {
                observe(adapter, test);
                test.on(&opened.device)
            });
            AdapterReport { adapter: adapter.clone(), tests: tests.collect() }
        }
        Err(error) => {
            let opening = TestResult::broken("opening the device", error.to_string(), 0.0);
            AdapterReport { adapter: adapter.clone(), tests: vec![opening] }
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
        assert!(!on(|_| Ok(Comparisons::default())).ok, "a test that compared nothing");
    }

    #[test]
    fn tests_have_names_of_their_own() {
        for (place, one) in TESTS.iter().enumerate() {
            assert!(TESTS[..place].iter().all(|other| other.name != one.name), "{}", one.name);
        }
    }
}
